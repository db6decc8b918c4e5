"""The life cycle of worker processes: memory, idleness, tenants and reloading, over real HTTP."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.execution import memory
from tests.doubles.handlers import until

pytest.importorskip("awslambdaric", reason="needs the extra: pip install 'asyncinvoke[local]'")
pytestmark = pytest.mark.anyio

HANDLERS = """
import ctypes
import os
import threading
import time

def fill(event, context):
    held = b"x" * (event["mb"] * 1024 * 1024)
    time.sleep(event.get("seconds", 0))
    return len(held)

def start_threads(event, context):
    threads = [threading.Thread(target=time.sleep, args=(0.1,)) for _ in range(event)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(threads)

def set_name(event, context):
    return ctypes.CDLL(None).prctl(15, event.encode(), 0, 0, 0)  # PR_SET_NAME: 15 bytes

def pid(event, context):
    if isinstance(event, str):
        while not os.path.exists(event):
            time.sleep(0.005)
    else:
        time.sleep(event or 0)
    return os.getpid()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text(HANDLERS, encoding="utf-8")
    return tmp_path


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has used")
@pytest.mark.parametrize(("seconds", "interval"), [(0, 60), (60, memory.CHECK_INTERVAL)])
async def test_a_process_that_uses_more_memory_than_its_function_has_is_killed(
    local: LocalLambda,
    invoke: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
    interval: float,
) -> None:
    monkeypatch.setattr(memory, "CHECK_INTERVAL", interval)
    local.function("fill", "work:fill", directory=folder, timeout=90)
    assert (await invoke("fill", b'{"mb": 64}')).json() == 64 * 1024 * 1024
    body = json.dumps({"mb": 150, "seconds": seconds})
    killed = await invoke("fill", body, Log_Type="Tail")
    request_id = killed.headers["x-amzn-requestid"]
    assert (killed.status, killed.headers["x-amz-function-error"]) == (200, "Unhandled")
    assert killed.json() == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: signal: killed",
    }
    assert "\tMax Memory Used: 128 MB\t" in killed.log
    assert killed.log.endswith("\tStatus: error\tError Type: Runtime.OutOfMemory\n")
    assert (await invoke("fill", b'{"mb": 1}')).status == 200
    assert local.statistics().cold_starts == 2


async def test_memory_that_is_only_reserved_is_not_counted(
    local: LocalLambda, invoke: Any, folder: Path
) -> None:
    local.function("large", "work:fill", directory=folder, memory_size=512)
    local.function("threads", "work:start_threads", directory=folder)
    assert (await invoke("large", b'{"mb": 150}')).json() == 150 * 1024 * 1024
    assert (await invoke("threads", b"40")).json() == 40


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux cuts the name of a process")
async def test_a_process_may_have_a_name_that_is_cut_within_a_character(
    local: LocalLambda, invoke: Any, folder: Path
) -> None:
    local.function("named", "work:set_name", directory=folder)
    reply = await invoke("named", json.dumps("é" * 20), Log_Type="Tail")
    assert (reply.status, reply.json()) == (200, 0)
    assert "\tMax Memory Used: 0 MB\t" not in reply.log


async def test_an_idle_process_is_ended_and_a_busy_one_is_not(
    request_to: Any, folder: Path
) -> None:
    path = "/2015-03-31/functions/pid/invocations"
    async with LocalLambda(idle_timeout=0.2) as local:
        local.function("pid", "work:pid", directory=folder)
        pids = {(await request_to(local.url, path, b"0.3")).json() for _ in range(2)}
        assert local.statistics().function_errors == 0
        await until(lambda: not any(map(is_running, pids)))
        assert (await request_to(local.url, path)).json() not in pids


async def test_tenants_share_no_process(local: LocalLambda, invoke: Any, folder: Path) -> None:
    local.function("pid", "work:pid", directory=folder)
    pids: dict[str, set[int]] = {}
    for tenant in ("blue", "red", "none", "red", "blue", "none"):
        headers = {} if tenant == "none" else {"Tenant_Id": tenant}
        pids.setdefault(tenant, set()).add((await invoke("pid", **headers)).json())
    assert [len(ids) for ids in pids.values()] == [1, 1, 1]
    assert len(set.union(*pids.values())) == 3


@pytest.mark.parametrize("reload", [True, False])
async def test_a_changed_file_is_loaded_again_if_that_is_wanted(
    request_to: Any, folder: Path, tmp_path: Path, reload: bool
) -> None:
    path = "/2015-03-31/functions/pid/invocations"
    replies: list[Any] = []

    async def call(body: bytes) -> None:
        replies.append((await request_to(local.url, path, body)).json())

    async with LocalLambda(reload=reload) as local:
        local.function("pid", "work:pid", directory=folder, timeout=60)
        await call(b"0")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, json.dumps(str(tmp_path / "changed")).encode())
            await until(lambda: local.statistics().in_flight == 1)
            (folder / "work.py").write_text("def pid(event, context): return 'changed'")
            (tmp_path / "changed").touch()
        old = replies[0]
        assert replies == [old, old]
        await call(b"0")
        assert replies[2] == ("changed" if reload else old)
        if reload:
            await until(lambda: not is_running(old))
