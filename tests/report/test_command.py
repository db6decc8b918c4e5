"""`asyncinvoke runs report` on recorded runs, and the aggregates that the database computes."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from asyncinvoke import Invoker, Journal
from asyncinvoke._journal.opening import read_only
from asyncinvoke.cli.app import run
from asyncinvoke.runs import measured, open_run
from asyncinvoke.testing import FakeLambda


def fail_some(event: int, context: object) -> int:
    if event % 10 == 0:
        raise ValueError(f"no {event}")
    return event


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two sessions: the second one continues where the input of the first one ended."""
    path = tmp_path_factory.mktemp("recorded") / "numbers.run"

    async def work(count: int) -> None:
        async with (
            Invoker(transport=FakeLambda({"f": fail_some})) as invoker,
            invoker.map("f", range(count), journal=Journal(path, replay=False)) as map_run,
        ):
            async for _ in map_run:
                pass

    for count in (100, 150):
        anyio.run(work, count)
    return path


def test_what_is_counted_is_what_was_recorded(recorded: Path) -> None:
    measures = measured(recorded)
    with open_run(recorded) as opened:
        outcomes = list(opened.outcomes())
    assert sum(each.count for each in measures.latencies) == sum(
        1 for outcome in outcomes if outcome.attempts and outcome.elapsed
    )
    longest = max(outcome.elapsed for outcome in outcomes)
    assert measures.latencies[-1].longest == pytest.approx(longest, abs=1e-6)
    ended = Counter[bool]()
    for step in measures.steps:
        ended.update({True: step.succeeded, False: step.failed})
    assert ended == Counter(outcome.ok for outcome in outcomes)
    assert set(measures.lasted) == {1, 2}


def test_latencies_are_shown_with_three_digits(recorded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.run"
    with closing(sqlite3.connect(recorded)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        exact = [7, 99, 1_234, 99_949, 1_234_567, 123_456_789, 900_000_000]
        target.execute("DELETE FROM item WHERE idx >= ?", (len(exact),))
        for number, elapsed in enumerate(exact):
            target.execute("UPDATE item SET elapsed = ? WHERE idx = ?", (elapsed, number))
        target.commit()
    found = measured(copy).latencies
    assert [round(each.seconds * 1e6) for each in found] == [
        7, 99, 1_230, 99_900, 1_230_000, 123_000_000, 900_000_000,
    ]  # fmt: skip
    assert [round(each.longest * 1e6) for each in found] == [
        7, 99, 1_239, 99_999, 1_239_999, 123_999_999, 900_000_000,
    ]  # fmt: skip


def test_it_makes_no_difference_in_which_blocks_items_are_counted(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = measured(recorded)
    for rows in (1, 7, 149, 150, 151):
        monkeypatch.setattr("asyncinvoke._journal.measuring._BLOCK", rows)
        assert measured(recorded) == at_once


def test_sessions_that_were_killed_at_once_are_measured_together(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement reads all items, and a run may have been killed ten thousand times."""
    statements: list[str] = []

    def traced(path: Path) -> sqlite3.Connection:
        connection = read_only(path)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr("asyncinvoke._journal.measuring.read_only", traced)
    copy = tmp_path / "copy.run"
    needed = []
    for sessions in (2, 50):
        with closing(sqlite3.connect(recorded)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            target.execute("DELETE FROM sample")
            target.execute("UPDATE session SET ended = NULL")
            for number in range(3, sessions + 1):
                target.execute("INSERT INTO session (id, started) VALUES (?, 1e9)", (number,))
            target.execute("UPDATE item SET session = 1 + idx % ?", (sessions,))
            target.execute("UPDATE item SET began = session, elapsed = 500000")
            target.commit()
        statements.clear()
        lasted = measured(copy).lasted
        assert lasted == {number: 0.5 + number / 1000 for number in range(1, sessions + 1)}
        needed.append(len(statements))
    assert needed[0] == needed[1]


def test_items_that_a_clock_puts_outside_their_session_count_at_its_edge(
    recorded: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.run"
    year = 365 * 86_400 * 1000
    with closing(sqlite3.connect(recorded)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("UPDATE session SET started = 1e9, ended = 1e9 + 60")
        target.execute("UPDATE item SET began = ? WHERE idx = 1", (-year,))
        target.execute("UPDATE item SET began = ? WHERE idx = 2", (year,))
        target.execute("UPDATE item SET elapsed = ? WHERE idx = 3", (10**15,))
        target.commit()
    measures = measured(copy)
    assert measures.lasted == {1: 60.0, 2: 60.0}
    assert sum(each.succeeded + each.failed for each in measures.steps) == 150
    assert {each.session for each in measures.steps} == {1, 2}
    assert {each.at for each in measures.steps} == {0.0, 60.0}
    assert measures.latencies[-1].longest == 1e9


def test_the_command_writes_one_page(recorded: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run(["runs", "report", str(recorded), "-o", str(page)]) == 0
    text = page.read_text("utf-8")
    for message in (
        "complete, with failures",
        "135",
        "no 0",
        "in 2 sessions",
        "Redrive.FAILED)</span>",
    ):
        assert message in text


WRONG = {
    "no journal": (["none.run", "-o", "x.html"], 2, "there is no such journal"),
    "no output": (["{run}"], 2, "Missing option"),
    "an output that is the journal": (["{run}", "-o", "{run}"], 2, "is the journal"),
    "no such folder": (["{run}", "-o", "none/x.html"], 2, "cannot write none/x.html"),
    "no price": (["{run}", "-o", "x.html", "--price-per-gb-s", "-1"], 2, "--price-per-gb-s"),
}


@pytest.mark.parametrize(("arguments", "status", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(
    arguments: list[str],
    status: int,
    message: str,
    recorded: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word.replace("{run}", str(recorded)) for word in arguments]
    assert run(["runs", "report", *words]) == status
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
