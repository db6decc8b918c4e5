"""Handlers in AWS's own runtime, in real worker processes, over real HTTP."""

import base64
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.execution.environment import Environment
from tests.doubles.handlers import until

pytest.importorskip("awslambdaric", reason="needs the extra: pip install 'asyncinvoke[local]'")
pytestmark = pytest.mark.anyio


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_runtime_sees_the_same_environment_as_in_lambda(
    local: LocalLambda, invoke: Any, handlers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the caller")
    monkeypatch.setenv("AWS_PROFILE", "of the caller")
    local.function(
        "tell",
        "handlers:describe",
        directory=handlers,
        timeout=60,
        memory_size=256,
        environment={"TABLE": "cats", "TZ": "Europe/Berlin"},
    )
    sent = base64.b64encode('{"custom": {"a": "ä"}}'.encode()).decode()
    reply = await invoke(
        "tell", b'{"a": 1}', qualifier="$LATEST", Client_Context=sent, Tenant_Id="blue"
    )
    told = reply.json()
    arn = "arn:aws:lambda:us-east-1:123456789012:function:tell:$LATEST"
    assert told["event"] == {"a": 1}
    assert told["aws_request_id"] == reply.headers["x-amzn-requestid"]
    assert (told["function_name"], told["invoked_function_arn"]) == ("tell", arn)
    assert told["memory_limit_in_mb"] == "256"
    assert 0 < told["remaining"] <= 60_000
    assert (told["custom"], told["tenant_id"]) == ({"a": "ä"}, "blue")
    assert told["directory"] == str(handlers)
    environ = told["environ"]
    assert (environ["TABLE"], environ["AWS_REGION"]) == ("cats", "us-east-1")
    assert (environ["TZ"], environ["LANG"]) == ("Europe/Berlin", "en_US.UTF-8")
    assert environ["_HANDLER"] == "handlers.describe"
    assert environ["LAMBDA_TASK_ROOT"] == str(handlers)
    assert "of the caller" not in environ.values()
    # Recorded from AWS: these are always present.
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} < environ.keys()
    assert environ["AWS_ENDPOINT_URL_LAMBDA"] == local.url
    assert environ["AWS_XRAY_CONTEXT_MISSING"] == "LOG_ERROR"
    assert {"AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR"} < environ.keys()
    root = reply.headers["x-amzn-trace-id"].partition(";")[0].removeprefix("root=")
    assert re.fullmatch(
        rf"Root={root};Parent=[0-9a-f]{{16}};Sampled=0", environ["_X_AMZN_TRACE_ID"]
    )
    assert environ["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull


LOOK = """
def look(event, context):
    context.added = "by a decorator"
    hash(context)
    mobile, identity = context.client_context, context.identity
    names = ("installation_id", "app_title", "app_version_name", "app_version_code")
    client = mobile and mobile.client
    return [
        context.added,
        mobile and [mobile.custom, mobile.env],
        client and [getattr(client, name) for name in (*names, "app_package_name")],
        [identity.cognito_identity_id, identity.cognito_identity_pool_id],
    ]
"""


async def test_the_context_of_a_callable_equals_that_of_awss_runtime(
    local: LocalLambda, invoke: Any, tmp_path: Path
) -> None:
    (tmp_path / "seen.py").write_text(LOOK, encoding="utf-8")
    of_this_process: dict[str, Any] = {}
    exec(LOOK, of_this_process)  # the same source for both
    local.function("worker", "seen:look", directory=tmp_path, timeout=60)
    local.function("callable", of_this_process["look"])
    contexts: list[Any] = [
        None,
        {},
        {"custom": {"a": 1}, "env": {"b": 2}, "client": None},
        {"client": {}},
        {"client": {"installation_id": "i", "app_version_code": 3, "other": 4}},
    ]
    for sent in contexts:
        headers = {}
        if sent is not None:
            headers["Client_Context"] = base64.b64encode(json.dumps(sent).encode()).decode()
        worker, in_process = [await invoke(name, **headers) for name in ("worker", "callable")]
        assert in_process.json() == worker.json()
        assert in_process.json()[0] == "by a decorator"


async def test_an_sdk_in_a_function_finds_the_s3_endpoint_that_was_given(
    request_to: Any, handlers: Path
) -> None:
    async with LocalLambda(s3="http://127.0.0.1:1") as local:
        local.function("tell", "handlers:describe", directory=handlers)
        reply = await request_to(local.url, "/2015-03-31/functions/tell/invocations", b"1")
    assert reply.json()["environ"]["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:1"


async def test_a_warm_process_is_used_again(
    local: LocalLambda, invoke: Any, handlers: Path
) -> None:
    local.function("tell", str(handlers / "handlers.py") + ":describe")
    first, second = [(await invoke("tell")).json() for _ in range(2)]
    assert (first["pid"], first["calls"]) == (second["pid"], 1)
    assert second["calls"] == 2
    assert local.statistics().cold_starts == 1


async def test_each_concurrent_call_has_a_process_of_its_own(
    local: LocalLambda, invoke: Any, handlers: Path, tmp_path: Path
) -> None:
    local.account_concurrency = 2
    local.function("meet", "handlers:meet", directory=handlers, timeout=60)
    place = tmp_path / "place"
    replies: list[Any] = []

    async def call() -> None:
        replies.append(await invoke("meet", json.dumps(str(place))))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(call)
        await until(lambda: local.statistics().invocations == 4)
        place.touch()
    assert sorted(reply.status for reply in replies) == [200, 200, 429, 429]
    assert len({reply.body for reply in replies if reply.status == 200}) == 2
    assert local.statistics().cold_starts == 2


async def test_the_tail_has_what_the_process_wrote(
    local: LocalLambda, invoke: Any, handlers: Path
) -> None:
    local.function("speak", "handlers:speak", directory=handlers)
    cold, warm = [await invoke("speak", Log_Type="Tail") for _ in range(2)]
    request_id = cold.headers["x-amzn-requestid"]
    lines = cold.log.split("\n")
    assert lines[:4] == [
        "importing",
        f"START RequestId: {request_id} Version: $LATEST",
        "hällo",
        "to stderr",
    ]
    assert lines[4].startswith("[WARNING]\t")
    assert lines[4].endswith(f"\t{request_id}\twarned")
    assert lines[5] == f"END RequestId: {request_id}"
    assert "\tInit Duration: " in lines[6]
    assert warm.log.startswith("START")
    assert "Init Duration" not in warm.log
    cut = await invoke("speak", b'{"times": 3000}', Log_Type="Tail")
    assert len(base64.b64decode(cut.headers["x-amz-log-result"])) == 4096
    assert "x-amz-log-result" not in (await invoke("speak")).headers


@pytest.mark.parametrize("source", ["import nowhere", "def x(:", "import os; os._exit(0)"])
async def test_a_function_that_cannot_start_is_started_anew(
    local: LocalLambda, invoke: Any, tmp_path: Path, source: str
) -> None:
    module = tmp_path / "broken.py"
    module.write_text(source, encoding="utf-8")
    local.function("broken", f"{module}:handler")
    assert (await invoke("broken")).headers["x-amz-function-error"] == "Unhandled"
    module.write_text("def handler(event, context): return 'mended'  # longer")
    assert (await invoke("broken")).json() == "mended"


async def test_the_log_says_that_a_process_died(
    local: LocalLambda, invoke: Any, handlers: Path
) -> None:
    local.function("die", "handlers:leave", directory=handlers)
    reply = await invoke("die", b"3", Log_Type="Tail")
    assert reply.log.endswith("\tStatus: error\tError Type: Runtime.ExitError\n")


async def test_a_crash_costs_its_own_process_only(
    local: LocalLambda, invoke: Any, handlers: Path, tmp_path: Path
) -> None:
    local.function("meet", "handlers:meet", directory=handlers, timeout=60)
    pids: list[int] = []

    async def call(place: Path) -> None:
        pids.append((await invoke("meet", json.dumps(str(place)))).json())

    async def call_two(place: Path) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, place)
            tasks.start_soon(call, place)
            await until(lambda: local.statistics().in_flight == 2)
            place.touch()

    await call_two(tmp_path / "first")
    killed, spared = pids
    os.kill(killed, signal.SIGKILL)
    await until(lambda: not is_running(killed))
    pids.clear()
    await call_two(tmp_path / "second")
    assert spared in pids
    assert killed not in pids
    assert local.statistics().function_errors == 0
    assert local.statistics().cold_starts == 3


async def test_a_process_is_killed_at_the_timeout_and_replaced(
    local: LocalLambda,
    invoke: Any,
    handlers: Path,
    tmp_path: Path,
    environments: list[Environment],
) -> None:
    local.function("meet", "handlers:meet", directory=handlers, timeout=60)
    before = (await invoke("meet", json.dumps(str(handlers)))).json()
    replies: list[Any] = []

    async def ask() -> None:
        never = json.dumps(str(tmp_path / "never"))
        replies.append(await invoke("meet", never, Log_Type="Tail"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await until((tmp_path / "never.begun").exists)
        environments[-1]._scope.deadline = anyio.current_time()  # its time passes
    (reply,) = replies
    assert reply.json()["errorType"] == "Sandbox.Timedout"
    assert reply.log.endswith("\tStatus: timeout\n")
    assert not is_running(before)
    after = (await invoke("meet", json.dumps(str(handlers)))).json()
    assert after != before


async def test_an_answer_of_any_size_leaves_its_process_alive(
    local: LocalLambda, invoke: Any, handlers: Path
) -> None:
    local.function("letters", "handlers:letters", directory=handlers)
    assert len((await invoke("letters", str(6 * 1024 * 1024))).json()) == 6 * 1024 * 1024
    assert (await invoke("letters", b"6291554")).json() == "x" * 6_291_554
    assert (await invoke("letters", b"6291555")).json()["errorType"] == (
        "Function.ResponseSizeTooLarge"
    )
    assert (await invoke("letters", b"1")).json() == "x"
    assert local.statistics().cold_starts == 1


async def test_events_run_in_processes_too(local: LocalLambda, invoke: Any, handlers: Path) -> None:
    local.function("fail", "handlers:fail", directory=handlers)
    for _ in range(3):
        assert (await invoke("fail", Invocation_Type="Event")).status == 202
    await until(lambda: local.statistics().function_errors == 3)


async def test_a_process_that_cannot_be_started_is_a_service_error(
    local: LocalLambda, invoke: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "function"
    directory.mkdir()
    local.function("tell", "handlers:describe", directory=directory)
    directory.rmdir()
    await invoke("tell", Invocation_Type="Event")
    assert (await invoke("tell")).error == (
        500,
        "ServiceException",
        {"Type": "Service", "Message": "The service encountered an internal error."},
    )
    assert local.statistics().cold_starts == 0
    assert {record.exc_info for record in caplog.records} == {None}
