"""Control requests to a run: the file, how it is applied, and requests that are refused."""

import json
import os
import signal
import stat
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import MapRun, Tolerance
from asyncinvoke.cli.runs.control_file import (
    ControlFileError,
    ControlRequest,
    change_request,
    control_path,
    parse_request,
    read_request,
)
from asyncinvoke.cli.runs.control_loop import ControlLoop
from tests.doubles.forked import Ended, forked, run_forked

REQUESTS = st.builds(
    ControlRequest,
    number=st.integers(0, 10**9),
    concurrency=st.none() | st.integers(1, 10**6),
    tolerate=st.sampled_from([None, "none", "100", "2%", "0.5%"]),
    paused=st.booleans(),
    stop=st.sampled_from([None, "drain", "now"]),
    stop_session=st.none() | st.integers(1, 1000),
)


@given(REQUESTS)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, request: ControlRequest
) -> None:
    path = control_path(tmp_path_factory.getbasetemp() / "o.run")
    assert change_request(path, lambda _: request) == read_request(path) == request
    assert path.name == "o.run-control"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.glob("o.run-control.*")) == []


CHANGES = """
import os, sys, pathlib
from dataclasses import replace
from asyncinvoke.cli.runs import control_file as module
path, times, dies = pathlib.Path(sys.argv[1]), int(sys.argv[2]), len(sys.argv) > 3
if dies:
    module.json.dumps = lambda said: os.kill(os.getpid(), 9)
for _ in range(times):
    module.change_request(path, lambda request: replace(request, number=request.number + 1))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A control file in a separate folder, next to a program that changes it."""
    (tmp_path / "changes.py").write_text(CHANGES, encoding="utf-8")
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "o.run-control"


@pytest.mark.anyio
async def test_no_request_of_processes_that_send_one_at_once_is_lost(
    path: Path, tmp_path: Path
) -> None:
    ended: list[Ended] = []

    async def change() -> None:
        ended.append(await run_forked("changes.py", str(path), "50", cwd=tmp_path))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(change)
    assert ended == [Ended(0, "", "")] * 4
    assert read_request(path).number == 200
    assert os.listdir(path.parent) == [path.name]


def test_what_a_command_that_was_killed_has_left_is_used_by_the_next(
    path: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        killed = forked("changes.py", str(path), "1", "dies", cwd=tmp_path)
        assert killed.status == -signal.SIGKILL
        assert os.listdir(path.parent) == ["o.run-control.new"]
    (path.parent / "o.run-control.new").write_text("half of what was to be wri")
    assert forked("changes.py", str(path), "1", cwd=tmp_path) == Ended(0, "", "")
    assert read_request(path) == ControlRequest(number=1)
    assert os.listdir(path.parent) == [path.name]


def test_a_request_that_cannot_be_written_leaves_the_one_before(path: Path) -> None:
    change_request(path, lambda _: ControlRequest(number=1))

    def fail(_: ControlRequest) -> ControlRequest:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011  # any
        change_request(path, fail)
    assert read_request(path) == ControlRequest(number=1)
    assert os.listdir(path.parent) == [path.name]


def test_a_control_file_that_is_a_pipe_is_not_waited_for(path: Path) -> None:
    beside = path.with_name(f"{path.name}.new")
    for pipe in (path, beside):
        os.mkfifo(pipe)
        with pytest.raises(OSError, match="it is not a regular file"):
            change_request(path, lambda _: ControlRequest(number=1))
        assert stat.S_ISFIFO(pipe.lstat().st_mode)
        pipe.unlink()
    os.mkfifo(path)
    printed: list[str] = []
    loop = ControlLoop(
        path, cast("MapRun", Run()), session=1, stop=lambda _: None, say=printed.append
    )
    loop.check()
    assert printed == [f"{path}: it is not a regular file: remove it; ignored"]


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
@pytest.mark.parametrize("name", ["o.run-control", "o.run-control.new"])
def test_no_request_is_written_through_a_link_that_was_planted(path: Path, name: str) -> None:
    victim = path.with_name("victim")
    victim.write_text("{}")
    path.with_name(name).symlink_to(victim)
    with pytest.raises(OSError, match="it is a link"):
        change_request(path, lambda _: ControlRequest(number=1))
    assert victim.read_text("utf-8") == "{}"


def test_a_huge_control_file_is_not_read(path: Path) -> None:
    path.touch()
    os.truncate(path, 10**12)  # without a block on the disk
    with pytest.raises(ControlFileError, match="more than 65,536 bytes"):
        read_request(path)


def test_a_link_to_a_run_has_the_control_file_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "o.run").touch()
    (tmp_path / "link.run").symlink_to("o.run")
    assert control_path(tmp_path / "link.run") == control_path(tmp_path / "o.run")


