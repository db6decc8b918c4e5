"""Starting, stopping, invalid arguments, and leftovers."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda
from tests.doubles.handlers import until

pytestmark = pytest.mark.anyio

PATH = "/2015-03-31/functions/{}/invocations"


def children() -> set[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, text=True
    )
    lines = [line.split(maxsplit=1) for line in found.stdout.splitlines()]
    return {int(pid) for pid, name in lines if name != "ps"}


def sockets() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return {each for each in found if each.startswith(("socket:", "pipe:"))}


async def call_and_wait(local: LocalLambda, request_to: Any, name: str) -> None:
    with pytest.raises((ConnectionError, OSError)):
        await request_to(local.url, PATH.format(name), b"20")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts through /proc")
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_nothing_is_left_after_the_block_even_of_running_calls(
    request_to: Any, handlers: Path
) -> None:
    # The first thread of this test's client is created before the count.
    await anyio.to_thread.run_sync(int)
    before, open_before = children(), sockets()
    cancelled = []

    async def hold(event: Any, context: Any) -> None:
        try:
            await _forever()
        finally:
            cancelled.append(event)

    async with anyio.create_task_group() as tasks, LocalLambda() as local:
        local.function("hold", hold, timeout=60)
        local.function("quick", lambda event, context: event)
        local.function("pause", "handlers:pause", directory=handlers, timeout=60)
        assert (await request_to(local.url, PATH.format("quick"), b"1")).json() == 1
        await request_to(local.url, PATH.format("pause"), b"0")
        for name in ("hold", "pause", "pause"):
            tasks.start_soon(call_and_wait, local, request_to, name)
        event = {"X-Amz-Invocation-Type": "Event"}
        await request_to(local.url, PATH.format("hold"), b"21", headers=event)
        await until(lambda: local.statistics().in_flight == 4)
        await until(
            lambda: len(children() - before) == 3
        )  # one of them cleans up if this process is killed
    assert sorted(cancelled) == [20, 21]
    assert local.statistics().in_flight == 0
    assert children() == before
    # Objects of earlier tests may be collected meanwhile.
    assert sockets() <= open_before
    assert not [t for t in threading.enumerate() if t.name.startswith("asyncinvoke-local")]
    assert repr(local) == "<LocalLambda closed account_concurrency=1000>"


async def _forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_it_works_for_callers_on_trio(
    local: LocalLambda, invoke: Any, handlers: Path
) -> None:
    async def asynchronous(event: Any, context: Any) -> Any:
        return [local.statistics().in_flight, event]

    local.function("async", asynchronous)
    local.function("sync", lambda event, context: event)
    local.function("process", "handlers:letters", directory=handlers)
    assert (await invoke("async", b"1")).json() == [1, 1]
    assert (await invoke("sync", b"2")).json() == 2
    assert (await invoke("process", b"3")).json() == "xxx"
    limited = local.function("limited", lambda event, context: event, reserved_concurrency=0)
    assert (await invoke("limited")).status == 429
    limited.reserved_concurrency = None
    local.account_concurrency = 0
    await invoke("limited", Invocation_Type="Event")
    local.account_concurrency = 1
    await until(lambda: local.statistics().functions["limited"].executions == 1)


def test_functions_can_be_registered_before_and_outside_the_loop() -> None:
    async def main() -> None:
        async with local:
            assert local.url.startswith("http://127.0.0.1:")

    local = LocalLambda(account_concurrency=3)
    function = local.function("early", lambda event, context: None, reserved_concurrency=1)
    assert function.arn == "arn:aws:lambda:us-east-1:123456789012:function:early"
    assert repr(function) == "<LocalFunction 'early' reserved_concurrency=1>"
    assert repr(local) == "<LocalLambda not started account_concurrency=3>"
    with pytest.raises(RuntimeError, match="before its block is entered"):
        _ = local.url
    anyio.run(main)


async def test_it_may_be_left_in_another_task_than_it_was_entered_in(request_to: Any) -> None:
    local = LocalLambda()
    await asyncio.create_task(local.__aenter__())
    local.function("quick", lambda event, context: event)
    assert (await request_to(local.url, PATH.format("quick"), b"1")).json() == 1
    await asyncio.create_task(local.__aexit__(None, None, None))
    with pytest.raises(ConnectionRefusedError):
        await request_to(local.url, PATH.format("quick"))


@pytest.mark.parametrize("option", ["on_invocation", "on_log", "on_event"])
async def test_a_listener_that_raises_is_logged_and_ends_nothing(
    request_to: Any, handlers: Path, caplog: pytest.LogCaptureFixture, option: str
) -> None:
    def refuse(told: object) -> None:
        raise LookupError(str(told))

    listener: dict[str, Any] = {option: refuse}
    async with LocalLambda(**listener) as local:
        local.function("pause", "handlers:pause", directory=handlers, timeout=60)
        for kind, status in (("Event", 202), ("RequestResponse", 200)):
            headers = {"X-Amz-Invocation-Type": kind}
            reply = await request_to(local.url, PATH.format("pause"), b"0", headers=headers)
            assert reply.status == status
        await until(lambda: local.statistics().executions == 2)
        await until(lambda: local.statistics().in_flight == 0)
    line = refuse.__code__.co_firstlineno + 1
    assert set(caplog.messages) == {f"{option} failed: LookupError at {__file__}:{line}"}


async def test_it_is_entered_once(local: LocalLambda) -> None:
    with pytest.raises(RuntimeError, match="make a new one"):
        await local.__aenter__()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_port_in_use_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = rf"cannot listen on 127\.0\.0\.1 port {port}: Address already in use"
        with pytest.raises(OSError, match=message):
            async with LocalLambda(port=port):
                pass


async def test_it_listens_on_loopback_only(local: LocalLambda) -> None:
    port = int(local.url.rpartition(":")[2])
    with (
        pytest.raises(ConnectionRefusedError),
        socket.create_connection(("127.0.0.2", port), timeout=1),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": 65_536}, "port=65536 must be"),
        ({"port": "80"}, "port='80' must be"),
        ({"account_concurrency": -1}, "account_concurrency=-1 must be"),
        ({"account_id": "12"}, "account_id='12' must be twelve digits"),
        ({"region_name": ""}, "region_name='' must be one such as us-east-1"),
        ({"region_name": "here"}, "region_name='here' must be one such as us-east-1"),
        ({"s3": "http://"}, "s3='http://' must name a host"),
        ({"caller_rate": 0}, "caller_rate=0 must be a number above 0"),
        ({"scaling_rate": 0.5}, "scaling_rate=0.5 must be a whole number, 1 or more"),
        ({"event_time_scale": 0}, "event_time_scale=0 must be above 0 and at most 1"),
        ({"idle_timeout": 0}, "idle_timeout=0 must be above 0 seconds"),
        ({"settling_time": -1}, "settling_time=-1 must be 0 seconds or more"),
        ({"keep_requests": -1}, "keep_requests=-1 must be a whole number"),
        ({"host": "0.0.0.0"}, "host '0.0.0.0' would let other machines run code here"),
        ({"host": "::"}, "host '::' would let other machines"),
        ({"host": "localhost.example"}, "host 'localhost.example' must be an IP address"),
        ({"on_invocation": 5}, "on_invocation=5 must be a callable that is not async"),
        (
            {"on_log": anyio.sleep},
            "on_log=<function sleep .*> must be a callable that is not async",
        ),
        ({"on_event": "print"}, "on_event='print' must be a callable"),
        (
            {"host": "0.0.0.0", "allow_remote": "false"},
            "allow_remote='false' must be True or False",
        ),
        ({"allow_unsigned": "0"}, "allow_unsigned='0' must be True or False"),
        ({"limit_request_rate": 5}, "limit_request_rate=5 must be True or False"),
        ({"reload": None}, "reload=None must be True or False"),
        ({"sandbox": "no"}, "sandbox='no' must be True or False"),
        ({"freeze": 0}, "freeze=0 must be True or False"),
        ({"account_id": 123456789012}, "account_id=123456789012 must be twelve digits"),
        ({"region_name": 1}, "region_name=1 must be one such as us-east-1"),
        ({"s3": 5}, "s3=5 must be a folder that is there, or a URL"),
        ({"allowed_hosts": 5}, "allowed_hosts=5 must be a list of names"),
        ({"allowed_hosts": [5]}, "allowed host 5 must be a name, without a port"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LocalLambda(**options)


@pytest.mark.parametrize(
    ("name", "handler", "options", "message"),
    [
        ("a b", print, {}, "function name 'a b' must be"),
        ("a" * 65, print, {}, "must be 1 to 64 letters"),
        ("f", None, {}, "handler None of 'f' must be a callable or a string"),
        ("taken", print, {}, "function 'taken' is registered already"),
        ("f", print, {"timeout": 0}, "timeout=0 must be above 0"),
        ("f", print, {"timeout": 901}, "timeout=901 must be above 0 and at most 900"),
        ("f", print, {"memory_size": 64}, "memory_size=64 must be 128 to 10240"),
        ("f", print, {"reserved_concurrency": 1001}, "1001 reserved for functions is more than"),
        ("f", print, {"reserved_concurrency": -1}, "reserved_concurrency=-1 must be"),
        ("f", print, {"environment": {"A": 1}}, "environment variable 'A' and its value"),
        ("f", print, {"environment": {"": "1"}}, "environment variable '' must have a name"),
        (
            "f",
            print,
            {"environment": {"A=B": "1"}},
            "variable 'A=B' must have a name, and no NUL or =",
        ),
        ("f", print, {"environment": {"A": "\0"}}, "variable 'A' must have a name, and no NUL"),
        ("f", print, {"environment": {"AWS_REGION": "x"}}, "AWS_REGION is set by Lambda itself"),
        ("f", "handler", {}, "handler 'handler' must be 'module:function'"),
        ("f", "a.py:b-c", {}, "must be 'module:function'"),
        ("f", "gone.py:handler", {}, "file 'gone.py' of handler 'gone.py:handler' does not exist"),
        ("f", "a:b", {"directory": "/gone"}, "directory '/gone' of handler 'a:b' does not exist"),
    ],
)
def test_a_wrong_function_is_named(
    name: str, handler: Any, options: dict[str, Any], message: str
) -> None:
    local = LocalLambda()
    local.function("taken", print)
    with pytest.raises(ValueError, match=message):
        local.function(name, handler, **options)
    assert local.statistics().functions.keys() == {"taken"}


def test_a_limit_below_what_is_reserved_is_refused() -> None:
    local = LocalLambda(account_concurrency=5)
    local.function("f", print, reserved_concurrency=3)
    with pytest.raises(ValueError, match="3 reserved for functions is more than"):
        local.account_concurrency = 2
    assert local.account_concurrency == 5


def run_python(code: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_awss_runtime_the_extra_is_named(handlers: Path) -> None:
    code = (
        "import sys; sys.modules['awslambdaric'] = None\n"
        "from asyncinvoke.local import LocalLambda\n"
        "try: LocalLambda().function('f', 'handlers:describe')\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    done = run_python(code, handlers)
    assert done.stderr == ""
    assert "pip install 'asyncinvoke[local]'" in done.stdout


STUCK = """
import anyio, threading, urllib.request
from asyncinvoke.local import LocalLambda

async def main():
    async with LocalLambda(allow_unsigned=True) as local:
        local.function("stuck", lambda event, context: threading.Event().wait(), timeout=0.1)
        url = f"{local.url}/2015-03-31/functions/stuck/invocations"
        print(await anyio.to_thread.run_sync(lambda: urllib.request.urlopen(url, b"").read()))

anyio.run(main)
"""


def test_a_handler_that_never_returns_does_not_keep_its_process_from_ending(
    tmp_path: Path,
) -> None:
    done = run_python(STUCK, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Task timed out after 0.10 seconds" in done.stdout
