"""A map on a Dask cluster of two processes, against an endpoint that counts."""

import asyncio
import errno
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

import asyncinvoke.dask
from asyncinvoke import ConfigurationError, InvalidRequestError
from asyncinvoke._dask import working
from asyncinvoke._dask.plan import Control, Plan, read_control, shards_for, share, write_control
from asyncinvoke._dask.run import DaskRun
from tests.doubles.counting_server import CountingServer

SOON = 60
ROOT = Path(__file__).parents[2]


def test_every_item_runs_once_on_some_worker_and_the_journals_become_one(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        "".join(f"{number}\n" for number in range(103)), encoding="utf-8"
    )
    with CountingServer() as server:
        done = subprocess.run(
            [sys.executable, ROOT / "tests/dask/cluster.py", tmp_path],
            capture_output=True,
            text=True,
            timeout=100,
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "AWS_ENDPOINT_URL_LAMBDA": server.url,
            },
        )
        assert done.returncode == 0, done.stderr
        seen = Counter(each.body.decode() for each in server.requests)
    assert seen == Counter([*map(str, range(103)), '{"id": "a"}', '{"id": "b"}'])
    shown, line = done.stdout.splitlines()
    assert shown == f"103 {tmp_path}/run/merged.run"
    message = json.loads(line)
    assert message.pop("refused") == {
        "other shards": f"ConfigurationError: {tmp_path}/run: it has a run of 6 shards: "
        "continue it with shards=6",
        "a file": f"ConfigurationError: {tmp_path}/in.jsonl cannot be a directory: File exists",
        "no source": f"InputError: cannot read {tmp_path}/none.jsonl: No such file or directory",
        "no list": "InvalidRequestError: payloads must be an iterable or an async iterable, not int",
        "no batch": "InvalidRequestError: batch items 0 must be a whole number from 1",
        "no concurrency": "InvalidRequestError: concurrency 0 must be a whole number from 1",
        "text": "InvalidRequestError: concurrency '5' must be a whole number from 1",
        "no invoker": "ConfigurationError: invoker must be the arguments of Invoker by name, not int",
        "a generator": "ConfigurationError: source cannot be sent to workers, as it cannot be pickled "
        "(TypeError: cannot pickle 'generator' object): give a function that returns the input",
        "a lock": "ConfigurationError: key cannot be sent to workers, as it cannot be pickled "
        "(TypeError: cannot pickle '_thread.lock' object)",
        "a hook with a lock": "ConfigurationError: invoker cannot be sent to workers, as it cannot be "
        "pickled (TypeError: cannot pickle '_thread.lock' object)",
        "a cluster": "ConfigurationError: client must be Dask's Client of a cluster, not LocalCluster",
        "closed": "ConfigurationError: the client must be connected to a cluster, and is closed",
    }
    assert message.pop("read_only").startswith("ConfigurationError: /proc")
    # A run that could not be submitted leaves nothing on the workers or in its directory.
    assert message.pop("unsubmitted") == [0, ["control.json"]]
    # Items whose keys are not text; and an input with keys, one of them twice and one missing.
    assert message.pop("unnamed") == [0, 9, 9, 2, 2]
    assert message == {
        "items": 103,
        "ran_twice": 0,
        "missing": [],
        "succeeded": 103,
        "on_workers": True,
    }
    files = {path.name for path in (tmp_path / "run").iterdir() if path.suffix == ".run"}
    assert files == {"merged.run", *(f"{number}of6.run" for number in range(1, 7))}


def test_what_is_requested_of_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "control.json"
    assert read_control(path) is None
    wished = Control(concurrency=5, paused=True)
    write_control(path, wished)
    assert read_control(path) == wished
    path.write_text("{")
    assert read_control(path) is None
    path.unlink()
    os.mkfifo(path)  # reading it would wait for a writer
    assert read_control(path) is None
    assert [each.name for each in tmp_path.iterdir()] == ["control.json"]


