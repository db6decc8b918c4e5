"""The output of a recorded run through crashes at any moment: each outcome is in it once, and whole.

A journal and a file are played: what is committed stays, what is written stays in part.
"""

import json
import os
import shlex
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
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
from asyncinvoke.cli.map.continued import ContinuedWriter
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.output_state import NOTE, OutputState, last_written, open_output
from asyncinvoke.cli.map.source import LineNumbers
from asyncinvoke.cli.streams import Output
from asyncinvoke.local import LocalLambda
from asyncinvoke.runs import RecordedRun
from tests.cli.processes import Run
from tests.journal.crashes import crash
from tests.journal.killing import ROOT

STEPS = ["end", "take", "commit"] * 90
"""A session that comes to its end."""


class Journal:
    """What is committed: the ends of items in their order, and notes, which go with a later commit."""

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
) -> tuple[Output, ContinuedWriter]:
    """Open an output where the journal says, as a session does; the caller closes it."""
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
        note=journal.note,
    )
    return output, writer


def outcome(index: int, take: int = 1) -> Outcome:
    response = Response(status_code=200, payload=b"1")
    return Outcome(index=index, response=response, started=0, elapsed=0, take=take)


@st.composite
def sessions(draw: st.DrawFn) -> list[list[str]]:
    """Draw what happens in each session, up to its crash."""
    step = st.sampled_from(["end", "end", "end", "commit", "take", "take"])
    return draw(st.lists(st.lists(step, max_size=25), min_size=1, max_size=6))


@pytest.mark.parametrize("ordered", [False, True])
@given(crashed=sessions(), shuffle=st.randoms(use_true_random=False), torn=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_each_outcome_is_in_the_output_once_whenever_the_process_dies(
    ordered: bool,
    crashed: list[list[str]],
    shuffle: Any,
    torn: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "continued.jsonl"
    path.unlink(missing_ok=True)
    journal, items = Journal(), 30
    anyio.run(play_all, path, journal, [*crashed, STEPS], items, shuffle, ordered, torn)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    written = Counter((line["index"], line.get("take", 1)) for line in lines)
    assert set(written.values()) == {1}
    last = {each.index: (each.index, each.take) for each in journal.ended}
    assert set(last.values()) <= set(written)
    assert set(last) == set(range(items))
    if ordered:
        assert [line["index"] for line in lines] == list(range(items))


async def play_all(
    path: Path,
    journal: Journal,
    crashed: list[list[str]],
    items: int,
    shuffle: Any,
    ordered: bool,
    torn: int,
) -> None:
    """Play sessions until the last of them is complete."""
    for steps in crashed:
        lost = []
        done = {each.index for each in journal.ended}
        left = [index for index in range(items) if index not in done]
        if not ordered:
            shuffle.shuffle(left)
            # A redrive: what has ended ends again, as another take.
            left += shuffle.sample(sorted(done), min(2, len(done)))
            # A redrive of what was in progress at the kill, which is recorded as lost first.
            lost = shuffle.sample(left, min(2, len(left)))
        await play(path, journal, steps, left, shuffle if ordered else None, lost)
        if steps is not crashed[-1]:
            with path.open("ab") as file:
                file.write(b'{"index": 1, "ok": true, "line": 2'[:torn])


async def play(
    path: Path,
    journal: Journal,
    steps: list[str],
    left: list[int],
    shuffle: Any,
    lost: list[int],
) -> None:
    """Play a session: items end, commits hand their outcomes out, and they are taken.

    Args:
        path: The output.
        journal: The journal.
        steps: What happens.
        left: The items that run, in their order.
        shuffle: Has them end in any order, though they are handed out in their own; `None` where
            they are handed out as they end.
        lost: Items that end once more before that, which is not handed out.
    """
    due = list(left)
    journal.waiting = {}
    output, writer = continued(path, journal, lost=len(lost), ordered=shuffle is not None)
    takes = Counter(each.index for each in journal.ended)

    try:
        await writer.catch_up()
        under_way: list[Outcome] = []
        handed: list[Outcome] = []
        early: dict[int, Outcome] = {}
        for step in steps:
            if step == "end" and left:
                # Some of those that are in flight; the first is not always the first to end.
                first = 0 if shuffle is None else shuffle.randrange(min(3, len(left)))
                index = left.pop(first)
                if index in lost:
                    lost.remove(index)
                    takes[index] += 1
                    journal.ended.append(outcome(index, takes[index]))
                under_way.append(outcome(index, takes[index] + 1))
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
                await writer.add(handed.pop(0), is_stopped=False)
        if not left and not under_way:
            for each in handed:
                await writer.add(each, is_stopped=False)
            await writer.finish()
            journal.commit()
    finally:
        os.close(output.descriptor)


@pytest.mark.anyio
@pytest.mark.parametrize("is_stopped", [False, True])
async def test_what_runs_again_is_in_an_ordered_output_once_however_the_session_ends(
    is_stopped: bool, tmp_path: Path
) -> None:
    """A line that was repaired, or an item that did not run after all: all around it is written."""
    path = tmp_path / "out.jsonl"
    journal = Journal()
    for again in ([outcome(index) for index in range(4)], [outcome(1, take=2)], []):
        output, writer = continued(path, journal, ordered=True)
        await writer.catch_up()
        for each in again:
            journal.ended.append(each)
            journal.commit()  # the note that it is written goes with the next commit
            await writer.add(each, is_stopped=is_stopped and each.take > 1)
        if [each.take for each in again] == [2] and not is_stopped:
            journal.waiting = {}  # the process is killed
        else:
            await writer.finish() if again[1:] or not again else None
            journal.commit()
        os.close(output.descriptor)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3, 1]


@pytest.mark.anyio
async def test_an_ordered_output_with_keys_has_each_once_though_a_session_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal()
    a, b, c = (replace(outcome(index), key=key) for index, key in enumerate("abc"))
    # The first two have ended in another order than that of the input, in which they are handed out.
    for ended, handed_out in (([b, a], [a, b]), ([c], [c])):
        output, writer = continued(path, journal, ordered=True, keyed=True)
        await writer.catch_up()
        journal.ended += ended
        for each in handed_out:
            await writer.add(each, is_stopped=False)
        journal.commit()  # and the process is killed
        os.close(output.descriptor)
    output, writer = continued(path, journal, ordered=True, keyed=True)
    await writer.catch_up()
    await writer.finish()
    os.close(output.descriptor)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["key"] for line in lines] == ["a", "b", "c"]


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
            await writer.add(each, is_stopped=is_stopped and each.take > 1)
        if not ended:
            await writer.finish()
        journal.commit()
        os.close(output.descriptor)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    takes = [(line["index"], line.get("take", 1)) for line in lines]
    assert takes == [(0, 1), (1, 1), (1, 2), (2, 1), (3, 1)]


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
            await writer.add(each, is_stopped=False)
        journal.commit()
        if not ended:
            await writer.finish()
        os.close(output.descriptor)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    takes = [(line["index"], line.get("take", 1)) for line in lines]
    assert takes == [*((index, 1) for index in range(6)), (1, 3), (4, 2), (0, 2)]


