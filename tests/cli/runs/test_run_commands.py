"""The commands for recorded runs, called in this process."""

import json
import re
import sqlite3
import time
import unicodedata
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from anyio import to_thread
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import Invoker, Journal, Outcome, Redrive, Shard
from asyncinvoke._model.response import Reply
from asyncinvoke._outputs.parts import remove_abandoned
from asyncinvoke._report.standing import causes_of_lost
from asyncinvoke.cli.app import run as command
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.map.ending import closing_lines, exit_status
from asyncinvoke.cli.map.outcomes import BEGINNING
from asyncinvoke.cli.map.output_state import OutputState, check_output
from asyncinvoke.cli.map.settings import COMMAND
from asyncinvoke.cli.map.source import MOST, LineNumbers
from asyncinvoke.cli.runs import control
from asyncinvoke.cli.runs.choice import Choice
from asyncinvoke.cli.runs.control_file import ControlRequest, control_path, read_request
from asyncinvoke.cli.runs.control_loop import ANSWER
from asyncinvoke.cli.runs.exporting import split
from asyncinvoke.cli.runs.view import summary_lines
from asyncinvoke.runs import RecordedCause, RecordedRun, RunSummary, Sample, merge, open_run
from asyncinvoke.testing import FakeLambda
from tests.batches.maps import Function
from tests.journal.crashes import crash

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def charge(event: Any, context: Any) -> Any:
    if event in (4, 9):
        raise ValueError("no such account")
    if event == 7:
        raise KeyError("id")
    return event


@pytest.fixture
async def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of ten items: three failed, two of them for the same cause."""
    monkeypatch.chdir(tmp_path)
    fake = FakeLambda()
    fake.function("charge", charge)
    async with (
        Invoker(transport=fake) as invoker,
        invoker.map("charge", range(10), journal="o.run", concurrency=1) as run,
    ):
        async for _ in run:
            pass
    return tmp_path / "o.run"


async def note(**notes: object) -> None:
    """Continue the run in a session that stores notes."""
    async with (
        Invoker(transport=FakeLambda({"charge": charge})) as invoker,
        invoker.map("charge", range(10), journal="o.run") as run,
    ):
        for name, value in notes.items():
            run.note(name, value)


@pytest.mark.parametrize(
    "words",
    [["set", "--concurrency", "9"], ["pause"], ["unpause"], ["stop"]],
    ids=lambda words: words[0],
)
async def test_a_run_of_a_program_is_not_controlled_by_a_command_that_it_does_not_obey(
    recorded: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    name, *options = words
    async with (
        Invoker(transport=FakeLambda({"charge": charge})) as invoker,
        invoker.map("charge", range(10), journal="o.run"),
    ):
        assert await to_thread.run_sync(command, ["runs", name, "o.run", *options]) == 2
    assert "only its program can control it, with run.pause()" in capsys.readouterr().err
    assert not control_path("o.run").exists()
    assert command(["runs", "show", "o.run"]) == 0
    shown = capsys.readouterr().out
    assert "Journal(path, redrive=Redrive.FAILED) runs them again" in shown
    assert "runs redrive" not in shown


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        (["--tolerate", "none"], "tolerated: none"),
        (["--concurrency", "2000"], "concurrency 2,000"),
        (["--concurrency", "9", "--tolerate", "2%"], "concurrency 9, tolerated: 2%"),
    ],
)
async def test_each_setting_can_be_changed_alone(
    recorded: Path, capsys: pytest.CaptureFixture[str], options: list[str], printed: str
) -> None:
    await note(**{COMMAND: {}})
    assert command(["runs", "set", "o.run", *options]) == 0
    assert capsys.readouterr().out == f"{printed}, from its next session: it is not running\n"


async def test_what_was_requested_before_holds_until_it_is_requested_otherwise(
    recorded: Path,
) -> None:
    await note(**{COMMAND: {}})
    for words in (
        ["set", "--tolerate", "5%"],
        ["pause"],
        ["set", "--concurrency", "9"],
    ):
        assert command(["runs", *words, "o.run"]) == 0
    before = read_request(control_path("o.run"))
    assert before == ControlRequest(number=3, concurrency=9, tolerate="5%", paused=True)
    assert command(["runs", "unpause", "o.run"]) == 0
    assert read_request(control_path("o.run")) == replace(before, number=4, paused=False)


@pytest.mark.parametrize(
    ("words", "how", "says"),
    [
        (["stop"], "drain", "stopping when calls in flight have finished"),
        (["stop", "--now"], "now", "stopping now"),
    ],
)
@pytest.mark.parametrize("has_begun", [True, False])
async def test_a_stop_is_for_the_session_that_runs_or_that_is_about_to_begin(
    words: list[str],
    how: str,
    says: str,
    has_begun: bool,
    recorded: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A process that still compares its input begins the next session, and learns of it there."""

    class Running(RecordedRun):
        def summary(self) -> RunSummary:
            summary = super().summary()
            (last,) = summary.sessions
            notes: dict[str, Any] = {COMMAND: {}}
            if control_path("o.run").exists():
                notes[ANSWER] = {"number": 1}
            return replace(
                summary,
                running=True,
                holder=f"process {last.pid if has_begun else 1} on a",
                sessions=(replace(last, ended=None),),
                notes=notes,
            )

    monkeypatch.setattr(control, "opened_run", Running)
    assert command(["runs", *words, "o.run"]) == 0
    session = 1 if has_begun else 2
    assert read_request(control_path("o.run")) == ControlRequest(
        number=1, stop=how, stop_session=session
    )
    assert capsys.readouterr().out == f"{says}\n"


