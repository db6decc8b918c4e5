"""The output of a recorded run that crashes at any moment has each outcome once, and complete.

Simulates a journal, whose commits persist, and a file, whose writes persist in part.
"""

import json
import os
import shlex
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncinvoke import InvalidRequestError, Outcome, Response
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map import continued as continued_module
from asyncinvoke.cli.map.continued import CHECKED_EVERY, NOTED_EVERY, ContinuedWriter
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.output_state import (
    NOTE,
    OutputState,
    is_behind,
    last_written,
    open_output,
    unnamed_written,
)
from asyncinvoke.cli.map.source import LineNumbers
from asyncinvoke.cli.streams import Output
from asyncinvoke.local import LocalLambda
from asyncinvoke.runs import RecordedRun
from tests.cli.processes import Run
from tests.journal.crashes import crash
from tests.journal.killing import ROOT

STEPS = ["end", "take", "commit"] * 90
"""A session that ends normally."""


class Journal:
    """A simulated journal: outcomes of items in order, and notes, which a later commit stores."""

    def __init__(self) -> None:
        self.ended: list[Outcome] = []
        self.notes: dict[str, Any] = {}
        self.waiting: dict[str, Any] = {}

    def note(self, name: str, value: object) -> None:
        self.waiting[name] = json.loads(json.dumps(value))

    def commit(self) -> None:
        self.notes |= self.waiting

    def ends(self) -> int:
        return len(self.ended)

    def outcomes(self, *, ended: tuple[int, int]) -> Iterator[Outcome]:
        last = {each.index: place for place, each in enumerate(self.ended, 1)}
        for index in sorted(last):
            if ended[0] < last[index] <= ended[1]:
                yield self.ended[last[index] - 1]


def continued(
    path: Path,
    journal: Journal,
    *,
    lost: int = 0,
    ordered: bool = False,
    keyed: bool = False,
    position: Callable[[], int] = lambda: 10**9,
) -> tuple[Output, ContinuedWriter]:
    """Open an output at the recorded offset, as a session does; the caller closes it."""
    output, place = open_output(
        str(path), OutputState.from_note(journal.notes.get(NOTE), str(path))
    )
    writer = ContinuedWriter(
        output,
        place,
        run=cast("RecordedRun", journal),
        before=journal.ends(),
        lost=lost,
        ordered=ordered,
        keyed=keyed,
        lines=LineNumbers(),
        position=position,
        note=journal.note,
    )
    return output, writer


def outcome(index: int, take: int = 1, *, keyed: bool = False) -> Outcome:
    response = Response(status_code=200, payload=b"1")
    key = f"key-{index}" if keyed else None
    return Outcome(index=index, key=key, response=response, started=0, elapsed=0, take=take)