def test_no_request_is_written_through_a_link_that_was_planted(tmp_path: Path) -> None:
    path, victim = tmp_path / "control.json", tmp_path / "victim"
    victim.write_text("precious")
    for name in (path.name, f".{path.name}.{os.getpid()}", f".{path.name}.part"):
        (tmp_path / name).symlink_to(victim)
    write_control(path, Control(stopped=True))
    assert victim.read_text("utf-8") == "precious"
    assert not path.is_symlink()
    assert read_control(path) == Control(stopped=True)


def test_a_request_that_cannot_be_written_is_one_error_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "control.json"
    write_control(path, Control(paused=True))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(ConfigurationError, match=r"control\.json: it cannot be written: No"):
            write_control(path, Control(stopped=True))
    assert read_control(path) == Control(paused=True)
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_cannot_be_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    client, plan = Client(), plan_in(tmp_path)
    connected: Any = client
    plan.token.touch()
    threads = threading.active_count()
    run = DaskRun(connected, plan, slots=4)
    plan.control.unlink()
    plan.control.mkdir()  # nothing can be written there any more
    with pytest.raises(ConfigurationError, match="it cannot be written"):
        run.pause()
    with pytest.raises(ConfigurationError, match="it cannot be written"), run:
        pass
    assert client.cancelled == plan.shards
    assert client.called == [working.close_thread]
    assert threading.active_count() == threads
    assert list(tmp_path.iterdir()) == [plan.control]
    plan.control.rmdir()
    run.set_concurrency(40)
    assert read_control(plan.control) == Control(concurrency=10)  # what failed is not requested


def test_shards_and_concurrency_are_shared_out() -> None:
    assert (shards_for(4, None), shards_for(4, 7), shards_for(0, None)) == (12, 7, 3)
    assert share(None, shards=6, slots=2) is None
    assert (share(100, shards=6, slots=4), share(100, shards=2, slots=4)) == (25, 50)
    assert share(1, shards=6, slots=4) == 1


def test_the_first_shards_of_all_workers_begin_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_in(tmp_path)
    slept: list[float] = []

    def sleep(seconds: float) -> None:  # the other one arrives meanwhile
        slept.append(seconds)
        plan.token.write_bytes(b"..")

    monkeypatch.setattr(working, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=sleep))
    plan.token.touch()
    thread = working.InvokerThread({"region_name": "us-east-1"})
    try:
        thread.arrive(plan)
        assert len(slept) == 1
        thread.arrive(plan)  # once is enough
        assert plan.token.read_bytes() == b".."
    finally:
        thread.close()
    late = working.InvokerThread({"region_name": "us-east-1"})
    try:
        late.arrive(plan)  # as by a worker that replaces one that died
        plan.token.unlink()
        assert len(slept) == 1
    finally:
        late.close()


def test_a_home_is_closed_while_the_event_loop_of_the_worker_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_alive = threading.Event()

    def close() -> None:
        assert is_alive.wait(SOON)

    monkeypatch.setitem(working._threads, "a", SimpleNamespace(close=close))

    async def worker() -> None:
        asyncio.get_running_loop().call_soon(is_alive.set)
        await working.close_thread("a")

    asyncio.run(worker())
    assert "a" not in working._threads


def test_a_plan_shows_nothing_of_the_input() -> None:
    plan = Plan(
        id="a",
        function_name="f",
        source=["secret"],
        directory="d",
        shards=2,
        workers=2,
        concurrency=None,
        invoker={"session": "secret"},
        options={"key": "secret"},
    )
    assert "secret" not in repr(plan)
    assert str(plan.journal(2)) == str(Path("d") / "2of2.run")


