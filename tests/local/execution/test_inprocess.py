"""Handlers that are callables of this process, over real HTTP."""

import asyncio
import base64
import concurrent.futures
import functools
import gc
import json
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import anyio
import pytest

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.execution import function_errors
from tests.doubles.handlers import until

pytestmark = pytest.mark.anyio


async def test_the_context_describes_the_call(local: LocalLambda, invoke: Any) -> None:
    seen: list[Any] = []

    def look(event: Any, context: Any) -> None:
        seen.append(context)
        seen.append(context.get_remaining_time_in_millis())

    local.function("look", look, timeout=7, memory_size=512)
    sent = base64.b64encode(b'{"custom": {"a": 1}, "env": {"b": 2}}').decode()
    reply = await invoke("look", qualifier="$LATEST", Client_Context=sent, Tenant_Id="blue")
    context, remaining = seen
    assert context.aws_request_id == reply.headers["x-amzn-requestid"]
    assert (context.function_name, context.function_version) == ("look", "$LATEST")
    assert context.invoked_function_arn.endswith(":function:look:$LATEST")
    assert context.memory_limit_in_mb == "512"
    assert context.log_group_name == "/aws/lambda/look"
    assert (context.client_context.custom, context.client_context.env) == ({"a": 1}, {"b": 2})
    assert context.tenant_id == "blue"
    assert 0 < remaining <= 7000


async def test_an_event_is_given_no_client_context(local: LocalLambda, invoke: Any) -> None:
    seen: list[Any] = []
    local.function("look", lambda event, context: seen.append(context.client_context))
    await invoke("look", Invocation_Type="Event", Client_Context=base64.b64encode(b"{}").decode())
    await until(lambda: seen == [None])


class Callable:
    async def __call__(self, event: Any, context: Any) -> Any:
        return [event, threading.current_thread() is threading.main_thread()]


async def answer(extra: Any, event: Any, context: Any) -> Any:
    return [event, threading.current_thread() is threading.main_thread()]


@pytest.mark.parametrize(
    ("handler", "on_the_loop"),
    [
        (Callable(), True),
        (functools.partial(answer, None), True),
        (lambda event, context: answer(None, event, context), True),
        (lambda event, context: [event, threading.current_thread().name == "MainThread"], False),
    ],
)
async def test_async_handlers_run_on_the_loop_and_sync_ones_in_threads(
    local: LocalLambda, invoke: Any, handler: Any, on_the_loop: bool
) -> None:
    local.function("any", handler)
    assert (await invoke("any", b"1")).json() == [1, on_the_loop]


async def test_sync_handlers_run_at_the_same_time(local: LocalLambda, invoke: Any) -> None:
    together = threading.Barrier(30)
    local.function("meet", lambda event, context: together.wait(20) >= 0, timeout=30)
    replies = []

    async def call() -> None:
        replies.append(await invoke("meet"))

    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(call)
    assert [reply.json() for reply in replies] == [True] * 30


def fail_in_thread(event: Any, context: Any) -> None:
    raise LookupError("not thére")


async def fail_on_loop(event: Any, context: Any) -> None:
    raise LookupError("not thére")


@pytest.mark.parametrize("handler", [fail_in_thread, fail_on_loop])
async def test_an_error_has_the_python_runtimes_form(
    local: LocalLambda, invoke: Any, handler: Any
) -> None:
    local.function("fail", handler)
    reply = await invoke("fail", Log_Type="Tail")
    assert (reply.status, reply.headers["x-amz-function-error"]) == (200, "Unhandled")
    body = reply.json()
    assert list(body) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert (body["errorMessage"], body["errorType"]) == ("not thére", "LookupError")
    assert body["requestId"] == reply.headers["x-amzn-requestid"]
    (frame,) = body["stackTrace"]
    assert frame.startswith(f'  File "{__file__}", line ')
    assert f"in {handler.__name__}\n    raise LookupError(" in frame
    assert "[ERROR] LookupError: not thére\nTraceback (most recent call last):\n" in reply.log
    assert f'\n\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}File "{__file__}"' in reply.log


HANDLERS = """
def fails(event, context):
    values = {}
    values["a"]["b"](
        event["key"],
    )
def empty(event, context): raise ValueError
def deep(event, context): return below(5)
def below(n): return below(n - 1) if n else 1 / n
"""