@st.composite
def sessions(draw: st.DrawFn) -> list[list[str]]:
    """Generate what happens in each session, up to its crash."""
    step = st.sampled_from(["end", "end", "end", "commit", "take", "take"])
    return draw(st.lists(st.lists(step, max_size=25), min_size=1, max_size=6))


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
@given(crashed=sessions(), shuffle=st.randoms(use_true_random=False), torn=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_each_outcome_is_in_the_output_once_whenever_the_process_dies(
    ordered: bool,
    keyed: bool,
    crashed: list[list[str]],
    shuffle: Any,
    torn: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "continued.jsonl"
    path.unlink(missing_ok=True)
    journal, items = Journal(), 30
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(continued_module, "CHECKED_EVERY", 3)
        anyio.run(
            run_sessions, path, journal, [*crashed, STEPS], items, shuffle, ordered, keyed, torn
        )
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    written = Counter((line["index"], line.get("take", 1)) for line in lines)
    assert set(written.values()) == {1}
    last = {each.index: (each.index, each.take) for each in journal.ended}
    assert set(last.values()) <= set(written)
    assert set(last) == set(range(items))
    if ordered:
        assert [line["index"] for line in lines] == list(range(items))


async def run_sessions(
    path: Path,
    journal: Journal,
    crashed: list[list[str]],
    items: int,
    shuffle: Any,
    ordered: bool,
    keyed: bool,
    torn: int,
) -> None:
    """Run sessions until the last of them is complete."""
    for steps in crashed:
        lost = []
        done = {each.index for each in journal.ended}
        left = [index for index in range(items) if index not in done]
        if not ordered:
            shuffle.shuffle(left)
            # A redrive: finished items end again, as another take.
            left += shuffle.sample(sorted(done), min(2, len(done)))
            # A redrive of items that were in progress at the kill, which are recorded as lost
            # first.
            lost = shuffle.sample(left, min(2, len(left)))
        await run_session(path, journal, steps, left, shuffle if ordered else None, keyed, lost)
        if steps is not crashed[-1]:
            with path.open("ab") as file:
                file.write(b'{"index": 1, "ok": true, "line": 2'[:torn])


async def run_session(
    path: Path,
    journal: Journal,
    steps: list[str],
    left: list[int],
    shuffle: Any,
    keyed: bool,
    lost: list[int],
) -> None:
    """Run a session: items end, commits release their outcomes, and they are taken.

    Args:
        path: The output.
        journal: The journal.
        steps: The steps of the session.
        left: The items that run, in order.
        shuffle: Makes them end in any order, though they are released in input order; `None` if
            they are released as they end.
        keyed: Whether the items have keys.
        lost: Items that end once more before that, without a released outcome.
    """
    due = list(left)
    journal.waiting = {}
    read = -1
    output, writer = continued(
        path,
        journal,
        lost=len(lost),
        ordered=shuffle is not None,
        keyed=keyed,
        position=lambda: read,
    )
    takes = Counter(each.index for each in journal.ended)

    try:
        await writer.catch_up()
        under_way: list[Outcome] = []
        handed: list[Outcome] = []
        early: dict[int, Outcome] = {}
        for step in steps:
            if step == "end" and left:
                # Some of the items in flight; the first to start is not always the first to end.
                first = 0 if shuffle is None else shuffle.randrange(min(3, len(left)))
                index = left.pop(first)
                read = max(read, index)
                if index in lost:
                    lost.remove(index)
                    takes[index] += 1
                    journal.ended.append(outcome(index, takes[index], keyed=keyed))
                under_way.append(outcome(index, takes[index] + 1, keyed=keyed))
            elif step == "commit":
                journal.commit()
                if shuffle is None:
                    handed += under_way
                else:
                    shuffle.shuffle(under_way)
                    early.update({each.index: each for each in under_way})
                journal.ended += under_way
                under_way = []
                while due and due[0] in early:
                    handed.append(early.pop(due.pop(0)))
            elif step == "take" and handed:
                await writer.add(handed.pop(0), is_stopped=False, more=bool(handed))
        if not left and not under_way:
            while handed:
                await writer.add(handed.pop(0), is_stopped=False, more=bool(handed))
            await writer.finish()
            journal.commit()
    finally:
        os.close(output.descriptor)


@pytest.mark.anyio
@pytest.mark.parametrize("is_stopped", [False, True])
async def test_what_runs_again_is_in_an_ordered_output_once_however_the_session_ends(
    is_stopped: bool, tmp_path: Path
) -> None:
    """A line that was repaired, or an item that turned out not to have run, amid written lines."""
    path = tmp_path / "out.jsonl"
    journal = Journal()
    for again in ([outcome(index) for index in range(4)], [outcome(1, take=2)], []):
        output, writer = continued(path, journal, ordered=True)
        await writer.catch_up()
        for each in again:
            journal.ended.append(each)
            journal.commit()  # the note that it was written is in the next commit
            await writer.add(each, is_stopped=is_stopped and each.take > 1, more=False)
        if [each.take for each in again] == [2] and not is_stopped:
            journal.waiting = {}  # the process is killed
        else:
            await writer.finish() if again[1:] or not again else None
            journal.commit()
        os.close(output.descriptor)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3, 1]


@pytest.mark.anyio
async def test_an_ordered_output_with_keys_has_each_once_though_a_session_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal()
    a, b, c = (replace(outcome(index), key=key) for index, key in enumerate("abc"))
    # The first two have ended in another order than that of the input, in which they are released.
    for ended, handed_out in (([b, a], [a, b]), ([c], [c])):
        output, writer = continued(path, journal, ordered=True, keyed=True)
        await writer.catch_up()
        journal.ended += ended
        for each in handed_out:
            await writer.add(each, is_stopped=False, more=False)
        journal.commit()  # and the process is killed
        os.close(output.descriptor)
    output, writer = continued(path, journal, ordered=True, keyed=True)
    await writer.catch_up()
    await writer.finish()
    os.close(output.descriptor)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["key"] for line in lines] == ["a", "b", "c"]