def test_no_file_is_an_empty_request(tmp_path: Path) -> None:
    assert read_request(tmp_path / "missing") == ControlRequest()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"concurrency": 0}', "concurrency cannot be '0'"),
        ('{"concurrency": true}', "concurrency cannot be 'True'"),
        ('{"concurrency": 9223372036854775808}', "concurrency cannot be '9223372036854775808'"),
        ('{"tolerate": "2"}', None),
        ('{"tolerate": "2.5"}', "tolerate cannot be '2.5'"),
        ('{"tolerate": 2}', "tolerate cannot be '2'"),
        ('{"paused": 1}', "paused cannot be '1'"),
        ('{"paused": null}', "paused cannot be 'None'"),
        ('{"stop": "later"}', "stop cannot be 'later'"),
        ('{"number": null}', "number cannot be 'None'"),
        ('{"later": "versions may request more"}', None),
    ],
)
def test_an_invalid_request_is_named(text: str, says: str | None) -> None:
    if says is None:
        parse_request(text)
        return
    with pytest.raises(ControlFileError, match=says):
        parse_request(text)


def replaced(_: ControlRequest, by: ControlRequest) -> ControlRequest:
    return by


class Run:
    """A map that records the calls of its methods."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.notes: dict[str, Any] = {}
        self.paused = False

    def statistics(self) -> SimpleNamespace:
        return SimpleNamespace(concurrency=1, paused=self.paused)

    def set_concurrency(self, concurrency: int) -> None:
        self.done.append(concurrency)

    def set_tolerance(self, tolerance: Tolerance | None) -> None:
        self.done.append(tolerance)

    def pause(self) -> None:
        self.paused = True
        self.done.append("pause")

    def resume(self) -> None:
        self.paused = False
        self.done.append("resume")

    def note(self, name: str, value: object) -> None:
        self.notes[name] = value


def test_a_session_applies_a_request_once_and_answers(tmp_path: Path) -> None:
    run, path = Run(), tmp_path / "o.run-control"
    printed: list[str] = []
    control_loop = ControlLoop(
        path,
        cast("MapRun", run),
        session=3,
        stop=lambda now: run.done.append(("stop", now)),
        say=printed.append,
    )
    control_loop.check()
    assert (run.done, run.notes) == ([], {})
    steps: list[tuple[ControlRequest, list[Any]]] = [
        (ControlRequest(number=1, concurrency=7, tolerate="2%"), [7, Tolerance(share=0.02)]),
        (ControlRequest(number=2, concurrency=7, tolerate="2%", paused=True), ["pause"]),
        (ControlRequest(number=3, concurrency=7, tolerate="none", paused=True), [None]),
        (ControlRequest(number=4, concurrency=7, tolerate="none"), ["resume"]),
        (ControlRequest(number=5, concurrency=7, stop="drain", stop_session=2), []),
        (ControlRequest(number=6, concurrency=7, stop="drain", stop_session=3), [("stop", False)]),
        (ControlRequest(number=7, concurrency=7, stop="now", stop_session=3), [("stop", True)]),
        (ControlRequest(number=8), []),  # nothing is requested, as after its file was removed
    ]
    for request, does in steps:
        run.done.clear()
        change_request(path, partial(replaced, by=request))
        for _ in range(3):
            control_loop.check()
        assert run.done == does
        assert run.notes["control"]["number"] == request.number
        assert run.notes["control"]["paused"] == request.paused
    run.done.clear()
    path.write_text(json.dumps({"concurrency": "many"}), encoding="utf-8")
    printed.clear()
    control_loop.check()
    control_loop.check()
    assert printed == [f"{path}: concurrency cannot be 'many'; ignored"]
    path.unlink()
    control_loop.check()
    printed.clear()
    path.mkdir()
    control_loop.check()
    assert printed == [f"{path}: it is not a regular file: remove it; ignored"]
    assert run.done == []
