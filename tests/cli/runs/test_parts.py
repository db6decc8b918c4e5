"""The parts of a run on several processes, read and controlled as one run."""

import contextlib
import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from asyncinvoke import Invoker, Journal, Redrive, Shard
from asyncinvoke.cli.app import run
from asyncinvoke.cli.map.settings import COMMAND
from asyncinvoke.cli.map.whole_output import run_with_output
from asyncinvoke.cli.runs import control
from asyncinvoke.cli.runs import parts as module
from asyncinvoke.cli.runs.control_file import control_path, read_request
from asyncinvoke.cli.runs.control_loop import ANSWER
from asyncinvoke.cli.runs.parts import (
    all_parts,
    controlled_journals,
    even_shares,
    found_parts,
    running_parts,
)
from asyncinvoke.cli.runs.view import summary_lines
from asyncinvoke.cli.runs.whole import Parts
from asyncinvoke.runs import RecordedRun, RunSummary, Sample, merge, open_run
from asyncinvoke.testing import FakeLambda
from tests.cli.test_processes import bulk


def fail_some(event: int, context: object) -> int:
    if event % 10 == 3:
        raise ValueError("three")
    return event


async def work(function: Callable[[int, object], int], journal: Journal, number: int) -> None:
    """Run one part of three."""
    async with (
        Invoker(transport=FakeLambda({"f": function})) as invoker,
        invoker.map(
            "f", range(60), journal=journal, shard=Shard(number, of=3), concurrency=1
        ) as map_run,
    ):
        async for _ in map_run:
            pass


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three parts that have ended and are not merged."""
    path = tmp_path_factory.mktemp("parts") / "a[1].run"
    for number in (1, 2, 3):
        anyio.run(work, fail_some, Journal(f"{path}.{number}of3"), number)
    return path


def test_an_item_has_the_cause_that_is_listed_by_that_number(tmp_path: Path) -> None:
    def fail(event: int, context: object) -> int:
        raise KeyError if event >= 10 else ValueError  # the first causes are the rare ones

    path = tmp_path / "a.run"
    for number in (1, 2, 3):
        anyio.run(work, fail, Journal(f"{path}.{number}of3"), number)
    anyio.run(work, fail, Journal(f"{path}.1of3", redrive=Redrive.FAILED), 1)
    with ExitStack() as stack:
        runs = [stack.enter_context(open_run(part)) for part in all_parts(str(path))]
        parts = Parts(str(path), runs)
        causes = {cause.number: cause.error_type for cause in parts.causes()}
        assert causes == {1: "KeyError", 2: "ValueError"}
        for position in range(60):
            item = parts.item(position=position)
            assert item is not None
            assert causes[item.cause or 0] == ("KeyError" if position >= 10 else "ValueError")
            assert {take.cause for take in item.earlier} <= {item.cause}


def test_parts_read_the_same_before_and_after_they_are_merged(
    journal: Path, tmp_path: Path
) -> None:
    merge(tmp_path / "whole.run", all_parts(str(journal)))
    with ExitStack() as stack:
        whole = stack.enter_context(open_run(tmp_path / "whole.run"))
        runs = [stack.enter_context(open_run(part)) for part in all_parts(str(journal))]
        parts = Parts(str(journal), runs)
        summary, merged = parts.summary(), whole.summary()
        assert summary.path == str(journal)
        for name in ("succeeded", "failed", "not_run", "may_have_run", "attempts", "versions"):
            assert getattr(summary, name) == getattr(merged, name), name
        assert (summary.total, len(summary.sessions), summary.ended) == (60, 3, 60)
        ((mine,), (theirs,)) = parts.causes(), whole.causes()
        assert (
            (mine.count, mine.error_type) == (theirs.count, theirs.error_type) == (6, "ValueError")
        )
        for position in range(60):
            found, outcome = parts.item(position=position), parts.outcome(position=position)
            assert found is not None
            assert outcome is not None
            assert outcome.ok == (position % 10 != 3)
        assert parts.item(position=60) is None
        assert parts.latest_sample() is None  # none is at work


def test_an_item_of_a_run_with_keys_is_found_in_the_part_that_has_it(tmp_path: Path) -> None:
    async def work(number: int) -> None:
        async with (
            Invoker(transport=FakeLambda({"f": lambda event, _: event})) as invoker,
            invoker.map(
                "f", range(9), key=str, journal=f"{path}.{number}of2", shard=Shard(number, of=2)
            ) as map_run,
        ):
            async for _ in map_run:
                pass

    path = tmp_path / "a.run"
    for number in (1, 2):
        anyio.run(work, number)
    with ExitStack() as stack:
        runs = [stack.enter_context(open_run(part)) for part in all_parts(str(path))]
        parts = Parts(str(path), runs)
        for key in map(str, range(9)):
            found, outcome = parts.item(key=key), parts.outcome(key=key)
            assert found is not None
            assert outcome is not None
            assert (found.key, outcome.key, outcome.unwrap().json()) == (key, key, int(key))


def test_parts_are_found_by_their_names_alone(journal: Path) -> None:
    for other in ("a1.run.1of3", "a[1].run.1of3.bak", "a[1].run.x.1of3", "a[1].run.1of3-marks"):
        journal.with_name(other).touch()
    assert found_parts(journal) == [(1, 3), (2, 3), (3, 3)]
    assert running_parts(str(journal)) == []
    assert controlled_journals(str(journal)) == all_parts(str(journal))
    assert (found_parts(Path("nix")), controlled_journals("nix"), controlled_journals("")) == (
        [],
        ["nix"],
        [""],
    )


def test_a_number_is_shared_out_evenly() -> None:
    assert [even_shares(*each) for each in ((10, 3), (3, 3), (7, 1))] == [[4, 3, 3], [1, 1, 1], [7]]


def test_a_request_applies_to_all_parts(journal: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "set", str(journal), "--concurrency", "10", "--tolerate", "5%"]) == 0
    assert run(["runs", "pause", str(journal)]) == 0
    assert "from its next session" in capfd.readouterr().out
    sent = [read_request(control_path(part)) for part in all_parts(str(journal))]
    assert [each.concurrency for each in sent] == [4, 3, 3]
    assert {(each.tolerate, each.paused) for each in sent} == {("5%", True)}
    assert run(["runs", "set", str(journal), "--concurrency", "2"]) == 2
    assert "applies to all 3 processes" in capfd.readouterr().err
    assert run(["runs", "stop", str(journal)]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_the_answers_of_all_parts_are_awaited_no_longer_than_that_of_one(
    journal: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    parts, slept = all_parts(str(journal)), [0.0]

    class Comparing(RecordedRun):
        def summary(self) -> RunSummary:
            is_last = str(self.path) == parts[-1]
            return replace(super().summary(), running=not is_last, holder="process 1 on a")

    time = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr(control, "time", time)
    monkeypatch.setattr(control, "opened_run", Comparing)
    monkeypatch.setattr(control, "is_running", lambda _: True)
    assert run(["runs", "set", str(journal), "--tolerate", "7%"]) == 0
    assert sum(slept) == pytest.approx(control.PATIENCE, abs=control.LOOKS)
    printed = capfd.readouterr().out
    assert [part in printed for part in parts] == [True, True, False]


def test_while_they_are_at_work_one_command_shows_all(
    journal: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "is_running", lambda path: path != str(journal))
    assert run(["runs", "show", str(journal)]) == 0
    assert "54" in capfd.readouterr().out
    assert run(["runs", "show", str(journal), "--json"]) == 0
    printed: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert (printed["succeeded"], printed["ended"], printed["not_started"]) == (54, 60, 0)
    assert run(["runs", "show", str(journal), "--item", "13"]) == 0
    assert "three" in capfd.readouterr().out


def test_parts_at_work_are_not_taken_for_those_that_compare_their_input(journal: Path) -> None:
    def running_parts(pid: int, part: str) -> Any:
        with open_run(part) as run:
            summary = run.summary()
        (session,) = summary.sessions
        session = replace(session, pid=pid, ended=None, started=float(pid))
        holder = f"process {pid} on {session.host}"
        now = replace(summary, running=True, holder=holder, sessions=(session,))
        return SimpleNamespace(summary=lambda: now)

    for pids in ((1, 2, 3), (3, 2, 1)):
        runs = [
            running_parts(pid, part)
            for pid, part in zip(pids, all_parts(str(journal)), strict=True)
        ]
        summary = Parts("a.run", runs).summary()
        with open_run(all_parts(str(journal))[0]) as run:
            causes = run.causes()
        _, who, *rest = summary_lines(summary, causes, sample=None, now=63.0, width=80)
        assert who.startswith("3 sessions; running for 1 min 0 s in process 3 on ")
        # It would be refused, and causes are renumbered when the parts are merged.
        assert "cause 1" in "".join(rest)
        assert "redrive" not in "".join(rest)


def test_a_part_that_has_not_begun_yet_is_left_out_while_others_are_at_work(
    journal: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "a.run"
    parts = all_parts(str(journal))
    shutil.copy(parts[0], f"{path}.1of3")
    shutil.copy(parts[1], f"{path}.2of3")
    Path(f"{path}.3of3").touch()  # as it is for a moment
    monkeypatch.setattr(
        module, "is_running", lambda each: {"1of3": True, "2of3": False}.get(each[-4:])
    )
    assert running_parts(str(path)) == [f"{path}.1of3", f"{path}.2of3"]
    assert run(["runs", "show", str(path), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["ended"] == 40


def test_what_parts_at_work_do_is_added_up(journal: Path) -> None:
    sample = Sample(
        session=1,
        at=1.0,
        succeeded=7,
        failed=1,
        in_flight=2,
        waiting=3,
        limit=20,
        rate=None,
        throttles={"a": 4},
    )

    def part(path: str, running: bool, sample: Sample | None, paused: bool) -> Any:
        with open_run(path) as run:
            summary = run.summary()
        notes = {ANSWER: {"paused": paused}, "total": 5}
        now = replace(summary, running=running, notes=notes)
        return SimpleNamespace(summary=lambda: now, latest_sample=lambda: sample)

    first, second, third = all_parts(str(journal))
    parts = Parts(
        "a.run",
        [
            part(first, True, sample, True),
            part(second, True, replace(sample, throttles={"a": 1, "b": 2}), False),
            part(third, False, sample, False),  # it has ended
        ],
    )
    total = parts.latest_sample()
    assert total is not None
    assert (total.succeeded, total.failed, total.in_flight, total.waiting) == (14, 2, 4, 6)
    assert (total.limit, total.throttles) == (40, {"a": 5, "b": 2})
    notes = parts.summary().notes
    assert notes[ANSWER] == {"paused": False}  # only one of the two
    assert "total" not in notes
    parts = Parts("a.run", [part(first, True, None, True), part(second, False, None, False)])
    assert parts.latest_sample() is None
    assert parts.summary().notes[ANSWER] == {"paused": True}


def test_parts_that_were_all_killed_are_shown_until_they_are_merged(
    journal: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not journal.exists()
    assert run(["runs", "show", str(journal)]) == 0
    shown = capfd.readouterr().out
    assert "54" in shown
    assert "3 sessions" in shown


def test_a_merged_run_has_no_output_of_one_of_its_parts(journal: Path, tmp_path: Path) -> None:
    parts = [tmp_path / path.name for path in map(Path, all_parts(str(journal)))]
    for part in parts:
        shutil.copy(journal.with_name(part.name), part)
        settings = bulk(output=f"{part}.jsonl", whole_output=f"{part}.gz", shard="1/3")
        with contextlib.closing(sqlite3.connect(part)) as file, file:
            printed = json.dumps(settings.as_note())
            file.execute("INSERT INTO run VALUES ('note:command', ?)", (printed,))
    assert run(["runs", "merge", str(tmp_path / "a.run"), *map(str, parts)]) == 0
    with open_run(tmp_path / "a.run") as whole:
        command = whole.summary().notes["command"]
    assert isinstance(command, dict)
    assert {command[name] for name in ("output", "whole_output", "shard")} == {None}


def test_an_unfinished_run_that_was_merged_is_not_reported_as_complete(
    journal: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, output = tmp_path / "whole.run", tmp_path / "out.jsonl.gz"
    merge(whole, all_parts(str(journal))[1:])  # the last of these parts is complete
    assert run(["runs", "show", str(whole)]) == 0
    shown = capfd.readouterr().out
    assert "stopped before the end" in shown
    assert run_with_output(bulk(journal=str(whole), output=str(output)), lambda _: 3) == 3
    assert not output.exists()
    assert "will be written when the run is complete" in capfd.readouterr().err
    merge(whole, all_parts(str(journal)), replace=True)
    assert run(["runs", "show", str(whole)]) == 0
    assert "complete since" in capfd.readouterr().out
    assert run_with_output(bulk(journal=str(whole), output=str(output)), lambda _: 0) == 0
    assert len(gzip.decompress(output.read_bytes()).splitlines()) == 60


def test_a_merged_run_whose_parts_went_on_and_were_killed_is_not_run_by_itself(
    journal: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.run"
    parts = [f"{path}.{number}of3" for number in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        anyio.run(work, fail_some, Journal(part), number)
    merge(path, parts)
    assert run(["runs", "redrive", str(path)]) == 2
    assert "not started by" in capfd.readouterr().err
    anyio.run(work, lambda event, context: event, Journal(parts[0], redrive=Redrive.FAILED), 1)
    for command in (
        ["redrive", str(path)],
        ["settle", str(path), "--item", "3", "--ran"],
        ["export", str(path), "-"],
        ["report", str(path), "-o", str(tmp_path / "a.html")],
    ):
        assert run(["runs", *command]) == 2
        assert "have continued since they were merged into it" in capfd.readouterr().err
    assert run(["runs", "show", str(path), "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    with ExitStack() as stack:
        each = [stack.enter_context(open_run(part)).summary() for part in parts]
    assert shown["failed"] == sum(one.failed for one in each)
    merge(path, parts, replace=True)
    assert run(["runs", "redrive", str(path)]) == 2
    assert "not started by" in capfd.readouterr().err


def test_a_part_that_was_merged_is_not_redriven_or_settled_apart_from_its_run(
    journal: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, part = tmp_path / "a.run", tmp_path / "a.run.1of3"
    shutil.copy(f"{journal}.1of3", part)
    assert run(["runs", "redrive", str(part)]) == 2
    assert "not started by" in capfd.readouterr().err  # as a shard that was not merged
    merge(path, [part])
    for command in (["redrive", str(part)], ["settle", str(part), "--item", "3", "--ran"]):
        assert run(["runs", *command]) == 2
        assert f"it was merged into {path}: use that run in its place" in capfd.readouterr().err
    with open_run(part) as recorded:
        summary, causes = recorded.summary(), recorded.causes()
    noted = replace(summary, notes={COMMAND: {}})
    shown = summary_lines(noted, causes, sample=None, now=0, width=200, whole=str(path))
    assert f"runs redrive {path} runs them again" in "\n".join(shown)


def test_a_journal_that_only_has_the_name_of_a_part_is_no_part_of_the_file_beside_it(
    journal: Path, tmp_path: Path
) -> None:
    others = [tmp_path / name for name in ("photos.jsonl", "day", "trial.run", "merged.run")]
    others[0].write_text('{"a": 1}\n')
    others[1].mkdir()
    anyio.run(work, fail_some, Journal(others[2]), 1)
    merge(others[3], [f"{journal}.2of3"])
    for other in others:
        shutil.copy(f"{journal}.1of3", f"{other}.1of3")
        assert module.whole_of(f"{other}.1of3") is None
        module.check_whole(f"{other}.1of3")