@pytest.mark.anyio
async def test_an_ordered_output_with_keys_reads_back_only_its_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal()
    read, ahead = -1, 100
    output, writer = continued(path, journal, ordered=True, keyed=True, position=lambda: read)
    await writer.catch_up()
    most = 0
    for first in range(0, 6000, ahead):
        there = [outcome(index, keyed=True) for index in range(first, first + ahead)]
        read = first + ahead - 1
        journal.ended += reversed(there)
        for each in there:
            await writer.add(each, is_stopped=False, more=False)
            most = max(most, journal.waiting[NOTE]["lost"])
    os.close(output.descriptor)
    assert most <= 2 * CHECKED_EVERY + ahead
    # And a session that begins with ends that are not written yet comes down to that as well.
    journal.commit()
    journal.ended += [outcome(index, keyed=True) for index in range(6000, 6200)]
    output, writer = continued(path, journal, ordered=True, keyed=True, position=lambda: read)
    await writer.catch_up()
    for index in range(6200, 9000):
        read = index
        journal.ended.append(outcome(index, keyed=True))
        await writer.add(journal.ended[-1], is_stopped=False, more=False)
    assert journal.waiting[NOTE]["lost"] <= 2 * CHECKED_EVERY + ahead
    os.close(output.descriptor)
    lines = [json.loads(line)["index"] for line in path.read_text("utf-8").splitlines()]
    assert lines == list(range(9000))


@pytest.mark.anyio
@pytest.mark.parametrize("ordered", [False, True])
async def test_outcomes_that_are_there_together_are_noted_together(
    ordered: bool, tmp_path: Path
) -> None:
    """A note takes as long as a hundred lines if the items have empty lines between them."""
    journal = Journal()
    noted: list[Any] = []
    output, writer = continued(tmp_path / "out.jsonl", journal, ordered=ordered)
    writer._note = lambda _, note: noted.append(note)
    await writer.catch_up()
    noted.clear()
    journal.ended += [outcome(index) for index in range(1000)]
    for each in journal.ended:
        await writer.add(each, is_stopped=False, more=each.index < 999)
    os.close(output.descriptor)
    assert len(noted) <= 1000 / NOTED_EVERY + 1
    assert noted[-1]["offset"] == (tmp_path / "out.jsonl").stat().st_size


@pytest.mark.anyio
async def test_what_was_written_is_noted_though_an_earlier_session_wrote_what_comes_with_it(
    tmp_path: Path,
) -> None:
    """Else the output of a complete run counts as one that lacks outcomes."""
    path = tmp_path / "out.jsonl"
    journal = Journal()
    error = InvalidRequestError("key 'a' is that of item 0")
    twice = Outcome(index=1, key="a", error=error, started=0, elapsed=0, take=0)
    for before in ([], [outcome(0, keyed=True)]):
        output, writer = continued(path, journal, keyed=True)
        await writer.catch_up()
        journal.ended += before
        for each in before:
            await writer.add(each, is_stopped=False, more=True)
        await writer.add(twice, is_stopped=False, more=False)
        await writer.finish()
        journal.commit()
        os.close(output.descriptor)
    assert len(path.read_text().splitlines()) == 2
    assert not is_behind(journal.notes[NOTE], str(path), ends=journal.ends())
    assert journal.notes[NOTE]["offset"] == path.stat().st_size


