"""The restrictions of AWS's execution environment, and how it starts and is frozen."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.execution import environment
from asyncinvoke.local.execution.environment import Environment
from asyncinvoke.local.execution.guardian import program

pytest.importorskip("awslambdaric", reason="needs the extra: pip install 'asyncinvoke[local]'")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="worker processes are for Linux"),
]

HANDLERS = """
import os, tempfile, threading, time

def write(event, context):
    done = {}
    for path in ("/tmp/kept", "beside", __file__ + ".new", tempfile.gettempdir() + "/temporary"):
        try:
            with open(path, "a") as file:
                file.write(str(event))
            done[path] = open(path).read()
        except OSError as error:
            done[path] = error.errno
    return done

def background(event, context):
    ticks = event
    def tick():
        while True:
            with open(ticks, "a") as file:
                file.write(".")
            time.sleep(0.01)
    threading.Thread(target=tick, daemon=True).start()
    return os.getpid()

def call_another(event, context):
    import boto3
    answer = boto3.client("lambda").invoke(FunctionName="echo", Payload=b'"hello"')
    return answer["Payload"].read().decode()
"""

SLOW = """
import os, time
first = not os.path.exists("started")
open("started", "a").write("x")
print("starting")
while first or {always}:
    time.sleep(600)
def f(event, context):
    return "started"
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text(HANDLERS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def asked(request_to: Any) -> Callable[..., Any]:
    async def ask(local: LocalLambda, name: str, event: object) -> Any:
        path = f"/2015-03-31/functions/{name}/invocations"
        headers = {"X-Amz-Log-Type": "Tail"}
        return await request_to(local.url, path, json.dumps(event), headers=headers)

    return ask


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition on processes, which takes long on a busy machine."""
    with anyio.fail_after(90):
        while not condition():
            await anyio.sleep(0.01)


def is_allowed(folder: Path) -> bool:
    command = [sys.executable, *program("confined"), "none", str(folder.parent), str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return "does not allow" not in ended.stderr


async def test_in_a_sandbox_only_tmp_is_written_to_and_each_process_has_its_own(
    folder: Path, asked: Any
) -> None:
    if not is_allowed(folder):
        pytest.skip("this system allows no namespaces")
    beside, own = "beside", f"{folder / 'work.py'}.new"
    async with LocalLambda(sandbox=True) as local:
        local.function("write", "work:write", directory=folder, timeout=60)
        first = (await asked(local, "write", 1)).json()
        assert first == {"/tmp/kept": "1", "/tmp/temporary": "1", beside: 30, own: 30}
        again = (await asked(local, "write", 2)).json()
        assert again["/tmp/kept"] == "12"
        local.function("other", "work:write", directory=folder, timeout=60)
        assert (await asked(local, "other", 3)).json()["/tmp/kept"] == "3"
    assert not os.path.exists("/tmp/kept")
    assert {path.name for path in folder.iterdir()} <= {"work.py", "__pycache__"}


IN_A_LAYER = """
import runpy, sys
from pathlib import Path
code, layer, tmp = map(Path, sys.argv[2:])
runpy.run_path(sys.argv[1])["confine"]([code, layer], tmp)
print((layer / "bin" / "tool").read_text("utf-8"))
try:
    (layer / "new").touch()
except OSError as error:
    print(error.errno)
"""


def test_in_a_sandbox_all_of_a_layer_is_there_and_read_only(folder: Path, tmp_path: Path) -> None:
    if not is_allowed(folder):
        pytest.skip("this system allows no namespaces")
    for name in ("code", "layer/bin", "own"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "layer" / "bin" / "tool").write_text("tool")
    directories = [str(tmp_path / name) for name in ("code", "layer", "own")]
    command = [sys.executable, "-c", IN_A_LAYER, *program("confined"), *directories]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("tool\n30\n", "")


def test_if_no_sandbox_is_allowed_the_process_reports_it(tmp_path: Path) -> None:
    command = [sys.executable, *program("confined"), "none", str(tmp_path), "/"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr == "this system does not allow a sandbox: code in / would hide /tmp\n"


@pytest.mark.parametrize("freeze", [False, True])
async def test_a_frozen_process_does_nothing_between_invocations(
    folder: Path, asked: Any, freeze: bool
) -> None:
    ticks = folder / "ticks"
    async with LocalLambda(freeze=freeze) as local:
        local.function("tick", "work:background", directory=folder, timeout=60)
        pid = (await asked(local, "tick", str(ticks))).json()

        def state() -> str:
            return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]

        if freeze:
            await until(lambda: state() == "T")
            assert (await asked(local, "tick", str(ticks))).json() == pid
            await until(lambda: state() == "T")
        else:
            seen = ticks.stat().st_size
            await until(lambda: ticks.stat().st_size > seen)
    assert not Path(f"/proc/{pid}").exists()


async def test_a_function_calls_another_with_the_credentials_that_it_finds(
    folder: Path, asked: Any
) -> None:
    async with LocalLambda() as local:
        local.function("echo", lambda event, context: event)
        local.function("call", "work:call_another", directory=folder, timeout=60)
        assert (await asked(local, "call", None)).json() == '"hello"'


@pytest.mark.parametrize("always", [False, True])
async def test_a_start_that_takes_too_long_is_repeated_in_the_functions_own_time(
    tmp_path: Path, asked: Any, environments: list[Environment], always: bool
) -> None:
    (tmp_path / "slow.py").write_text(SLOW.format(always=always), encoding="utf-8")
    started = tmp_path / "started"

    async def passes(starts: int) -> None:
        """Let the time limit of a start pass while its module is imported."""
        await until(lambda: started.exists() and started.read_text("utf-8") == "x" * starts)
        environments[-1]._scope.deadline = anyio.current_time()

    replies = []

    async def ask() -> None:
        replies.append(await asked(local, "slow", None))

    async with LocalLambda() as local:
        local.function("slow", "slow:f", directory=tmp_path, timeout=60)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await passes(1)
            if always:
                await passes(2)
        assert local.statistics().cold_starts == 2
    (reply,) = replies
    assert "\tPhase: init\tStatus: timeout\n" in reply.log
    if always:
        assert reply.json()["errorType"] == "Sandbox.Timedout"
        assert reply.json()["errorMessage"].endswith("Task timed out after 60.00 seconds")
    else:
        assert reply.json() == "started"
        assert "Init Duration" not in reply.log.partition("REPORT RequestId")[2]
    assert started.read_text("utf-8") == "xx"


def test_a_first_start_has_ten_seconds() -> None:
    assert environment.INIT_LIMIT == 10.0