@pytest.mark.anyio
async def test_what_no_journal_can_name_is_written_in_one_session_only(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal()
    for _ in range(3):
        output, writer = continued(path, journal, keyed=True)
        await writer.catch_up()
        error = InvalidRequestError("key 'a' is that of item 0")
        for index, key, take in ((3, "a", 0), (5, None, 1), (6, "b", 0), (8, None, 1)):
            twice = Outcome(index=index, key=key, error=error, started=0, elapsed=0, take=take)
            await writer.add(twice, is_stopped=False)
        journal.commit()
        os.close(output.descriptor)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["index"] for line in lines] == [3, 5, 6, 8]


@pytest.mark.parametrize("piece", [1, 7, 300, 1 << 16])
def test_the_last_lines_are_those_of_items_that_the_journal_has(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncinvoke.cli.map.output_state._PIECE", piece)
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
def test_a_last_line_that_is_no_outcome_is_no_internal_error(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(CommandError, match=r"out\.jsonl was changed by another program"):
        last_written(OutputState(path=str(path), offset=len(line) + 1, lost=1), keyed=False)


@pytest.mark.anyio
async def test_what_is_redriven_right_after_a_kill_is_in_the_output_once(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("".join(f"{number}\n" for number in range(8)))
    words = ("map", "echo", "in.jsonl", "-j", "e.run", "-o", "out.jsonl")
    assert (await run(*words, "--endpoint-url", endpoint.url)).status == 0
    crash(tmp_path / "e.run", sent=[1, 2])
    redriven = await run("runs", "redrive", "e.run", "--may-have-run", "--yes")
    assert redriven.status == 0, redriven.err
    assert (await run(*words, "--endpoint-url", endpoint.url)).status == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
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
        (tmp_path / "in.jsonl").write_text("\n".join(lines))
        assert (await run(*words, "--endpoint-url", endpoint.url)).status == 0
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
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
"""A session that is killed when it has written the first of what is recorded."""


@pytest.mark.anyio
@pytest.mark.parametrize("output", [("-o", "out.jsonl"), ()], ids=["removed", "none before"])
async def test_an_output_that_is_written_anew_is_continued_after_a_kill(
    output: tuple[str, ...], endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("".join(f"{number}\n" for number in range(8)))
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
    assert len(written.read_text().splitlines()) == 1
    again = await run(*words)
    assert again.status == 0, again.err
    indexes = [json.loads(line)["index"] for line in written.read_text().splitlines()]
    assert sorted(indexes) == list(range(8))


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
        (tmp_path / "in.jsonl").write_text("".join(f"{number}\n" for number in range(count)))
        ended = await anyio.run_process(
            f"{command} < in.jsonl",
            cwd=tmp_path,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert ended.returncode == 0, ended.stderr
        lines = (tmp_path / "out.jsonl").read_text().splitlines()
        assert sorted(json.loads(line)["index"] for line in lines) == list(range(count))
        if count == 5:
            (tmp_path / "out.jsonl").unlink()