@pytest.mark.anyio
async def test_an_ordered_output_with_new_keys_is_written_anew_though_a_session_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continued_module, "CHECKED_EVERY", 3)
    path = tmp_path / "out.jsonl"
    journal = Journal()
    new = [10, 20, 30]  # among items that have ended, of which only so many are read ahead
    journal.ended = [outcome(index, keyed=True) for index in range(40) if index not in new]
    for ran in (new[:2], new[2:]):
        output, writer = continued(
            path, journal, ordered=True, keyed=True, position=lambda: journal.ended[-1].index
        )
        await writer.catch_up()
        for index in ran:
            journal.ended.append(outcome(index, keyed=True))
            await writer.add(journal.ended[-1], is_stopped=False, more=False)
        if ran == new[2:]:
            await writer.finish()
        journal.commit()  # and the process is killed
        os.close(output.descriptor)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == list(range(40))


def takes_in(path: Path) -> list[tuple[int, int]]:
    """Return the item and the take of each line of an output."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [(line["index"], line.get("take", 1)) for line in lines]


@pytest.mark.anyio
@pytest.mark.parametrize("is_stopped", [False, True])
async def test_what_runs_again_is_in_an_ordered_output_that_a_kill_has_left_behind_its_journal(
    is_stopped: bool, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal()
    first, again = [outcome(index) for index in range(4)], [outcome(1, take=2)]
    for ended, written in ((first, first[:2]), (again, again), ([], [])):
        output, writer = continued(path, journal, ordered=True)
        await writer.catch_up()
        journal.ended += ended
        for each in written:
            await writer.add(each, is_stopped=is_stopped and each.take > 1, more=False)
        if not ended:
            await writer.finish()
        journal.commit()
        os.close(output.descriptor)
    assert takes_in(path) == [(0, 1), (1, 1), (1, 2), (2, 1), (3, 1)]


@pytest.mark.anyio
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("is_redrive", [False, True])
async def test_what_ran_again_is_in_an_ordered_output_though_a_kill_left_it_unwritten(
    is_redrive: bool, keyed: bool, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal()
    first = [outcome(index, keyed=keyed) for index in range(4)]
    again = outcome(1, take=2, keyed=keyed)  # of an item whose first line is written
    for ended, written in ((first, first[:3]), ([again], []), ([], [])):
        ordered = not (is_redrive and again in ended)
        output, writer = continued(path, journal, ordered=ordered, keyed=keyed)
        if ordered:  # the redrive is killed while it catches up
            await writer.catch_up()
        journal.ended += ended
        for each in written:
            await writer.add(each, is_stopped=False, more=False)
        if not ended:
            await writer.finish()
        journal.commit()
        os.close(output.descriptor)
    assert takes_in(path) == [(0, 1), (1, 1), (2, 1), (1, 2), (3, 1)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("keyed", "position", "takes"),
    [(False, 2, [1, 2]), (True, 2, [1, 2]), (True, 1, [2])],
    ids=["by position", "by key", "by key, in another order"],
)
async def test_an_earlier_take_does_not_come_after_a_later_one_though_kills_left_both_unwritten(
    keyed: bool, position: int, takes: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal()
    first = [outcome(index, keyed=keyed) for index in range(4)]
    again = replace(outcome(2, take=2, keyed=keyed), index=position)
    for ended in (first, [again]):
        output, writer = continued(path, journal, ordered=True, keyed=keyed)
        await writer.catch_up()
        journal.ended += ended
        await writer.add(ended[0], is_stopped=False, more=False)
        if again in ended:
            await writer.finish()
        journal.commit()  # the first session is killed after one line
        os.close(output.descriptor)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    name = "key" if keyed else "index"
    of_that = [line.get("take", 1) for line in lines if line[name] == ("key-2" if keyed else 2)]
    assert of_that == takes
    assert len(lines) == 3 + len(takes)


@pytest.mark.anyio
async def test_an_ordered_output_is_continued_where_an_older_version_left_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal()
    journal.ended = [outcome(index) for index in (3, 1, 0, 2)]
    path.write_bytes(b"".join(as_line(outcome(index), None) for index in (0, 1)))
    state = OutputState(path=str(path), offset=path.stat().st_size, following=2)
    journal.notes[NOTE] = state.as_note(LineNumbers())
    for last in (5, 6):
        output, writer = continued(path, journal, ordered=True)
        await writer.catch_up()
        journal.ended.append(outcome(last))
        await writer.add(journal.ended[-1], is_stopped=False, more=False)
        journal.commit()  # and the process is killed
        os.close(output.descriptor)
    lines = [json.loads(line)["index"] for line in path.read_text("utf-8").splitlines()]
    assert lines == [0, 1, 2, 3, 5, 6]


@pytest.mark.anyio
async def test_an_ordered_output_has_each_line_once_though_one_redrive_after_the_other_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal()
    lost, again, later = outcome(1, take=2), outcome(1, take=3), outcome(4, take=2)
    first = [outcome(index) for index in range(6)]
    # What ends in each session, and what of it is written before the process is killed.
    for ended, written in (
        (first, first),
        ([lost, again, later], [again]),
        ([outcome(0, take=2)], []),
        ([], []),
    ):
        output, writer = continued(path, journal, lost=1 if lost in ended else 0, ordered=True)
        await writer.catch_up()
        journal.ended += ended
        journal.commit()
        for each in written:
            await writer.add(each, is_stopped=False, more=False)
        journal.commit()
        if not ended:
            await writer.finish()
        os.close(output.descriptor)
    assert takes_in(path) == [*((index, 1) for index in range(6)), (1, 3), (0, 2), (4, 2)]


@pytest.mark.anyio
async def test_what_no_journal_can_name_is_written_in_one_session_only(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal()
    unnamed: list[tuple[str | None, int]] = [("a", 0), (None, 1), ("b", 0), (None, 1)]
    more: list[tuple[str | None, int]] = [("c", 0), ("a", 0), (None, 1)]
    for inserted, items in ((0, unnamed), (0, unnamed), (7, unnamed), (-3, [*more, *unnamed])):
        output, writer = continued(path, journal, keyed=True)
        await writer.catch_up()
        error = InvalidRequestError("key 'a' is that of item 0")
        for index, (key, take) in enumerate(items, 3 + inserted):
            twice = Outcome(index=index, key=key, error=error, started=0, elapsed=0, take=take)
            await writer.add(twice, is_stopped=False, more=False)
        journal.commit()
        os.close(output.descriptor)
    keys = [json.loads(line).get("key") for line in path.read_text("utf-8").splitlines()]
    assert keys[:4] == ["a", None, "b", None]
    # Which of two items without a key of their own has run before, no one can tell.
    assert Counter(keys[4:]) == Counter(["a", None, "c"])


@pytest.mark.parametrize("piece", [1, 7, 300, 1 << 16])
def test_the_last_lines_are_those_of_items_that_the_journal_has(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncinvoke.cli.map.outcomes._PIECE", piece)
    error = InvalidRequestError("no")
    ended: list[tuple[str | None, int]] = [("a", 1), ("b", 2), ("c", 1), ("c", 0), (None, 1)]
    lines = [
        as_line(Outcome(index=n, started=1.0, elapsed=0.0, key=key, error=error, take=take))
        for n, (key, take) in enumerate(ended)
    ]
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"".join([*lines, lines[0][:9]]))
    for lost, written in ((1, ended[2:3]), (2, ended[1:3]), (9, ended[:3])):
        place = OutputState(path=str(path), offset=sum(map(len, lines)), lost=lost)
        assert last_written(place, keyed=True) == set(written)


@pytest.mark.parametrize("line", [b"\0\0\0", b"1", b"{}", b"\xff"])
def test_a_last_line_that_is_not_an_outcome_is_not_an_internal_error(
    line: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(CommandError, match=r"out\.jsonl was changed by another program"):
        last_written(OutputState(path=str(path), offset=len(line) + 1, lost=1), keyed=False)


def test_lines_of_items_with_keys_are_not_counted_as_those_without(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    tricky = {"index": 1, "key": "a", "payload": {"error": "InvalidRequestError", "take": 0}}
    invalid = {"index": 2, "key": "b", "error": "InvalidRequestError"}
    twice = {"index": 3, "key": "a", "error": "InvalidRequestError", "take": 0}
    path.write_text(
        "".join(json.dumps(line) + "\n" for line in (tricky, invalid, twice)), encoding="utf-8"
    )
    place = OutputState(path=str(path), offset=path.stat().st_size)
    assert unnamed_written(place) == {"a": 1}


@pytest.mark.anyio
async def test_what_is_redriven_right_after_a_kill_is_in_the_output_once(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text(
        "".join(f"{number}\n" for number in range(8)), encoding="utf-8"
    )
    words = ("map", "echo", "in.jsonl", "-j", "e.run", "-o", "out.jsonl")
    assert (await run(*words, "--endpoint-url", endpoint.url)).status == 0
    crash(tmp_path / "e.run", sent=[1, 2])
    redriven = await run("runs", "redrive", "e.run", "--may-have-run", "--yes")
    assert redriven.status == 0, redriven.err
    assert (await run(*words, "--endpoint-url", endpoint.url)).status == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    written = [(line["index"], line.get("take", 1)) for line in lines]
    assert sorted(written) == sorted([*((index, 1) for index in range(8)), (1, 3), (2, 3)])


@pytest.mark.anyio
async def test_an_ordered_output_of_items_with_keys_has_each_once_though_their_order_changes(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    words = (
        "map",
        "echo",
        "in.jsonl",
        "-j",
        "e.run",
        "-o",
        "out.jsonl",
        "--key",
        "/id",
        "--ordered",
    )
    for keys in ("abcd", "xyabcd", "xyabcd", "dzcbayx", "dzcbayx"):
        lines = (json.dumps({"id": key}) for key in keys)
        (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
        assert (await run(*words, "--endpoint-url", endpoint.url)).status == 0
    written = [
        json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    ]
    assert [line["key"] for line in written] == [*"abcdxyz"]


DIES = """
import os, signal, sys
from asyncinvoke.cli.app import run
from asyncinvoke.cli.map.continued import ContinuedWriter