async def test_a_run_that_ends_without_a_reply_is_not_said_to_have_applied_the_request(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ended just then, or it was continued by a program, which does not read the control file."""

    class Ended(RecordedRun):
        def summary(self) -> RunSummary:
            return replace(super().summary(), notes={COMMAND: {}})

    monkeypatch.setattr(control, "opened_run", Ended)
    monkeypatch.setattr(control, "is_running", lambda _: True)
    assert command(["runs", "pause", "o.run"]) == 0
    assert capsys.readouterr().out == "paused, from its next session: it has ended\n"


@pytest.mark.parametrize(("session", "status"), [(1, FAILED), (0, 0), (None, 0)])
async def test_a_run_that_is_at_work_and_does_not_reply_is_an_error(
    session: int | None,
    status: int,
    recorded: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is at work once it has taken a sample in its session; until then it compares its input."""
    sample = Sample(
        session=session or 0,
        at=1.0,
        succeeded=0,
        failed=0,
        in_flight=0,
        waiting=0,
        limit=1,
        rate=None,
        throttles={},
    )

    class Silent(RecordedRun):
        def latest_sample(self) -> Sample | None:
            return None if session is None else sample

        def summary(self) -> RunSummary:
            summary = super().summary()
            (last,) = summary.sessions
            sessions = (replace(last, ended=None),)
            holder = f"process {last.pid} on a"
            notes: dict[str, Any] = {COMMAND: {}}
            return replace(summary, running=True, holder=holder, sessions=sessions, notes=notes)

    slept = [0.0]
    time = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr(control, "time", time)
    monkeypatch.setattr(control, "opened_run", Silent)
    monkeypatch.setattr(control, "is_running", lambda _: True)
    assert command(["runs", "pause", "o.run"]) == status
    printed = capsys.readouterr()
    assert ("compares its input" in printed.out) == (status == 0)
    assert ("no reply from the run within 10 s" in printed.err) == (status == FAILED)
    assert sum(slept) == pytest.approx(control.PATIENCE, abs=control.LOOKS)


async def test_a_request_is_numbered_after_the_last_answered_one_even_if_its_file_was_removed(
    recorded: Path,
) -> None:
    await note(**{COMMAND: {}, ANSWER: {"number": 5}})
    assert command(["runs", "pause", "o.run"]) == 0
    assert read_request(control_path("o.run")).number == 6


async def test_a_split_export_has_each_item_once_also_where_its_redrive_died(
    recorded: Path,
) -> None:
    crash(recorded, sent=[4, 5], unsent=[7])
    words = ["runs", "export", "o.run", "parts", "--split"]
    assert await to_thread.run_sync(command, words) == 0
    counts = json.loads(Path("parts/manifest.json").read_text("utf-8"))["counts"]
    assert counts == {"succeeded": 6, "failed": 2, "may_have_run": 2, "settled": 0, "pending": 0}


async def test_a_split_export_keeps_what_was_settled_as_having_run_apart_from_what_failed(
    recorded: Path,
) -> None:
    crash(recorded, sent=[4, 5], unsent=[])
    assert command(["runs", "settle", "o.run", "--item", "4", "--ran"]) == 0
    words = ["runs", "export", "o.run", "parts", "--split"]
    assert await to_thread.run_sync(command, words) == 0
    counts = json.loads(Path("parts/manifest.json").read_text("utf-8"))["counts"]
    assert counts == {"succeeded": 6, "failed": 2, "may_have_run": 1, "settled": 1, "pending": 0}
    (line,) = Path("parts/settled-0.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["index"] == 4


@pytest.mark.parametrize(("renamed", "left"), [(1, 0), (3, 0), (6, 6)])
async def test_a_signal_just_after_a_file_was_renamed_leaves_all_files_or_none(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, renamed: int, left: int
) -> None:
    rename, targets = Path.replace, []

    def interrupted(part: Path, target: Path) -> None:
        remove_abandoned(target)  # as another export does that starts at this moment
        rename(part, target)
        targets.append(target)
        if len(targets) == renamed:
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with open_run("o.run") as run, pytest.raises(KeyboardInterrupt):
        split(run, Path("parts"))
    assert len(list(Path("parts").iterdir())) == left


@pytest.mark.parametrize("results", [True, False])
async def test_failures_beyond_the_most_causes_are_redriven_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("asyncinvoke._journal.rows.MOST_CAUSES", 5)

    def fail(event: int, context: Any) -> Any:
        raise type(f"E{event}{'x' * 200}", (Exception,), {})

    async with (
        Invoker(transport=FakeLambda({"f": fail})) as invoker,
        invoker.map(
            "f", range(20), journal=Journal("o.run", results=results), concurrency=1
        ) as run,
    ):
        outcomes = [outcome async for outcome in run]
    if not results:
        outcomes = read(lambda run: list(run.outcomes()))
    causes = read(lambda run: run.causes())
    (others,) = [each.number for each in causes if each.error_type == "of other kinds"]
    for choice, chosen in (
        (Choice(), range(20)),
        (Choice(causes=(others,)), range(5, 20)),
        (Choice(causes=tuple({1, 2, 3, 4, 5, 6} - {others})), range(5)),
        (Choice(positions=(3, 19)), (3, 19)),
    ):
        matches = choice.matches(causes)
        assert [each.index for each in outcomes if matches(each)] == list(chosen), choice


@pytest.mark.parametrize("results", [True, False])
@pytest.mark.parametrize("keyed", [True, False])
async def test_in_a_merged_run_each_cause_selects_as_many_items_as_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: bool, keyed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("asyncinvoke._journal.rows.MOST_CAUSES", 3)
    # Each shard has all kinds, and the first causes of one exceed the bound in the other.
    kinds = ["A", "E", "B", "D", "C", "C", "D", "B", "E", "A", "X", "Y"]

    def fail(event: int, context: Any) -> Any:
        raise type(kinds[event], (Exception,), {})

    options: dict[str, Any] = {"key": str} if keyed else {}
    parts: list[str] = []
    for part, positions in (("1.run", range(0, 12, 2)), ("2.run", range(1, 12, 2))):
        async with (
            Invoker(transport=FakeLambda({"f": fail})) as invoker,
            invoker.map(
                "f",
                positions if keyed else range(12),
                journal=Journal(part, results=results),
                shard=None if keyed else Shard(len(parts) + 1, of=2),
                concurrency=1,
                **options,
            ) as run,
        ):
            async for _ in run:
                pass
        parts.append(part)
    merge("o.run", parts)
    causes = read(lambda run: run.causes())
    outcomes = read(lambda run: list(run.outcomes()))
    assert sum(cause.count for cause in causes) == len(outcomes) == 12
    for cause in causes:
        matches = Choice(causes=(cause.number,)).matches(causes)
        selected = [outcome.index for outcome in outcomes if matches(outcome)]
        assert len(selected) == cause.count, cause
    assert read(lambda run: run.check()) == ()


async def test_whether_a_map_is_idempotent_is_shown_only_if_recorded(
    recorded: Path,
) -> None:
    summary = read(lambda run: run.summary())
    notes: tuple[tuple[dict[str, Any], str | None], ...] = (
        ({}, None),
        ({COMMAND: {"shared": {"idempotent": True}}}, "idempotent"),
        ({COMMAND: {"shared": {"idempotent": False}}}, "not idempotent"),
    )
    for noted, printed in notes:
        lines = summary_lines(replace(summary, notes=noted), (), sample=None, now=0.0, width=200)
        assert [each for each in lines[0].split(", ") if "idempotent" in each] == (
            [printed] if printed else []
        )


async def test_a_run_that_was_paused_after_it_ended_early_is_shown_as_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    async with (
        Invoker(transport=FakeLambda({"charge": lambda event, _: event})) as invoker,
        invoker.map("charge", range(100), journal="o.run", concurrency=1) as run,
    ):
        run.note(COMMAND, {})
        async for _ in run:
            run.stop()

    def shown() -> str:
        capsys.readouterr()
        assert command(["runs", "show", "o.run"]) == 0
        return capsys.readouterr().out

    assert "stopped before the end on 2" in shown()
    assert command(["runs", "pause", "o.run"]) == 0
    assert "paused: no session starts anything until asyncinvoke runs unpause\n" in shown()
    assert command(["runs", "unpause", "o.run"]) == 0
    assert capsys.readouterr().out == "unpaused, from its next session: it is not running\n"
    assert "pause" not in shown()


def read(what: Callable[[Any], Any]) -> Any:
    with open_run("o.run") as run:
        return what(run)


async def test_a_run_is_shown_as_text_and_as_json(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["runs", "show", "o.run"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "  succeeded    7" in shown
    assert "  failed       3" in shown
    assert command(["runs", "show", "o.run", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["succeeded"], printed["failed"], len(printed["causes"])) == (7, 3, 2)
    assert command(["runs", "show", "o.run", "--item", "7", "--json"]) == 0
    item = json.loads(capsys.readouterr().out)
    assert (item["state"], item["cause"]["error_type"]) == ("failed", "KeyError")
    assert command(["runs", "show", "o.run", "--item", "4"]) == 0
    assert capsys.readouterr().out.startswith("item 4: ran and failed\n  take 1, session 1, ")


async def test_to_watch_a_run_that_has_ended_is_to_see_how_it_ended(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["runs", "watch", "o.run"]) == 0
    printed = capsys.readouterr()
    assert "  succeeded    7" in printed.out.splitlines()
    assert "  10/10 · " in printed.err


@pytest.mark.parametrize(
    ("ago", "lasted", "shown"),
    [
        (86_400, 7_200, "2:00:00"),
        (-3_600, -7_200, "0:00"),  # the clock was set back
        (86_400, None, "0:05"),  # it was killed, soon after its last sample
    ],
)
async def test_to_watch_a_run_that_has_ended_is_to_see_how_long_it_took(
    recorded: Path,
    capsys: pytest.CaptureFixture[str],
    ago: float,
    lasted: float | None,
    shown: str,
) -> None:
    started = time.time() - ago
    ended = None if lasted is None else started + lasted
    with closing(sqlite3.connect(recorded)) as connection:
        connection.execute("UPDATE session SET started = ?, ended = ?", (started, ended))
        connection.execute("DELETE FROM sample")
        connection.execute("INSERT INTO sample VALUES (1, 5000, 9, 0, 1, 0, 20, NULL, NULL)")
        connection.commit()
    assert command(["runs", "watch", "o.run"]) == 0
    assert f" · {shown} · 3 failed · 0 in flight · " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "missing.run"], "missing.run: there is no such journal"),
        (["show", "."], "it is a folder"),
        (["show", ""], "RUN must be the journal"),
        (["show", "o.run", "--item", "99"], "nothing is recorded for item 99"),
        (["show", "o.run", "--item", "1", "--key", "a"], "not both"),
        (["watch", "missing.run"], "there is no such journal"),
        (["set", "o.run"], "nothing to set"),
        (["set", "o.run", "--concurrency", "0"], "--concurrency"),
        (["set", "o.run", "--tolerate", "2.5"], "'2.5' is neither a number such as 100"),
        (["stop", "o.run"], "it was not started by"),
        (["settle", "o.run", "--ran"], "give either --key or --item"),
        (["settle", "o.run", "--item", "1"], "give --ran or --did-not-run"),
        (
            ["settle", "o.run", "--item", "1", "--ran"],
            "item 1 cannot be settled: it is recorded as ",
        ),
        (["export", "o.run", "text.txt"], "exists: --force replaces it"),
        (["export", "o.run", "-", "--split"], "--split writes everything to a new folder"),
        (["export", "o.run", ".", "--split"], "is not empty"),
        (["export", "o.run", "missing/out.jsonl"], "cannot write missing/out.jsonl"),
        (["redrive", "o.run"], "it was not started by `asyncinvoke map`"),
        (["redrive", "text.txt"], "it is not a journal"),
        (["bogus", "o.run"], "No such command 'bogus'"),
    ],
)
async def test_what_cannot_be_done_is_one_line_and_status_2(
    words: list[str], says: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.txt").write_text("no journal\n")
    assert command(["runs", *words]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith("asyncinvoke: error: ")
    assert says in printed.err


async def test_an_export_has_every_outcome_in_the_order_of_the_input(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["runs", "export", "o.run"]
    assert await to_thread.run_sync(command, [*words, "all.jsonl"]) == 0
    assert capsys.readouterr().err == "all.jsonl: 10 lines\n"
    lines = [json.loads(line) for line in Path("all.jsonl").read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == list(range(10))
    assert [line["index"] for line in lines if not line["ok"]] == [4, 7, 9]
    assert command([*words, "parts", "--split"]) == 0
    assert {path.name for path in Path("parts").iterdir()} == {
        "succeeded-0.jsonl",
        "failed-0.jsonl",
        "may-have-run-0.jsonl",
        "settled-0.jsonl",
        "pending.jsonl",
        "manifest.json",
    }


@pytest.mark.parametrize(
    ("choice", "runs"),
    [
        (Choice(), [4, 7, 9]),
        (Choice(causes=(1,)), [4, 9]),
        (Choice(causes=(1, 2)), [4, 7, 9]),
        (Choice(error_types=("KeyError",)), [7]),
        (Choice(errors=("FunctionError",)), [4, 7, 9]),
        (Choice(errors=("TransportError",)), []),
        (Choice(codes=("AccessDenied",)), []),
        (Choice(positions=(9, 1)), [9]),
        (Choice(causes=(1,), error_types=("KeyError",)), []),
        (Choice(keys=("a",)), []),
        (Choice(may_have_run=True), []),
    ],
)
async def test_a_redrive_runs_what_was_chosen_and_nothing_else(
    choice: Choice, runs: list[int], recorded: Path
) -> None:
    is_chosen = choice.matches(read(lambda run: run.causes()))
    outcomes: list[Outcome] = read(lambda run: list(run.outcomes(ok=False)))
    assert [outcome.index for outcome in outcomes if is_chosen(outcome)] == runs


@pytest.mark.parametrize(
    ("choice", "runs"),
    [
        (Choice(), [4, 7, 9]),
        (Choice(positions=(4, 99)), [4]),
        (Choice(positions=(0, 11, 99)), []),
        (Choice(positions=(4, 7), error_types=("KeyError",)), [7]),
        (Choice(keys=("4",)), []),
        (Choice(may_have_run=True, positions=(11, 4, 0)), [11]),
        (Choice(may_have_run=True, positions=(11,), codes=("ProcessLost",)), [11]),
        (Choice(may_have_run=True, codes=("ProcessLost",)), [11, 12]),
        (Choice(may_have_run=True, errors=("FunctionError",)), []),
        (Choice(may_have_run=True), [11, 12]),
    ],
)
async def test_as_many_are_counted_as_run_also_of_those_that_no_session_has_met_since_a_kill(
    choice: Choice, runs: list[int], recorded: Path
) -> None:
    crash(recorded, sent=[11, 12])
    with open_run(recorded) as run:
        causes = (*run.causes(), *causes_of_lost(run.lost()))
        assert choice.count(run, run.summary(), choice.chosen(causes)) == len(runs)
    sent: list[int] = []
    async with (
        Invoker(transport=FakeLambda({"charge": lambda event, _: sent.append(event)})) as invoker,
        invoker.map(
            "charge", range(13), journal=Journal(recorded, redrive=choice.matches(causes))
        ) as redrive,
    ):
        async for _ in redrive:
            pass
    assert sorted(sent) == sorted([*runs, 10])  # item 10 was never started


@pytest.mark.parametrize("words", [["show"], ["redrive"], ["settle", "--ran"]], ids=" ".join)
async def test_an_item_of_a_run_with_keys_is_named_by_its_key_alone(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    async with (
        Invoker(transport=FakeLambda({"charge": charge})) as invoker,
        invoker.map("charge", range(5), key=str, journal="o.run") as run,
    ):
        async for _ in run:
            pass
    assert command(["runs", *words, "o.run", "--item", "4"]) == 2
    assert "the run has keys: " in capfd.readouterr().err
    assert command(["runs", "show", "o.run", "--key", "4"]) == 0
    assert capfd.readouterr().out.startswith("key '4': ran and failed\n")


async def test_items_that_may_have_run_are_redriven_only_on_request(recorded: Path) -> None:
    causes = read(lambda run: run.causes())
    doubtful = replace(causes[0], number=9, delivery="unknown")
    with pytest.raises(CommandError, match="check them, and add --may-have-run"):
        Choice(causes=(9,)).chosen([*causes, doubtful])
    with pytest.raises(CommandError, match="omit --may-have-run"):
        Choice(causes=(1,), may_have_run=True).chosen(causes)
    with pytest.raises(CommandError, match="no such cause; the causes are 1, 2"):
        Choice(causes=(3,)).chosen(causes)
    assert Choice(may_have_run=True).chosen([*causes, doubtful]) == (doubtful,)


@pytest.mark.parametrize(
    ("counts", "is_stopped", "status"),
    [
        ({"failed": 0, "may_have_run": 0}, False, 0),
        ({"failed": 2, "may_have_run": 0}, False, 1),
        ({"failed": 2, "may_have_run": 1}, False, 4),
        ({"failed": 0, "may_have_run": 0}, True, 3),
        ({"failed": 0, "may_have_run": 1}, True, 3),
    ],
)
async def test_the_exit_status_is_that_of_the_whole_run(
    counts: dict[str, int], is_stopped: bool, status: int, recorded: Path
) -> None:
    summary: RunSummary = replace(read(lambda run: run.summary()), **counts)
    assert exit_status(summary, failed=0, is_stopped=is_stopped) == status
    if status == 0:
        assert exit_status(summary, failed=1, is_stopped=False) == 1


async def test_the_last_line_says_what_to_do(recorded: Path) -> None:
    whole = read(lambda run: run.summary())
    sessions = (replace(whole.sessions[-1], status=None),)
    summary = replace(whole, total=20, may_have_run=2, sessions=sessions)
    assert closing_lines(summary, verb="accepted") == [
        (
            "o.run: 7 accepted, 3 failed, 2 may have run, 8 not started, in 1 session "
            "(asyncinvoke runs show o.run)"
        ),
        "unfinished: the same command continues it",
        "to run failed items again: asyncinvoke runs redrive o.run",
        "check before you redrive: asyncinvoke runs export o.run - --may-have-run",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
async def test_a_run_is_shown_in_as_many_columns_as_there_are(width: int, recorded: Path) -> None:
    summary = replace(read(lambda run: run.summary()), total=10_000_000, may_have_run=48)
    causes = [
        replace(cause, example="x" * 300) for cause in read(lambda run: run.causes()) for _ in "12"
    ]
    lines = summary_lines(summary, causes, sample=None, now=0.0, width=width)
    assert max(map(len, lines)) == width
    assert "  not started   9,999,942   the same command continues it" in lines


@pytest.mark.parametrize("width", [20, 60, 80])
async def test_what_people_copy_is_whole_at_any_width(width: int, recorded: Path) -> None:
    path = "journals/of/the/last/quarter/orders.run"
    whole = read(lambda run: run.summary())
    summary = replace(whole, path=path, may_have_run=48, notes={COMMAND: {}})
    lines = summary_lines(
        summary, read(lambda run: run.causes()), sample=None, now=0.0, width=width
    )
    said = [line.strip() for line in lines]
    assert f"runs redrive {path}, or --cause 1, runs them again" in said
    assert any(line.endswith(f"runs export {path} - --may-have-run") for line in said)
    assert max(len(line) for line in lines if path not in line and "command" not in line) <= width


@pytest.mark.parametrize("message", ["\u4e2d" * 300, "\U0001f600" * 300, "a\u0301" * 300])
async def test_messages_whose_characters_take_two_columns_or_none_are_cut_at_the_width(
    message: str, recorded: Path
) -> None:
    summary = read(lambda run: run.summary())
    (cause, *_) = read(lambda run: run.causes())
    lines = summary_lines(
        summary, [replace(cause, example=message)], sample=None, now=0.0, width=80
    )

    def columns(line: str) -> int:
        marks = sum(map(bool, map(unicodedata.combining, line)))
        return len(line) - marks + sum(map("W".__eq__, map(unicodedata.east_asian_width, line)))

    assert 79 <= max(map(columns, lines)) <= 80


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("paused", [True, False])
async def test_a_run_is_shown_as_paused_only_while_it_is_running(
    running: bool, paused: bool, recorded: Path
) -> None:
    notes = {ANSWER: {"number": 1, "paused": paused}}
    summary = replace(read(lambda run: run.summary()), running=running, notes=notes)
    lines = summary_lines(summary, [], sample=None, now=0.0, width=80)
    is_said = "paused: asyncinvoke runs unpause continues it" in lines
    assert is_said == (running and paused)


@pytest.mark.parametrize(("columns", "widest"), [("24", 24), ("0", 71), ("", 71), ("many", 71)])
async def test_the_environment_decides_the_number_of_columns(
    recorded: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: str,
    widest: int,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert command(["runs", "show", "o.run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        max(len(line) for line in lines if widest != 24 or "runs them again" not in line) == widest
    )


SURROGATE = "\ud800"
EVIL = "\x1b[31m\x9b2J\u202e\r\n" + SURROGATE + "long " * 20_000
"""A hostile text, as a function or an endpoint may return it."""

EVIL_KEY = EVIL.replace(SURROGATE, "")

SHOWING = {
    "summary": (["show", "o.run"], 0),
    "an item that succeeded": (["show", "o.run", "--key", f"0{EVIL_KEY}"], 0),
    "an item with an earlier take": (["show", "o.run", "--key", f"1{EVIL_KEY}"], 0),
    "no such item": (["show", "o.run", "--key", EVIL], 2),
    "watch": (["watch", "o.run"], 0),
    "merge": (["merge", "m.run", "o.run", "o2.run"], 4),
    "redrive": (["redrive", "o.run", "--error-type", EVIL], 2),
}


async def test_external_text_neither_floods_nor_controls_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def answer(number: int) -> Reply:
        printed = json.dumps({"errorType": EVIL, "errorMessage": EVIL, "stackTrace": [EVIL]})
        return Reply(
            status_code=200,
            payload=printed.encode(),
            function_error=None if number % 2 == 0 else EVIL,
            executed_version=EVIL,
            request_id=EVIL,
        )

    monkeypatch.chdir(tmp_path)
    for path in ("o.run", "o2.run"):
        for redrive in (Redrive.NONE, Redrive.FAILED):
            async with (
                Invoker(transport=Function(answer)) as invoker,
                invoker.map(
                    "charge",
                    range(4),
                    key=lambda number: f"{number}{EVIL_KEY}",
                    journal=Journal(path, redrive=redrive),
                ) as run,
            ):
                run.note(COMMAND, {"source": f"/in/{EVIL}", "shared": {}})
                async for _ in run:
                    pass
    for name, (words, status) in SHOWING.items():
        assert await to_thread.run_sync(command, ["runs", *words]) == status, name
        lines = "".join(capfd.readouterr()).removesuffix("\n").split("\n")
        assert all(line.isprintable() and len(line) <= 1_100 for line in lines), name


async def test_no_file_name_controls_the_terminal(
    recorded: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "o\n\x1b[31m\udcff.run"
    for path in (recorded, Path(f"{recorded}-marks")):
        path.rename(str(path).replace("o.run", name))
    for words in (
        ["show", name],
        ["watch", name],
        ["pause", name],
        ["export", name, f"{name}.jsonl"],
        ["export", name, f"{name}.parts", "--split"],
        ["merge", f"{name}.merged", name],
        ["redrive", name, "--may-have-run"],
        ["settle", name, "--item", "1", "--ran"],
        ["stop", name],
        ["show", f"{name}.missing"],
    ):
        await to_thread.run_sync(command, ["runs", *words])
        lines = "".join(capfd.readouterr()).removesuffix("\n").split("\n")
        assert all(line.isprintable() for line in lines), words
        assert len(lines) == 1 or words[0] in ("show", "watch"), words


async def test_the_page_on_runs_shows_what_the_command_does(recorded: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "runs.md").read_text("utf-8")
    (shown,) = re.findall(r"^```\n(charge, .*?)^```", page, re.DOTALL | re.MULTILINE)
    summary: RunSummary = read(lambda run: run.summary())
    sessions = tuple(replace(summary.sessions[0], number=n, ended=None) for n in (1, 2, 3))
    notes = {COMMAND: {"source": "orders.jsonl", "shared": {"idempotent": False}}}
    summary = replace(
        summary,
        path="orders.run",
        sessions=sessions,
        notes=notes,
        succeeded=811_204,
        failed=312,
        may_have_run=48,
        total=1_000_000,
    )
    causes = [
        replace(cause, count=count, example=example)
        for cause, count, example in zip(
            read(lambda run: run.causes()),
            (298, 14),
            ("no such account", "'currency'"),
            strict=True,
        )
    ]
    lost = RecordedCause(
        number=3,
        error="TransportError",
        code="ProcessLost",
        error_type=None,
        delivery="unknown",
        gave_up=None,
        example="its process died while it was under way",
        count=36,
    )
    assert shown.splitlines() == summary_lines(
        summary, [*causes, lost], sample=None, now=0.0, width=120
    )


@given(st.lists(st.booleans(), max_size=300))
def test_line_numbers_are_those_of_the_input(empty: list[bool]) -> None:
    numbers = LineNumbers()
    expected: list[int] = []
    for line, is_empty in enumerate(empty, 1):
        if not is_empty:
            numbers.add(len(expected), line)
            expected.append(line)
    for known in (numbers, LineNumbers.from_note(json.loads(json.dumps(numbers.as_note())))):
        assert [known.get(position) for position in range(len(expected))] == expected
        assert known.get(len(expected)) is None


def test_line_numbers_take_no_memory_however_many_empty_lines_there_are() -> None:
    numbers = LineNumbers()
    for position in range(5 * MOST):
        numbers.add(position, 2 * position)
    assert len(json.dumps(numbers.as_note())) < 40 * MOST
    assert numbers.get(5 * MOST - 1) == 2 * (5 * MOST - 1)
    assert numbers.get(0) is None


@pytest.mark.parametrize(
    ("size", "place", "force", "says"),
    [
        (None, OutputState(path=""), False, None),
        (None, OutputState(path="", offset=9, ends=3, is_known=True), False, None),
        (9, OutputState(path="", offset=9, ends=3, is_known=True), False, "no line ends at byte 9"),
        (20, OutputState(path="", offset=10, ends=3, is_known=True), False, None),
        (
            8,
            OutputState(path="", offset=9, ends=3, is_known=True),
            False,
            "has 8 bytes, but had 9 when",
        ),
        (8, OutputState(path=""), False, "does not belong to this run: map --force replaces it"),
        (8, OutputState(path=""), True, None),
        (0, OutputState(path=""), False, None),
        (8, OutputState(path="", is_known=True), False, None),
        (10, OutputState(path="", offset=10, ends=3, is_known=True), False, None),
        (99, OutputState(path="", offset=20, ends=3, is_known=True), True, None),
        (
            99,
            OutputState(path="", offset=19, ends=3, is_known=True),
            True,
            "no line ends at byte 19",
        ),
    ],
)
def test_an_output_is_continued_only_where_it_is_what_it_was(
    size: int | None, place: OutputState, force: bool, says: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    if size is not None:
        path.write_bytes((BEGINNING + b"\n") * (size // 10) + BEGINNING[: size % 10])
    if says is None:
        # A removed output is written anew, which is noted first, because writing may be
        # interrupted.
        beginning = OutputState(path=place.path)
        continued = check_output(str(path), place, force=force)
        assert continued == (place if path.exists() else beginning)
        return
    with pytest.raises(CommandError, match=says):
        check_output(str(path), place, force=force)


@pytest.mark.parametrize("content", [b"alias ll='ls -l'\n", b"{}\n", b"\0\0#!/bin/sh\n"])
@pytest.mark.parametrize("at_end", [False, True])
def test_no_file_is_overwritten_only_because_a_journal_names_it_as_its_output(
    content: bytes, at_end: bool, tmp_path: Path
) -> None:
    path = tmp_path / ".bashrc"
    path.write_bytes(content)
    place = OutputState(path=str(path), offset=len(content) * at_end, is_known=True)
    with pytest.raises(CommandError, match="does not begin with an outcome"):
        check_output(str(path), place, force=False)
    assert check_output(str(path), place, force=True) == place
    path.write_bytes(bytes(100))  # zeros, as after a power failure
    assert check_output(str(path), OutputState(path="", is_known=True), force=False).is_known


async def test_foreign_notes_do_no_harm(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program may store notes under the names that the command uses, with other meanings."""
    names = ("command", "total", "output", "unrecorded", "control", "file", "logs")
    for value in ("words", 3, [1], {"shared": 1}, None):
        notes = dict.fromkeys(names, value)
        async with (
            Invoker(transport=FakeLambda()) as invoker,
            invoker.map("charge", range(10), journal=Journal(recorded, notes=notes)) as run,
        ):
            assert len([outcome async for outcome in run]) == 10
        for words in (["show", "o.run", "--json"], ["show", "o.run"], ["export", "o.run", "-"]):
            status = await to_thread.run_sync(command, ["runs", *words])
            assert (status, capsys.readouterr().err) == (0, "")
        assert await to_thread.run_sync(command, ["runs", "redrive", "o.run"]) == 2
        assert command(["runs", "merge", "m.run", "o.run", "--force"]) == 0
        capsys.readouterr()


async def test_a_process_that_compares_an_input_is_not_taken_for_the_last_session(
    recorded: Path,
) -> None:
    summary = read(lambda run: run.summary())
    ran = f"process {summary.sessions[-1].pid} on {summary.sessions[-1].host}"
    for holder, printed in (
        (ran, f"1 session; running for 0 min 9 s in {ran}"),
        ("process 5 on a", "1 session; process 5 on a is comparing its input with that of the run"),
    ):
        now = summary.sessions[-1].started + 9
        held = replace(summary, running=True, holder=holder)
        assert summary_lines(held, (), sample=None, now=now, width=100)[1] == printed


async def test_items_are_settled_by_one_command(
    recorded: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    doubtful = [4, 7]
    crash(recorded, sent=doubtful)
    words = [word for position in doubtful for word in ("--item", str(position))]
    assert command(["runs", "settle", "o.run", "--ran", *words]) == 0
    assert capfd.readouterr().out == "".join(f"item {each}: it ran\n" for each in doubtful)
    assert read(lambda run: run.summary().settled) == 2