class Client:
    """The part of Dask's client that `map` needs; its shards never start."""

    asynchronous = False
    status = "running"

    def __init__(self, *, sees: bool = True) -> None:
        self._sees = sees
        self.called: list[Callable[..., Any]] = []
        self.cancelled = 0

    def nthreads(self) -> dict[str, int]:
        return {"tcp://a": 2, "tcp://b": 2}

    def run(self, function: Callable[..., Any], *arguments: Any, **_: Any) -> dict[str, bool]:
        self.called.append(function)
        return {"tcp://a": True, "tcp://b": self._sees}

    def submit(self, *_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace(
            done=lambda: False,
            status="pending",
            cancel=self._cancel,
            add_done_callback=lambda _: None,
        )

    def _cancel(self) -> None:
        self.cancelled += 1


def plan_in(directory: Path) -> Plan:
    return Plan(
        id="a",
        function_name="f",
        source=None,
        directory=str(directory),
        shards=6,
        workers=2,
        concurrency=None,
        invoker={"region_name": 5},
        options={},
    )


@pytest.mark.anyio
async def test_what_is_requested_of_a_run_reaches_its_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "LOOK_EVERY", 0.001)
    send, obeyed = anyio.create_memory_object_stream[object](9)
    a_map: Any = SimpleNamespace(
        set_concurrency=send.send_nowait,
        pause=lambda: send.send_nowait("pause"),
        resume=lambda: send.send_nowait("resume"),
        stop=lambda: send.send_nowait("stop"),
    )
    client: Any = Client()
    with (
        send,
        obeyed,
        anyio.fail_after(SOON),
        DaskRun(client, plan_in(tmp_path), slots=4) as run,
    ):
        assert repr(run) == f"<DaskRun 0 of 6 shards ended, {tmp_path}>"
        async with anyio.create_task_group() as group:
            group.start_soon(working._follow_plan, a_map, plan_in(tmp_path))
            assert await obeyed.receive() == "resume"  # as it was submitted
            run.pause()
            assert await obeyed.receive() == "pause"
            run.set_concurrency(20)  # for four at the same time; and it stays paused
            assert [await obeyed.receive(), await obeyed.receive()] == [5, "pause"]
            run.resume()
            assert [await obeyed.receive(), await obeyed.receive()] == [5, "resume"]
            with pytest.raises(InvalidRequestError, match="concurrency 0"):
                run.set_concurrency(0)
            run.close()  # nothing more is started, wherever it still runs
            assert [await obeyed.receive(), await obeyed.receive()] == [5, "stop"]
            group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("client", "options", "why"),
    [
        (Client(sees=False), {}, "worker tcp://b does not see"),
        (SimpleNamespace(asynchronous=True, nthreads=dict), {}, "must not be asynchronous"),
        (Client(), {"journal": "a.run"}, "journal is not for a map on a cluster"),
        (Client(), {"source": "-"}, "source - must be a file that every worker can read"),
        (Client(), {"source": "pipe"}, "pipe must be a file that every worker can read"),
        (Client(), {"shards": 4}, "it has a run of 6 shards: continue it with shards=6"),
    ],
)
def test_what_cannot_run_on_a_cluster_is_refused_before_it_is_submitted(
    tmp_path: Path,
    client: Any,
    options: dict[str, Any],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "1of6.run").touch()
    monkeypatch.chdir(tmp_path)
    options = {"source": []} | options
    with pytest.raises(ConfigurationError, match=why):
        asyncinvoke.dask.map(client, "f", directory=tmp_path, **options)
    assert not (tmp_path / "control.json").exists()


def test_a_run_is_continued_with_as_many_shards_as_it_had(tmp_path: Path) -> None:
    (tmp_path / "1of6.run").touch()
    client: Any = Client()
    with asyncinvoke.dask.map(client, "f", [], directory=tmp_path, shards=6) as run:
        assert run.progress().shards == 6


@pytest.mark.anyio
async def test_a_worker_that_sees_no_directory_makes_no_invoker(tmp_path: Path) -> None:
    assert not await working.prepare("a", str(tmp_path / "none"), {})
    assert "a" not in working._threads


def test_an_invoker_that_cannot_be_made_on_a_worker_is_the_error_of_its_shards(
    tmp_path: Path,
) -> None:
    plan = plan_in(tmp_path)
    thread = working.InvokerThread(plan.invoker)
    for number in (1, 2):
        with pytest.raises(ConfigurationError, match="region_name"):
            thread.call(working._shard, plan, number)
    thread.close()


def test_without_distributed_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asyncinvoke.dask, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'asyncinvoke\[dask\]'"):
        asyncinvoke.dask.map(None, "f", [], directory="d")  # type: ignore[arg-type]
