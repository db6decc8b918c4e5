"""However the endpoint ends, and whatever a handler starts, no process and no folder is left."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.execution import remains
from tests.doubles.zipped import zipped

pytest.importorskip("awslambdaric", reason="needs the extra: pip install 'asyncinvoke[local]'")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="worker processes are for Linux"),
]

# It starts a process in a separate session, prints its ID, and never ends by itself.
HANDLERS = """
import os, signal, subprocess, sys, time

def busy(event, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    with open(event + ".part", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(event + ".part", event)
    time.sleep(600)

def leaves_a_child(event, context):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    return child.pid
"""

ENDPOINT = """
import base64, io, json, os, sys, urllib.request, zipfile
import anyio
from asyncinvoke.local import LocalLambda

def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {
        "Authorization": "AWS4-HMAC-SHA256 x", "X-Amz-Invocation-Type": "Event"})
    urllib.request.urlopen(request, timeout=30).close()

async def main():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.write("work.py")
    async with LocalLambda(settling_time=0) as local:
        await anyio.to_thread.run_sync(post, local.url + "/2015-03-31/functions", {
            "FunctionName": "busy", "Runtime": "python3.13", "Handler": "work.busy", "Timeout": 900,
            "Role": "arn:aws:iam::123456789012:role/any",
            "Code": {"ZipFile": base64.b64encode(archive.getvalue()).decode()}})
        path = local.url + "/2015-03-31/functions/busy/invocations"
        await anyio.to_thread.run_sync(post, path, os.path.abspath("started"))
        await anyio.sleep_forever()

anyio.run(main)
"""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition on processes, which takes long on a busy machine."""
    with anyio.fail_after(90):
        while not condition():
            await anyio.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text(HANDLERS, encoding="utf-8")
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("number", "is_zipped"),
    [
        *((number, False) for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL)),
        pytest.param(signal.SIGKILL, True, id="of a package in a zip file"),
    ],
)
async def test_an_endpoint_that_a_signal_ends_leaves_no_process_and_no_folder(
    folder: Path, number: signal.Signals, is_zipped: bool
) -> None:
    held = folder / "tmp"
    imported = {"PYTHONPATH": str(zipped(folder))} if is_zipped else {}
    process = subprocess.Popen(
        [sys.executable, "-c", ENDPOINT],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(held)} | imported,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        started = folder / "started"
        await until(started.exists)
        pids = [int(pid) for pid in started.read_text("utf-8").split()]
        assert all(map(is_running, pids))
        assert [path.name for path in held.iterdir() if path.name.startswith("asyncinvoke-")]
    finally:
        process.send_signal(number)
        await anyio.to_thread.run_sync(process.wait)
    assert process.returncode == -number
    await until(lambda: not any(map(is_running, pids)))
    await until(lambda: not [p for p in held.iterdir() if p.name.startswith("asyncinvoke-")])


async def test_what_a_handler_started_ends_with_its_environment(
    request_to: Any, folder: Path
) -> None:
    async with LocalLambda() as local:
        local.function("leaves", "work:leaves_a_child", directory=folder, timeout=60)
        path = "/2015-03-31/functions/leaves/invocations"
        pid = json.loads((await request_to(local.url, path, b"{}")).body)
        assert is_running(pid)
    assert not is_running(pid)


def test_a_guardian_that_starts_after_its_endpoint_was_killed_still_cleans_up(
    tmp_path: Path,
) -> None:
    mark, held = uuid.uuid4().hex, tmp_path / "held"
    held.mkdir()
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        env=os.environ | {remains.MARK.decode().rstrip("="): mark},
    )
    another = 2**22  # no parent of the guardian
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", remains.__file__, str(another)],
        stdin=subprocess.PIPE,
        bufsize=0,
    )
    try:
        assert guardian.stdin is not None
        guardian.stdin.write(f"+p{mark}\n+d{held}\n".encode())
        # A fork of the endpoint keeps the pipe open.
        assert guardian.wait(60) == 0
        assert not held.exists()
        assert left.wait(60) == -signal.SIGKILL
    finally:
        left.kill()
        left.wait()
        with guardian:
            pass


def test_what_a_handler_left_is_killed_in_a_process_of_thousands_of_open_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1_100  # above 1,023, the limit of `select`
    if hard < 2 * wanted:
        pytest.skip("this process may not open so many files")
    opened = os.pidfd_open

    def open_high(pid: int) -> int:
        low = opened(pid)
        try:
            return fcntl.fcntl(low, fcntl.F_DUPFD, wanted)
        finally:
            os.close(low)

    monkeypatch.setattr(os, "pidfd_open", open_high)
    mark = uuid.uuid4().hex
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * wanted), hard))
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        env=os.environ | {remains.MARK.decode().rstrip("="): mark},
    )
    try:
        remains.kill_marked({mark})
        assert left.wait(60) == -signal.SIGKILL
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        left.kill()
        left.wait()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child only waits
async def test_a_fork_of_the_process_does_not_keep_the_endpoint_from_ending(
    request_to: Any, folder: Path
) -> None:
    waiting, waker = os.pipe()
    async with LocalLambda() as local:
        local.function("leaves", "work:leaves_a_child", directory=folder, timeout=60)
        path = "/2015-03-31/functions/leaves/invocations"
        await request_to(local.url, path, b"{}")
        pid = os.fork()
        if not pid:
            os.close(waker)
            os.read(waiting, 1)
            os._exit(0)
    # It has ended while the fork, which has copies of all open files, continues.
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    for descriptor in (waker, waiting):
        os.close(descriptor)
    os.waitpid(pid, 0)


@pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child only waits
async def test_a_fork_of_the_process_does_not_keep_the_port_of_the_endpoint_in_use() -> None:
    async with LocalLambda() as local:
        port = int(local.url.rpartition(":")[2])
        waiting, waker = os.pipe()
        is_forked, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(tell, b"!")
            os.close(waker)
            os.read(waiting, 1)  # until the other end is closed
            os._exit(0)
    try:
        os.read(is_forked, 1)
        async with LocalLambda(port=port) as local:
            assert local.url.endswith(f":{port}")
    finally:
        for descriptor in (waker, waiting, tell, is_forked):
            os.close(descriptor)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("was_loading", [True, False], ids=["and still does", "and just ended"])
def test_a_process_that_loads_its_program_is_killed_once_it_has_its_environment(
    was_loading: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = uuid.uuid4().hex
    variables = remains.MARK + mark.encode()
    read = [b"", variables]  # the environment of a process within `exec` is empty

    def reads(path: str) -> bytes:
        if path.endswith("/environ"):
            return read.pop(0)
        return b"1 (a b) S " + b" ".join([b"1"] * 46 + [b"0" if was_loading else b"9"] + [b"1"])

    monkeypatch.setattr(remains, "_read", reads)
    assert remains._is_marked(os.getpid(), {mark.encode()})
    read = [b"", b""]
    if not was_loading:
        assert not remains._is_marked(os.getpid(), {mark.encode()})