async def die(writer):
    await writer._write(next(writer._behind))
    os.kill(os.getpid(), signal.SIGKILL)

ContinuedWriter.catch_up = die
run(sys.argv[1:])
"""
"""A session that is killed when it has written the first recorded outcome."""


@pytest.mark.anyio
@pytest.mark.parametrize("output", [("-o", "out.jsonl"), ()], ids=["removed", "none before"])
async def test_an_output_that_is_written_anew_is_continued_after_a_kill(
    output: tuple[str, ...], endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text(
        "".join(f"{number}\n" for number in range(8)), encoding="utf-8"
    )
    words = ["map", "echo", "in.jsonl", "-j", "e.run", "--endpoint-url", endpoint.url]
    assert (await run(*words, *output)).status == 0
    written = tmp_path / "out.jsonl"
    written.unlink(missing_ok=True)
    words += ["-o", "out.jsonl"]
    killed = await anyio.run_process(
        [sys.executable, "-c", DIES, *words],
        cwd=tmp_path,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(written.read_text("utf-8").splitlines()) == 1
    again = await run(*words)
    assert again.status == 0, again.err
    indexes = [json.loads(line)["index"] for line in written.read_text("utf-8").splitlines()]
    assert sorted(indexes) == list(range(8))


FULL = """
import sys
from asyncinvoke.cli.app import run
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map.continued import ContinuedWriter