@pytest.mark.parametrize("name", ["fails", "empty", "deep"])
async def test_an_error_of_a_callable_reads_as_it_does_in_the_runtime(
    local: LocalLambda, invoke: Any, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "h.py"
    file.write_text(HANDLERS, encoding="utf-8")
    scope: dict[str, Any] = {}
    exec(compile(HANDLERS, file, "exec"), scope)
    local.function("worker", f"{file}:{name}")
    local.function("callable", scope[name])
    in_runtime = await invoke("worker", Log_Type="Tail")
    here = await invoke("callable", Log_Type="Tail")
    assert here.json() | {"requestId": ""} == in_runtime.json() | {"requestId": ""}
    logs = [
        [line for line in reply.log.splitlines() if not line.startswith(("START", "END", "REPORT"))]
        for reply in (here, in_runtime)
    ]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("kind", [TimeoutError, concurrent.futures.InvalidStateError])
async def test_an_error_that_asyncio_has_a_kind_of_its_own_for_keeps_its_trace(
    local: LocalLambda, invoke: Any, kind: type[Exception]
) -> None:
    def fail(event: Any, context: Any) -> None:
        raise kind("no answer")

    def fail_midway(event: Any, context: Any) -> Iterator[bytes]:
        yield b""
        raise kind("no answer")

    local.function("fail", fail)
    local.function("fail_midway", fail_midway)
    for name in ("fail", "fail_midway"):
        body = (await invoke(name)).json()
        assert (body["errorType"], body["errorMessage"]) == (kind.__name__, "no answer")
        (frame,) = body["stackTrace"]
        assert f"in {name}\n    raise kind(" in frame


async def stray(event: Any, context: Any) -> None:
    raise asyncio.CancelledError("by the handler itself")


@pytest.mark.parametrize(
    ("handler", "error_type", "message"),
    [
        (
            lambda event, context: {1},
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
        (  # it has the methods of an async iterator, as it has every method
            lambda event, context: MagicMock(),
            "Runtime.MarshalError",
            "Unable to marshal response: _asdict() must return a dict, not MagicMock",
        ),
        (
            lambda event, context: "x" * 6_291_555,
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        ),
        (
            lambda event, context: sys.exit(),
            "Runtime.ExitError",
            "RequestId: {id} Error: Runtime exited without providing a reason",
        ),
        (
            lambda event, context: sys.exit(3),
            "Runtime.ExitError",
            "RequestId: {id} Error: Runtime exited with error: exit status 3",
        ),
        (
            lambda event, context: next(iter(())),
            "StopIteration",
            "",
        ),
        (stray, "CancelledError", "by the handler itself"),
    ],
)
async def test_what_else_a_handler_does_wrong_is_a_function_error(
    local: LocalLambda, invoke: Any, handler: Any, error_type: str, message: str
) -> None:
    local.function("wrong", handler)
    reply = await invoke("wrong")
    assert (reply.status, reply.headers["x-amz-function-error"]) == (200, "Unhandled")
    body = reply.json()
    assert body["errorType"] == error_type
    assert body["errorMessage"] == message.format(id=reply.headers["x-amzn-requestid"])
    assert (await invoke("wrong")).status == 200


class Base(BaseException):
    pass


class SilentError(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


class LeavingError(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)


async def generating(error: BaseException) -> AsyncIterator[bytes]:
    yield b"a"
    raise error


def in_a_thread(error: BaseException) -> Any:
    def handler(event: Any, context: Any) -> None:
        raise error

    return handler


def on_the_loop(error: BaseException) -> Any:
    async def handler(event: Any, context: Any) -> None:
        raise error

    return handler


def midway(error: BaseException) -> Any:
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield b"a"
        raise error

    return handler


def midway_on_the_loop(error: BaseException) -> Any:
    return lambda event, context: generating(error)


def in_its_answer(error: BaseException) -> Any:
    class Answer(dict[str, int]):
        def items(self) -> Any:
            raise error

    return lambda event, context: Answer(a=1)


STATUS_1 = "Runtime exited with error: exit status 1"


@pytest.mark.parametrize(
    "raising",
    [in_a_thread, on_the_loop, midway, midway_on_the_loop, in_its_answer],
    ids=lambda way: way.__name__,
)
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Base("b"), STATUS_1),
        (GeneratorExit(), STATUS_1),
        (BaseExceptionGroup("g", [Base()]), STATUS_1),
        (SilentError(), STATUS_1),
        (LeavingError(), STATUS_1),
        (SystemExit("why"), STATUS_1),
        (KeyboardInterrupt(), "Runtime exited with error: signal: interrupt"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_whatever_ends_a_process_ends_one_call_and_not_the_endpoint(
    local: LocalLambda, invoke: Any, raising: Any, error: BaseException, words: str
) -> None:
    if isinstance(error, KeyboardInterrupt) and raising not in (in_a_thread, midway):
        return  # in the main thread it is Ctrl-C
    local.function("f", raising(error))
    for _ in range(2):
        reply = await invoke("f")
        assert (reply.status, reply.json()["errorType"]) == (200, "Runtime.ExitError")
        assert reply.json()["errorMessage"].endswith(words)


@pytest.mark.parametrize("code", [None, 0, 1, 255, 256, 257, -1, -256, 2**63, True, "text", 1.5])
def test_an_exit_has_the_status_that_python_ends_with(code: Any) -> None:
    program = f"import sys; sys.stderr = None; sys.exit({code!r})"
    status = subprocess.run([sys.executable, "-I", "-S", "-c", program], check=False).returncode
    assert function_errors.left("id", SystemExit(code)) == function_errors.exited("id", status)


async def test_an_answer_whose_own_code_fails_cannot_be_marshalled(
    local: LocalLambda, invoke: Any
) -> None:
    local.function("f", in_its_answer(LookupError("not thére")))
    body = (await invoke("f")).json()
    assert body["errorType"] == "Runtime.MarshalError"
    assert body["errorMessage"] == "Unable to marshal response: not thére"


async def test_the_largest_answer_passes(local: LocalLambda, invoke: Any) -> None:
    local.function("letters", lambda event, context: "x" * event)
    reply = await invoke("letters", str(6 * 1024 * 1024))
    assert "x-amz-function-error" not in reply.headers
    assert len(reply.json()) == 6 * 1024 * 1024


async def test_an_async_handler_is_cancelled_at_its_timeout(
    local: LocalLambda, invoke: Any, gate: Any
) -> None:
    ended = []

    async def hold(event: Any, context: Any) -> None:
        try:
            await gate(event, context)
        finally:
            ended.append(context.get_remaining_time_in_millis())

    local.function("hold", hold, timeout=0.2)
    reply = await invoke("hold", Log_Type="Tail")
    request_id = reply.headers["x-amzn-requestid"]
    assert (reply.status, reply.headers["x-amz-function-error"]) == (200, "Unhandled")
    assert reply.json() == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: Task timed out after 0.20 seconds",
    }
    assert f" {request_id} Task timed out after 0.20 seconds\n" in reply.log
    assert reply.log.endswith("\tStatus: timeout\n")
    assert ended == [0]


async def test_a_handler_that_ignores_its_cancellation_has_timed_out(
    local: LocalLambda, invoke: Any, gate: Any
) -> None:
    async def stubborn(event: Any, context: Any) -> str:
        try:
            await gate(event, context)
        except asyncio.CancelledError:
            return "too late"
        return "in time"

    local.function("stubborn", stubborn, timeout=0.2)
    assert (await invoke("stubborn")).json()["errorType"] == "Sandbox.Timedout"


async def test_a_sync_handler_is_abandoned_at_its_timeout(local: LocalLambda, invoke: Any) -> None:
    leave = threading.Event()
    local.function("hold", lambda event, context: leave.wait(20), timeout=0.2)
    local.account_concurrency = 1
    try:
        for _ in range(2):
            assert (await invoke("hold")).json()["errorType"] == "Sandbox.Timedout"
    finally:
        leave.set()


async def test_nothing_keeps_what_a_sync_handler_raised_or_returned(
    local: LocalLambda, invoke: Any
) -> None:
    class Answer(dict[str, str]):
        pass

    class RaisedError(Exception):
        pass

    made: list[weakref.ref[Any]] = []

    def new(kind: Any) -> Any:
        one = kind()
        made.append(weakref.ref(one))
        return one

    def fail(event: Any, context: Any) -> None:
        raise new(RaisedError)

    local.function("fail", fail)
    local.function("answer", lambda event, context: new(Answer))
    gc.disable()  # objects in a cycle would be kept until the collector runs
    try:
        await invoke("fail")
        await invoke("answer")
        await until(lambda: [one() for one in made] == [None, None])
    finally:
        gc.enable()


async def test_the_tail_has_the_platforms_lines(local: LocalLambda, invoke: Any) -> None:
    local.function("quiet", lambda event, context: time.monotonic())
    reply = await invoke("quiet", Log_Type="Tail")
    request_id = reply.headers["x-amzn-requestid"]
    start, end, report, rest = reply.log.split("\n")
    assert start == f"START RequestId: {request_id} Version: $LATEST"
    assert end == f"END RequestId: {request_id}"
    fields = report.split("\t")
    assert fields[0] == f"REPORT RequestId: {request_id}"
    assert [field.partition(":")[0] for field in fields[1:]] == [
        "Duration",
        "Billed Duration",
        "Memory Size",
        "Max Memory Used",
        "",
    ]
    assert rest == ""
    assert "x-amz-log-result" not in (await invoke("quiet")).headers


async def test_a_long_tail_is_cut_to_its_last_bytes(local: LocalLambda, invoke: Any) -> None:
    def fail(event: Any, context: Any) -> None:
        raise ValueError("ä" * 5000)

    local.function("fail", fail)
    reply = await invoke("fail", Log_Type="Tail")
    assert len(base64.b64decode(reply.headers["x-amz-log-result"])) == 4096
    assert "START" not in reply.log
    assert "REPORT RequestId" in reply.log


async def test_bytes_are_answered_as_they_are(local: LocalLambda, invoke: Any) -> None:
    local.function("bytes", lambda event, context: json.dumps(event).encode())
    reply = await invoke("bytes", b"[1]")
    assert (reply.body, reply.headers["content-type"]) == (b"[1]", "application/unknown")
