"""`asyncinvoke local` as a process."""

import contextlib
import http.client
import io
import json
import re
import signal
import socket
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import boto3
import pytest

from tests.doubles.sockets import SIGNATURE

from .processes import Lines, Run, started

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric is for Linux"),
]

HANDLERS = """
import os

def resize(event, context):
    return {"got": event, "color": os.environ.get("COLOR"), "name": context.function_name}

if True:
    conditional = lambda event, context: "conditional"
"""


@pytest.fixture
def handlers(tmp_path: Path) -> Path:
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "broken.py").write_text("def f(:\n")
    return tmp_path


def call(url: str, name: str, payload: object) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(
            "POST",
            f"/2015-03-31/functions/{name}/invocations",
            json.dumps(payload).encode(),
            {"Authorization": SIGNATURE},
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_it_serves_until_a_signal_and_then_sums_up(
    number: signal.Signals, status: int, handlers: Path
) -> None:
    async with started(
        *("local", "handlers.py:resize", "small=handlers.py:resize", "handlers:conditional"),
        *("--port", "0", "--reserved", "small=0", "--env", "COLOR=blue"),
        cwd=handlers,
    ) as process:
        err = Lines(process.stderr)
        greeting = re.fullmatch(
            r"Serving resize, small, conditional at (http://127\.0\.0\.1:\d+)", await err.next()
        )
        assert greeting is not None
        url = greeting[1]
        answer = await anyio.to_thread.run_sync(call, url, "resize", {"n": 1})
        assert (answer[0], json.loads(answer[1])) == (
            200,
            {"got": {"n": 1}, "color": "blue", "name": "resize"},
        )
        assert await anyio.to_thread.run_sync(call, url, "conditional", 1) == (
            200,
            b'"conditional"',
        )
        assert (await anyio.to_thread.run_sync(call, url, "small", 1))[0] == 429
        process.send_signal(number)
        assert await process.wait() == status
        said = await err.all()
        assert f"aws lambda invoke --function-name resize --endpoint-url {url}" in said
        assert said.splitlines()[-1] == (
            "3 invocations, 1 throttled, 0 function errors, 2 cold starts"
        )


async def test_without_functions_it_waits_for_those_that_are_created(handlers: Path) -> None:
    async with started("local", "--port", "0", "--host", "::1", cwd=handlers) as process:
        err = Lines(process.stderr)
        greeting = re.fullmatch(
            r"Serving no function yet at (http://\[::1\]:\d+)", await err.next()
        )
        assert greeting is not None
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as bundle:
            bundle.write(handlers / "handlers.py", "handlers.py")

        def create_and_invoke() -> bytes:
            client = boto3.client("lambda", "us-east-1", endpoint_url=greeting[1])
            client.create_function(
                FunctionName="made",
                Runtime="python3.12",
                Role="arn:aws:iam::123456789012:role/made",
                Handler="handlers.resize",
                Code={"ZipFile": archive.getvalue()},
            )
            client.get_waiter("function_active_v2").wait(
                FunctionName="made", WaiterConfig={"Delay": 1}
            )
            with contextlib.closing(client):
                body: bytes = client.invoke(FunctionName="made", Payload=b"1")["Payload"].read()
                return body

        answer = json.loads(await anyio.to_thread.run_sync(create_and_invoke))
        assert (answer["got"], answer["name"]) == (1, "made")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


async def test_told_twice_it_listens_elsewhere_and_says_so_loudly(handlers: Path) -> None:
    async with started(
        *("local", "handlers.py:resize", "--port", "0", "--host", "0.0.0.0", "--allow-remote"),
        cwd=handlers,
    ) as process:
        err = Lines(process.stderr)
        url = (await err.next()).split()[-1]
        assert url.startswith("http://127.0.0.1:")
        assert (await err.next()).startswith("WARNING: other machines reach it")
        assert (await anyio.to_thread.run_sync(call, url, "resize", 1))[0] == 200
        process.send_signal(signal.SIGINT)


async def test_it_prints_one_line_for_each_invocation(handlers: Path) -> None:
    (handlers / "handlers.py").write_text("def fail(event, context): return 1 / event")
    async with started(
        *("local", "handlers.py:fail", "none=handlers.py:fail", "--reserved", "none=0"),
        *("--port", "0"),
        cwd=handlers,
    ) as process:
        err = Lines(process.stderr)
        url = (await err.next()).split()[-1]
        for name, payload in (("fail", 1), ("fail", 0), ("none", 1), ("no%0Asuch%1B", 1)):
            await anyio.to_thread.run_sync(call, url, name, payload)
        process.send_signal(signal.SIGINT)
        said = (await err.all()).splitlines()[-5:-1]
    lines = [
        r" fail 200 [\d,]+ ms",
        r" fail 200 [\d,]+ ms function error: Unhandled",
        r" none 429 [\d,]+ ms throttled: ReservedFunctionConcurrentInvocationLimitExceeded",
        r" 'no\\nsuch\\x1b' 400 [\d,]+ ms",
    ]
    for pattern, line in zip(lines, said, strict=True):
        assert re.fullmatch(r"[0-9a-f-]{36}" + pattern, line)


async def test_it_runs_what_a_changed_file_says_and_is_quiet_on_demand(handlers: Path) -> None:
    (handlers / "handlers.py").write_text("def tell(event, context): return 'old'")
    async with started(
        "local", "handlers.py:tell", "--port", "0", "--quiet", cwd=handlers
    ) as process:
        err = Lines(process.stderr)
        url = (await err.next()).split()[-1]
        assert await anyio.to_thread.run_sync(call, url, "tell", 1) == (200, b'"old"')
        (handlers / "handlers.py").write_text("def tell(event, context): return 'changed'")
        assert await anyio.to_thread.run_sync(call, url, "tell", 1) == (200, b'"changed"')
        process.send_signal(signal.SIGINT)
        said = await err.all()
    assert " 200 " not in said
    assert said.splitlines()[-1].startswith("2 invocations, ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "host '0.0.0.0' would let other machines run code here"),
        (["--host", "::"], "say allow_remote (--allow-remote) as well"),
        (["--host", "example.com", "--allow-remote"], "host 'example.com' must be an IP address"),
        (["handlers"], "'handlers' must be FILE.py:FUNCTION or MODULE:FUNCTION"),
        (["missing.py:f"], "cannot read missing.py"),
        (["missing:f"], "there is no module 'missing' here"),
        (["handlers.py:shrink"], "handlers.py has no function 'shrink'"),
        (["handlers:event"], "handlers.py has no function 'event'"),
        (["broken.py:f"], "broken.py, line 1: syntax error"),
        (["no.dots=handlers.py:resize"], "cannot read"),
        (["handlers.py:resize", "handlers:resize"], "two functions are called resize"),
        (["handlers.py:resize", "--reserved", "other=1"], "--reserved other: no such function"),
        (["handlers.py:resize", "--reserved", "resize=-1"], "--reserved resize=-1"),
        (["handlers.py:resize", "--reserved", "resize=51"], "51 reserved"),
        (["handlers.py:resize", "--reserved", "resize"], "--reserved 'resize' must be NAME=N"),
        (["handlers.py:resize", "--env", "=x"], "--env '=x' must be K=V"),
        (["handlers.py:resize", "--port", "65536"], "--port"),
        (["handlers.py:resize", "--account-concurrency", "0"], "--account-concurrency"),
        (["handlers.py:resize", "--timeout", "901"], "--timeout"),
    ],
)
async def test_bad_input_is_one_clear_line(
    arguments: list[str], says: str, handlers: Path, run: Run
) -> None:
    ended = await run("local", *arguments)
    assert ended.status == 2
    assert ended.err.startswith("asyncinvoke: error: ")
    assert ended.err.count("\n") == 1
    assert says in ended.err


async def test_a_port_in_use_is_one_clear_line(handlers: Path, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await run("local", "handlers.py:resize", "--port", str(port))
    assert ended.status == 2
    assert ended.err.startswith(f"asyncinvoke: error: cannot listen on 127.0.0.1 port {port}")
    assert ended.err.count("\n") == 1