async def refuse(writer, outcome):
    raise CommandError("the disk is full", status=1)

ContinuedWriter._write = refuse
sys.exit(run(sys.argv[1:]))
"""
"""A session that can write nothing to its output."""


@pytest.mark.anyio
async def test_a_redrive_whose_outcomes_could_not_be_written_writes_them_when_it_is_repeated(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    received: list[int] = []

    async def repaired_later(event: int, _: object) -> int:
        received.append(event)
        if len(received) <= 3:
            raise ValueError("not yet")
        return event

    endpoint.function("repaired", repaired_later)
    (tmp_path / "in.jsonl").write_text("0\n1\n2\n")
    words = ("map", "repaired", "in.jsonl", "-j", "e.run", "-o", "out.jsonl")
    assert (await run(*words, "--endpoint-url", endpoint.url)).status == 1
    full = await anyio.run_process(
        [sys.executable, "-c", FULL, "runs", "redrive", "e.run"],
        cwd=tmp_path,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert full.returncode == 1, full.stderr
    assert len(received) == 6  # all have succeeded, and are recorded
    again = await run("runs", "redrive", "e.run")
    assert (again.status, len(received)) == (0, 6), again.err
    assert "nothing failed; completing " in again.err
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert sorted((line["index"], line["take"]) for line in lines if "take" in line) == [
        (index, 2) for index in range(3)
    ]
    once_more = await run("runs", "redrive", "e.run")
    assert (once_more.status, once_more.err) == (0, "e.run: nothing failed\n")


@pytest.mark.anyio
async def test_a_redrive_of_what_processes_have_written_finds_nothing_to_complete(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("0\n1\n2\n")
    words = [
        *["map", "echo", "in.jsonl", "-j", "e.run", "-o", "out.jsonl", "--processes", "2"],
        "--endpoint-url",
    ]
    words.append(endpoint.url)
    assert (await run(*words)).status == 0
    redriven = await run("runs", "redrive", "e.run")
    assert (redriven.status, redriven.err) == (0, "e.run: nothing failed\n")
    (tmp_path / "out.jsonl").unlink()
    again = await run(*words)  # refused if it had been continued by one process
    assert again.status == 0, again.err
    (tmp_path / "out.jsonl").unlink()
    assert "nothing failed; completing " in (await run("runs", "redrive", "e.run")).err
    assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 3


@pytest.mark.anyio
@pytest.mark.parametrize("output", ["out.jsonl", "out.jsonl.gz"])
@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
async def test_a_run_that_was_killed_before_its_first_commit_is_continued(
    output: str, processes: tuple[str, ...], endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n2\n")
    for name in ("e.run", "e.run.1of2") if processes else ("e.run",):
        with closing(sqlite3.connect(tmp_path / name)) as journal:
            journal.execute("PRAGMA journal_mode = WAL").fetchall()
        (tmp_path / f"{name}-marks").touch()
    words = ("map", "echo", "in.jsonl", "-j", "e.run", "-o", output, *processes)
    ended = await run(*words, "--endpoint-url", endpoint.url)
    assert (ended.status, (tmp_path / output).exists()) == (0, True), ended.err


@pytest.mark.anyio
async def test_a_file_as_standard_input_may_have_grown_and_its_output_may_be_removed(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    words = ("map", "echo", "-", "-j", "e.run", "-o", "out.jsonl", "--endpoint-url", endpoint.url)
    command = shlex.join([sys.executable, "-m", "asyncinvoke", *words])
    for count in (3, 5, 5):
        (tmp_path / "in.jsonl").write_text(
            "".join(f"{number}\n" for number in range(count)), encoding="utf-8"
        )
        ended = await anyio.run_process(
            f"{command} < in.jsonl",
            cwd=tmp_path,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert ended.returncode == 0, ended.stderr
        lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
        assert sorted(json.loads(line)["index"] for line in lines) == list(range(count))
        if count == 5:
            (tmp_path / "out.jsonl").unlink()
