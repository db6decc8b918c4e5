"""Merging the journals of shards: every item is there once, and items that ran twice are named."""

import contextlib
import errno
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke import (
    InvalidRequestError,
    Invoker,
    Journal,
    JournalError,
    JournalMismatchError,
    Outcome,
    Redrive,
    RetryPolicy,
    Shard,
)
from asyncinvoke._journal import merging
from asyncinvoke._journal.marks import Marks
from asyncinvoke._journal.merging import Merging
from asyncinvoke._journal.shards import missing_shards, total_of_parts
from asyncinvoke._outputs.parts import remove_abandoned
from asyncinvoke.runs import merge, open_run, settle
from tests.batches.maps import SOON, Function
from tests.doubles.engine import FAILED, LOST, THROTTLED
from tests.journal.killing import ROOT
from tests.journal.torn import torn_log


async def run_one(
    function: Function, journal: Path | Journal, *, items: int = 100, **options: Any
) -> None:
    with anyio.fail_after(SOON):
        async with (
            Invoker(transport=function, limit=8) as invoker,
            invoker.map("work", range(items), journal=journal, **options) as run,
        ):
            async for _ in run:
                pass


def run_map(function: Function, journal: Path | Journal, **options: Any) -> None:
    anyio.run(lambda: run_one(function, journal, **options))


def fail_each_tenth(payload: Any) -> Any:
    return FAILED if payload % 10 == 3 else payload


def outcomes_of(path: Path) -> list[Outcome]:
    with open_run(path) as recorded:
        return list(recorded.outcomes())


def rows(path: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("batch", [None, 4])
def test_shards_become_the_run_of_all_items(tmp_path: Path, keyed: bool, batch: int | None) -> None:
    options: dict[str, Any] = {"key": str} if keyed else {}
    if batch is not None:
        options["batch"] = batch
    parts = [tmp_path / f"p{number}.run" for number in range(1, 5)]
    function = Function(lambda payload: fail_each_tenth(payload) if batch is None else payload)
    for number, part in enumerate(parts, 1):
        run_map(function, part, shard=Shard(number, of=4), **options)
    whole = tmp_path / "whole.run"
    merged = merge(whole, parts)
    assert (merged.items, merged.parts, merged.ran_twice, merged.missing) == (100, 4, 0, ())
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with open_run(whole) as recorded:
        summary = recorded.summary()
        ended = list(recorded.outcomes())
        causes = recorded.causes()
    assert summary.succeeded == (90 if batch is None else 100)
    assert summary.attempts == 100
    assert "shard" not in summary.identity
    noted: Any = summary.notes["parts"]
    assert [part["shard"] for part in noted] == ["1/4", "2/4", "3/4", "4/4"]
    assert len(summary.sessions) == 4
    assert sum(summary.versions.values()) in (0, 100)
    for each in ended:
        value = int(each.key or "") if keyed else each.index
        assert each.ok == (batch is not None or value % 10 != 3)
        if each.ok:
            assert each.unwrap().json() == value
    assert sorted(int(each.key or each.index) for each in ended) == list(range(100))
    assert [(cause.error_type, cause.count) for cause in causes] == (
        [("Busy", 10)] if batch is None else []
    )
    # It continues as one run: failed items are sent again, and no others.
    sent = len(function.sent)
    run_map(function, whole, items=104, **options)
    assert sum(function.sizes if batch else [1] * (len(function.sent) - sent)) in (4, 104)
    run_map(function, Journal(whole, redrive=Redrive.FAILED), items=104, **options)
    with open_run(whole) as recorded:
        assert recorded.summary().succeeded >= 90


def test_more_journals_are_merged_than_files_can_be_open(tmp_path: Path) -> None:
    parts = [tmp_path / f"p{number}.run" for number in range(1, 41)]
    for number, part in enumerate(parts, 1):
        run_map(Function(), part, items=40, shard=Shard(number, of=40))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as opened:
        # Eight of them are copied at once, three files each.
        free = [opened.enter_context(open(os.devnull)).fileno() for _ in range(60)]
        few = max(free) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, before[1]))
    try:
        merged = merge(tmp_path / "whole.run", parts)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (merged.items, merged.parts, merged.missing) == (40, 40, ())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda part: part.unlink(), "it cannot be opened"),
        (lambda part: part.write_bytes(b"x" * 4096), "it is not a journal"),
    ],
    ids=["removed", "replaced"],
)
def test_a_journal_that_changes_between_its_check_and_its_copy_is_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], why: str
) -> None:
    parts = [tmp_path / "p1.run", tmp_path / "p2.run"]
    for number, part in enumerate(parts, 1):
        run_map(Function(), part, items=4, shard=Shard(number, of=2))
    monkeypatch.setattr(merging, "check_parts", lambda _: change(parts[1]))
    with pytest.raises(JournalError, match=f"p2.run: {why}"):
        merge(tmp_path / "whole.run", parts)
    assert not (tmp_path / "whole.run").exists()


def test_an_item_that_ended_in_two_journals_is_reported_and_the_better_outcome_is_kept(
    tmp_path: Path,
) -> None:
    first, second, third = (tmp_path / f"{name}.run" for name in "abc")
    run_map(Function(lambda n: FAILED if n < 4 else n), first, items=10)
    run_map(Function(lambda n: FAILED if n in (0, 5) else n), second, items=10)
    run_map(Function(lambda n: THROTTLED), third, items=2, retry=RetryPolicy())
    for number, order in enumerate(([first, second, third], [third, second, first])):
        whole = tmp_path / f"whole{number}.run"
        merged = merge(whole, order)
        assert (merged.items, merged.ran_twice) == (10, 10)
        assert set(merged.twice) == set(range(10))
        with open_run(whole) as recorded:
            ended = list(recorded.outcomes())
            assert [each.index for each in ended if not each.ok] == [0]
            assert recorded.summary().succeeded == 9
            assert [cause.count for cause in recorded.causes()] == [1]
            one = recorded.item(position=1)
            assert one is not None
            assert [take.state for take in one.earlier].count("failed") == 1
        numbers = rows(whole, "SELECT idx, take FROM earlier UNION ALL SELECT idx, take FROM item")
        assert max(Counter(numbers).values()) == 1


@pytest.mark.parametrize("keyed", [False, True])
def test_of_two_ends_that_are_equally_good_the_later_stands(tmp_path: Path, keyed: bool) -> None:
    options: dict[str, Any] = {"key": str} if keyed else {}
    before, after = tmp_path / "before.run", tmp_path / "after.run"
    run_map(Function(lambda n: [n, "before"]), before, items=3, **options)
    run_map(Function(lambda n: [n, "after"]), after, items=3, **options)
    with contextlib.closing(sqlite3.connect(after)) as connection:
        connection.execute("UPDATE session SET started = started + 60")
        connection.commit()
    for number, order in enumerate(([before, after], [after, before])):
        whole = tmp_path / f"whole{number}.run"
        assert merge(whole, order).ran_twice == 3
        with open_run(whole) as recorded:
            found = [each.unwrap().json() for each in recorded.outcomes()]
        assert found == [[n, "after"] for n in range(3)]


@pytest.mark.parametrize("keyed", [False, True])
def test_shards_of_different_divisions_have_items_in_common_which_are_told(
    tmp_path: Path, keyed: bool
) -> None:
    options: dict[str, Any] = {"key": str} if keyed else {}
    halves, thirds = tmp_path / "halves.run", tmp_path / "thirds.run"
    run_map(Function(), halves, items=60, shard=Shard(1, of=2), **options)
    run_map(Function(), thirds, items=60, shard=Shard(2, of=3), **options)
    first, second = (
        {each.key or each.index for each in outcomes_of(path)} for path in (halves, thirds)
    )
    merged = merge(tmp_path / "whole.run", [halves, thirds])
    assert (merged.items, merged.ran_twice) == (len(first | second), len(first & second))
    assert set(merged.twice) == first & second != set()


def test_merged_shards_of_a_run_with_keys_have_the_positions_and_the_order_of_the_input(
    tmp_path: Path,
) -> None:
    parts = [tmp_path / f"{number}.run" for number in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        run_map(Function(), part, items=30, key=str, shard=Shard(number, of=3))
    lost = [each.index for each in outcomes_of(parts[1])][-2:]
    kill(parts[1], sent=lost, unsent=[])
    for number, order in enumerate((parts, parts[::-1])):
        whole = tmp_path / f"whole{number}.run"
        merge(whole, order)
        ended = outcomes_of(whole)
        assert [(each.index, each.key) for each in ended] == [(n, str(n)) for n in range(30)]
        assert [each.index for each in ended if not each.ok] == lost
        run_map(Function(), whole, items=33, key=str)
        assert [each.index for each in outcomes_of(whole)] == list(range(33))


def test_shards_of_inputs_in_another_order_are_merged_with_each_item_under_its_key(
    tmp_path: Path,
) -> None:
    first, second, whole = (tmp_path / f"{name}.run" for name in ("one", "two", "whole"))
    function = Function(lambda pair: FAILED if pair[0] % 10 == 3 else pair)

    async def run_pairs(path: Path, number: int, order: int) -> None:
        pairs = [[n, n] for n in range(30)][::order]
        for journal in (path, Journal(path, redrive=Redrive.FAILED)):
            async with (
                Invoker(transport=function) as invoker,
                invoker.map(
                    "work",
                    pairs,
                    key=lambda pair: str(pair[0]),
                    journal=journal,
                    shard=Shard(number, of=2),
                ) as run,
            ):
                async for _ in run:
                    pass

    anyio.run(run_pairs, first, 1, 1)
    anyio.run(run_pairs, second, 2, -1)
    lost = outcomes_of(second)[-2:]
    kill(second, sent=[each.index for each in lost], unsent=[])
    assert merge(whole, [first, second]).items == 30
    with open_run(whole) as recorded:
        assert recorded.check() == ()
        assert sorted(item.key or "" for item in recorded.unknown()) == sorted(
            each.key or "" for each in lost
        )
        ended = {each.key: each for each in recorded.outcomes()}
        assert len({each.index for each in ended.values()}) == len(ended) == 30
        for key in {str(n) for n in range(30)} - {each.key for each in lost}:
            if key.endswith("3"):
                item = recorded.item(key=key)
                assert item is not None
                assert [take.state for take in item.earlier] == ["failed"]
            else:
                assert ended[key].unwrap().json() == [int(key)] * 2
    for each in outcomes_of(first):
        assert ended[each.key].index == each.index


def test_a_copy_of_a_journal_ran_nothing_twice(tmp_path: Path) -> None:
    first, copy = tmp_path / "a.run", tmp_path / "b.run"
    run_map(Function(), first, items=10)
    copy.write_bytes(first.read_bytes())
    merged = merge(tmp_path / "whole.run", [first, copy])
    assert (merged.items, merged.ran_twice) == (10, 0)


def kill(path: Path, *, sent: list[int], unsent: list[int]) -> None:
    """Change a journal as if its process had died, during this boot of the machine or another."""
    connection = sqlite3.connect(path)
    try:
        for idx in sent + unsent:
            connection.execute(
                "INSERT INTO flight SELECT idx, digest, key, 1, 1 FROM item WHERE idx = ?", (idx,)
            )
            connection.execute("DELETE FROM item WHERE idx = ?", (idx,))
            connection.execute("DELETE FROM result WHERE idx = ?", (idx,))
            connection.execute("UPDATE count SET value = value - 1 WHERE name = 'succeeded'")
        connection.execute("UPDATE session SET ended = NULL, status = NULL")
        connection.commit()
    finally:
        connection.close()
    with (path.parent / f"{path.name}-marks").open("r+b") as marks:
        for idx in sent + unsent:
            marks.seek(64 + idx)
            marks.write(b"\1" if idx in sent else b"\0")


def test_items_in_progress_when_a_process_died_are_in_doubt_or_did_not_run(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "a.run", tmp_path / "b.run"
    run_map(Function(), first, items=10, shard=Shard(1, of=2))
    run_map(Function(), second, items=10, shard=Shard(2, of=2))
    kill(first, sent=[2, 4], unsent=[6])
    whole = tmp_path / "whole.run"
    assert merge(whole, [first, second]).items == 9
    with open_run(whole) as recorded:
        summary = recorded.summary()
        assert (summary.succeeded, summary.may_have_run, summary.in_flight) == (7, 2, 0)
        assert [item.position for item in recorded.unknown()] == [2, 4]
        assert [cause.code for cause in recorded.causes()] == ["ProcessLost"]
    function = Function()
    run_map(function, whole, items=10)
    assert function.batches == [6]


@pytest.mark.parametrize("keyed", [False, True])
def test_an_outcome_in_another_journal_replaces_an_item_in_doubt_and_is_reported(
    tmp_path: Path, keyed: bool
) -> None:
    options: dict[str, Any] = {"key": str} if keyed else {}
    first, second, third = (tmp_path / f"{name}.run" for name in "abc")
    run_map(Function(), first, items=6, **options)
    run_map(Function(), second, items=6, **options)
    fails = Function(lambda n: LOST if n == 2 else THROTTLED)
    run_map(fails, third, items=4, retry=RetryPolicy(), **options)
    kill(first, sent=[1, 2, 3], unsent=[4])
    merged = merge(tmp_path / "whole.run", [first, second])
    assert (merged.items, merged.ran_twice) == (6, 5)
    merged = merge(tmp_path / "other.run", [third, first])
    with open_run(tmp_path / "other.run") as recorded:
        # According to the third journal, 1 and 3 did not run; according to the first, they may have.
        unknown = [item.key if keyed else item.position for item in recorded.unknown()]
        assert [int(each or 0) for each in unknown] == [1, 2, 3]
        assert recorded.summary().succeeded == 2
        assert recorded.check() == ()
    assert merged.twice == (("2",) if keyed else (2,))


@pytest.mark.parametrize(
    ("failure", "is_killed"), [(FAILED, False), (THROTTLED, True)], ids=["ended", "killed"]
)
def test_takes_of_an_item_that_is_in_three_journals_are_numbered_without_gaps(
    tmp_path: Path, failure: Any, is_killed: bool
) -> None:
    parts = [tmp_path / f"{name}.run" for name in "abc"]
    fails, options = Function(lambda _: failure), {"items": 2, "retry": RetryPolicy()}
    run_map(fails, parts[0], **options)
    for _ in range(3):
        run_map(fails, Journal(parts[1], redrive=Redrive.FAILED), **options)
    run_map(Function(), parts[2], **options)
    if is_killed:
        kill(parts[2], sent=[0, 1], unsent=[])
    merge(tmp_path / "whole.run", parts)
    with open_run(tmp_path / "whole.run") as recorded:
        for position in range(2):
            # Of the three takes in the second journal, the first two are left out.
            item = recorded.item(position=position)
            assert item is not None
            assert item.state == ("may_have_run" if is_killed else "succeeded")
            assert ([take.number for take in item.earlier], item.take) == ([1, 2], 3)


def test_every_difference_between_journals_is_named(tmp_path: Path) -> None:
    run_map(Function(), tmp_path / "a.run", items=3)
    run_map(Function(), tmp_path / "b.run", items=3, key=str, qualifier="live")
    run_map(Function(), tmp_path / "c.run", items=3, tenant_id="t", shard=Shard(1, of=2))
    with pytest.raises(JournalMismatchError, match="different runs") as raised:
        merge(tmp_path / "whole.run", [tmp_path / f"{name}.run" for name in "abc"])
    assert len(raised.value.differences) == 3
    for path, what in (
        ("b.run", "items have keys"),
        ("b.run", "qualifier"),
        ("c.run", "tenant_id"),
    ):
        assert any(path in each and what in each for each in raised.value.differences)
    assert not (tmp_path / "whole.run").exists()


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    for number in (1, 3):
        run_map(Function(), tmp_path / f"{number}.run", shard=Shard(number, of=4))
    merged = merge(tmp_path / "whole.run", [tmp_path / "1.run", tmp_path / "3.run"])
    assert merged.missing == ("2/4", "4/4")
    assert missing_shards(["1/2", "2/2"]) == missing_shards(["1/2", "1/3"]) == ()
    assert missing_shards([None, "1/2"]) == ()


def test_what_cannot_be_merged_is_one_clear_error(tmp_path: Path) -> None:
    first, out = tmp_path / "a.run", tmp_path / "whole.run"
    run_map(Function(), first, items=3)
    (tmp_path / "text").write_text("no journal")
    wrong: list[tuple[Path, list[Path], str]] = [
        (out, [], "nothing to merge"),
        (out, [tmp_path / "none.run"], "there is no such journal"),
        (out, [tmp_path / "text"], "it is not a journal"),
        (out, [first, first], "it is given twice"),
        (tmp_path, [first], "it is a folder"),
        (tmp_path / "no" / "whole.run", [first], "is not there"),
        (first, [first], "it already exists"),
    ]
    for target, parts, says in wrong:
        with pytest.raises(JournalError, match=says):
            merge(target, parts)
    with pytest.raises(JournalError, match="it is among those to merge"):
        merge(first, [first], replace=True)
    with pytest.raises(InvalidRequestError, match="note 'a' is nothing that JSON can hold"):
        merge(out, [first], notes={"a": object()})
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(JournalError, match="it is a pipe"):
        merge(tmp_path / "pipe", [first], replace=True)
    assert (tmp_path / "pipe").is_fifo()
    merge(out, [first])
    with pytest.raises(JournalError, match="it already exists"):
        merge(out, [first])
    assert merge(out, [first], replace=True).items == 3


@pytest.mark.parametrize("table", ["item", "result", "earlier", "sample", "cause"])
def test_of_several_journals_the_one_that_is_damaged_is_named(tmp_path: Path, table: str) -> None:
    sound, damaged, out = tmp_path / "a.run", tmp_path / "b.run", tmp_path / "whole.run"
    for number, path in enumerate((sound, damaged)):
        run_map(Function(fail_each_tenth), path, shard=Shard(number + 1, of=2))
    ((page,),) = rows(damaged, f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'")
    ((size,),) = rows(damaged, "PRAGMA page_size")
    with damaged.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 100)
    with pytest.raises(JournalError, match=r"b\.run: it is damaged"):
        merge(out, [sound, damaged])
    assert not out.exists()


@pytest.mark.anyio
async def test_a_journal_that_a_process_is_at_work_on_is_refused(tmp_path: Path) -> None:
    function, first = Function(), tmp_path / "a.run"
    async with (
        Invoker(transport=function) as invoker,
        invoker.map("work", range(9), journal=first) as run,
    ):
        await anext(run)
        with pytest.raises(JournalError, match="another process is using it"):
            merge(tmp_path / "whole.run", [first])
    assert json.dumps(merge(tmp_path / "whole.run", [first]).parts) == "1"


@pytest.mark.anyio
async def test_a_journal_that_a_process_is_at_work_on_is_not_replaced(tmp_path: Path) -> None:
    function, out = Function(), tmp_path / "whole.run"
    await run_one(function, tmp_path / "a.run", items=3)
    async with (
        Invoker(transport=function) as invoker,
        invoker.map("work", range(9), journal=out) as run,
    ):
        await anext(run)
        with pytest.raises(JournalError, match=r"whole.run: another process is using it"):
            merge(out, [tmp_path / "a.run"], replace=True)
        async for _ in run:
            pass
    with open_run(out) as recorded:
        assert (recorded.summary().succeeded, recorded.check()) == (9, ())
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] == ".") == []


@pytest.mark.parametrize("by_link", [False, True])
def test_nothing_of_a_journal_that_is_replaced_gets_into_the_new_one(
    tmp_path: Path, by_link: bool
) -> None:
    part, old, out = tmp_path / "a.run", tmp_path / "old.run", tmp_path / "whole.run"
    run_map(Function(), part, items=30)
    run_map(Function(), old, items=70)
    writer = sqlite3.connect(old)
    try:
        # What is left if the writing process is killed.
        assert writer.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        with writer:
            writer.execute("UPDATE count SET value = value + 1000")
        for beside in ("", "-wal", "-shm"):
            shutil.copy(f"{old}{beside}", f"{out}{beside}")
    finally:
        writer.close()
    if by_link:
        out = tmp_path / "link.run"
        out.symlink_to("whole.run")
    assert merge(out, [part], replace=True).path == str(out)
    assert out.is_symlink() == by_link
    with open_run(tmp_path / "whole.run") as recorded:
        assert (recorded.summary().succeeded, recorded.check()) == (30, ())
        assert len(list(recorded.outcomes())) == 30
    assert not Path(f"{tmp_path / 'whole.run'}-marks").exists()


def test_a_journal_stays_whole_until_another_is_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, out = tmp_path / "a.run", tmp_path / "whole.run"
    run_map(Function(), part, items=3)
    run_map(Function(), out, items=40)
    log = torn_log(out)
    Path(f"{out}-wal").write_bytes(log)
    with open_run(out) as recorded:
        ended = recorded.summary().ended

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            merge(out, [part], replace=True)
    with open_run(out) as recorded:
        assert recorded.summary().ended == ended == 60


def test_a_merge_that_ends_is_safe_from_one_that_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "a.run", tmp_path / "all.run"
    run_map(Function(), source)
    move = Path.replace

    def replace(part: Path, to: Path) -> Path:
        remove_abandoned(target)  # as the other one begins
        return move(part, to)

    monkeypatch.setattr(Path, "replace", replace)
    assert merge(target, [source]).items == len(rows(target, "SELECT * FROM item"))


def test_a_merge_that_fails_at_its_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.run"
    run_map(Function(), source)

    def replace(_: Path, __: Path) -> Path:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(JournalError, match="it cannot be written: input/output error"):
        merge(tmp_path / "all.run", [source])
    assert list(tmp_path.glob("*all.run*")) == []


def test_a_merge_is_done_even_if_the_marks_of_what_it_replaced_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, out = tmp_path / "a.run", tmp_path / "whole.run"
    run_map(Function(), part, items=3)
    run_map(Function(), out, items=5)
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.name.endswith("-marks"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        assert merge(out, [part], replace=True).items == 3
    assert len(outcomes_of(out)) == 3
    run_map(Function(), out, items=4)  # the marks of the other run do no harm
    assert len(outcomes_of(out)) == 4


def test_marks_that_another_process_creates_meanwhile_are_not_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened = tmp_path / "a.run-marks", os.open

    def open_after_another(*arguments: Any) -> int:
        os.close(opened(path, os.O_WRONLY | os.O_CREAT))
        return opened(*arguments)

    monkeypatch.setattr(os, "open", open_after_another)
    with contextlib.closing(Marks.locked(tmp_path / "a.run")) as marks:
        assert not marks.is_new
    path.unlink()
    monkeypatch.undo()
    with contextlib.closing(Marks.locked(tmp_path / "a.run")) as marks:
        assert marks.is_new


def test_what_a_merge_that_was_killed_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    parts, out = [tmp_path / f"{number}.run" for number in (1, 2)], tmp_path / "whole.run"
    for number, part in enumerate(parts, 1):
        run_map(Function(), part, items=6, shard=Shard(number, of=2))
    code = f"""
import os, signal
from asyncinvoke._journal.merging import Merging, Path
with Merging({str(out)!r}) as merging:
    merging.add([Path({str(parts[0])!r})])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGKILL
    (left,) = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert left.stat().st_mode & 0o777 == 0o600
    with Merging(out) as begun:
        begun.add(parts[:1])
        assert not left.exists()
        # What is being merged at the same time stays.
        assert merge(out, parts[:1]).items == 3
        begun.add(parts[1:])
        assert begun.finish().items == 6
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_merged_run_is_complete_once_every_part_of_it_is(tmp_path: Path) -> None:
    parts = [tmp_path / f"{number}.run" for number in (1, 2, 3)]

    async def leave() -> None:
        async with (
            Invoker(transport=Function()) as invoker,
            invoker.map(
                "work", range(30), journal=parts[0], shard=Shard(1, of=3), concurrency=1
            ) as run,
        ):
            run.stop()
            async for _ in run:
                pass

    def is_complete(path: Path) -> bool:
        with open_run(path) as run:
            return run.summary().complete

    anyio.run(leave)
    for number in (2, 3):
        run_map(Function(), parts[number - 1], items=30, shard=Shard(number, of=3))
    assert [is_complete(part) for part in parts] == [False, True, True]
    out, first, outer = (tmp_path / f"{name}.run" for name in ("whole", "first", "outer"))
    for order in ([0, 1, 2], [1, 0, 2], [1, 2, 0], [1, 2]):
        merge(out, [parts[each] for each in order], replace=True)
        assert not is_complete(out), order
    merge(first, [parts[0], parts[1]])
    merge(outer, [first, parts[2]])
    assert not is_complete(outer)
    run_map(Function(), Journal(outer), items=30)  # the remaining items run in a new session
    assert is_complete(outer)
    run_map(Function(), parts[0], items=30, shard=Shard(1, of=3))
    merge(out, parts, replace=True)
    assert is_complete(out)


def test_foreign_notes_of_that_name_do_not_indicate_a_merge(tmp_path: Path) -> None:
    for number, parts in enumerate(([], [1], ["a"], [{"sessions": "1"}], {"sessions": 1}, 1)):
        path = tmp_path / f"{number}.run"
        run_map(Function(), Journal(path, notes={"parts": parts}), items=3)
        with open_run(path) as run:
            assert run.summary().complete, parts


WHOLE: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("parts", "keyed", "shared", "total"),
    [
        ([(("1/2",), 5), (("2/2",), 4)], False, 0, 9),
        ([(("1/2",), 5), (("2/2",), None)], False, 0, None),
        ([(("1/2",), 5), (("1/2",), 5), (("2/2",), 4)], False, 5, 9),
        ([(("1/2",), None), (("1/2",), 5), (("2/2",), 4)], False, 0, 9),
        ([(("1/3", "2/3"), 6), (("3/3",), 3)], False, 0, 9),
        ([(("1/3", "2/3"), 6), (("2/3",), 3)], False, 0, None),
        ([(WHOLE, 9), (WHOLE, 9)], False, 9, 9),
        ([(WHOLE, 9), (WHOLE, None)], False, 4, 9),
        ([(WHOLE, 9), (("1/2",), 5)], False, 5, 9),
        ([(WHOLE, None), (("1/2",), 5)], False, 5, None),
        ([(WHOLE, 9), (WHOLE, 9)], True, 0, 18),
        ([(WHOLE, 9), (WHOLE, 9)], True, 9, 9),
        ([(WHOLE, 9), (WHOLE, None)], True, 0, None),
        ([(("1/2",), 5), (("1/2",), 5), (("2/2",), 4)], True, 5, 9),
    ],
)
def test_the_total_counts_each_item_once_however_the_journals_overlap(
    parts: list[Any], keyed: bool, shared: int, total: int | None
) -> None:
    assert total_of_parts(parts, keyed=keyed, shared=shared) == total


@pytest.mark.parametrize("keyed", [False, True])
def test_runs_of_one_input_are_merged_to_a_run_of_that_input(tmp_path: Path, keyed: bool) -> None:
    options: dict[str, Any] = {"key": str} if keyed else {}
    one, two, out = (tmp_path / f"{name}.run" for name in ("one", "two", "out"))
    run_map(Function(), one, items=30, **options)
    run_map(Function(), two, items=30, **options)
    merged = merge(out, [one, two])
    assert (merged.items, merged.ran_twice) == (30, 30)
    with open_run(out) as run:
        summary = run.summary()
        assert (summary.total, summary.ended, summary.complete) == (30, 30, True)
        assert run.check() == ()


def test_the_shards_of_merged_runs_are_known_when_they_are_merged_again(tmp_path: Path) -> None:
    parts = [tmp_path / f"{number}.run" for number in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        run_map(Function(), part, items=30, shard=Shard(number, of=3))
    first, second, whole = (tmp_path / f"{name}.run" for name in ("first", "second", "whole"))
    merge(first, parts[:2])
    with open_run(first) as run:
        assert run.summary().shards == ("1/3", "2/3")
    assert merge(second, [first, parts[1]]).missing == ("3/3",)
    assert merge(whole, [second, parts[2]]).missing == ()
    with open_run(whole) as run:
        assert run.summary().shards == ()
    run_map(Function(), first, items=30)
    with open_run(first) as run:
        assert (run.summary().shards, run.summary().total) == ((), 30)


def test_a_merge_keeps_the_takes_of_items_that_were_settled_as_not_run(tmp_path: Path) -> None:
    for keyed in (False, True):
        options: dict[str, Any] = {"key": str} if keyed else {}
        one, two, out = (tmp_path / f"{name}-{keyed}.run" for name in ("one", "two", "out"))
        lost = Function(lambda payload: LOST if payload == 4 else payload)
        for path in (one, two):
            run_map(lost, path, items=5, **options)
            settle(path, ran=False, **({"key": "4"} if keyed else {"position": 4}))
        run_map(Function(), two, items=5, **options)
        merge(out, [one, two])
        with open_run(out) as run:
            assert run.check() == ()
            item = run.item(**({"key": "4"} if keyed else {"position": 4}))
            assert item is not None
            assert [take.state for take in item.earlier] == ["may_have_run"]


def test_a_key_that_is_in_two_shards_is_one_clear_error(tmp_path: Path) -> None:
    parts = [tmp_path / f"{number}.run" for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        run_map(Function(), part, items=20, key=str, shard=Shard(number, of=2))
    ((stolen,),) = rows(parts[0], "SELECT key FROM item LIMIT 1")
    connection = sqlite3.connect(parts[1])
    try:
        connection.execute(
            "UPDATE item SET key = ? WHERE idx = (SELECT MIN(idx) FROM item)", [stolen]
        )
        connection.commit()
    finally:
        connection.close()
    with pytest.raises(JournalError, match="an item is in two shards"):
        merge(tmp_path / "whole.run", parts)
    assert [path.name for path in tmp_path.iterdir() if "whole" in path.name] == []


@pytest.mark.parametrize("keyed", [False, True])
def test_merged_shards_are_found_sound_whatever_is_merged_with_them(
    tmp_path: Path, keyed: bool
) -> None:
    options: dict[str, Any] = {"key": str} if keyed else {}
    parts = [tmp_path / f"{number}.run" for number in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        run_map(Function(), part, items=60, shard=Shard(number, of=3), **options)
    again = tmp_path / "again.run"
    again.write_bytes(parts[0].read_bytes())
    kill(parts[1], sent=[rows(parts[1], "SELECT MAX(idx) FROM item")[0][0]], unsent=[])
    for number, merged in enumerate(([*parts], [*parts, again], [again, *parts])):
        whole = tmp_path / f"whole{number}.run"
        found = merge(whole, merged)
        assert (found.items, found.ran_twice) == (60, 0)
        with open_run(whole) as recorded:
            assert recorded.check() == ()
            summary = recorded.summary()
            assert (summary.succeeded, summary.may_have_run) == (59, 1)


def test_digests_of_the_first_format_are_merged_as_those_of_now(tmp_path: Path) -> None:
    first = tmp_path / "first.run"
    first.write_bytes(Path(__file__).with_name("format_1.run").read_bytes())
    lengths = "SELECT DISTINCT length(digest) FROM item WHERE digest IS NOT NULL"
    assert rows(first, lengths) == [(16,)]
    merge(tmp_path / "whole.run", [first])
    assert rows(tmp_path / "whole.run", lengths) == [(12,)]
    # A later version that continues the journal does not change its old rows.
    connection = sqlite3.connect(first)
    try:
        connection.execute("INSERT INTO run VALUES ('first_format', 1)")
        connection.execute("PRAGMA user_version = 2")
        connection.commit()
    finally:
        connection.close()
    merge(tmp_path / "again.run", [first])
    assert rows(tmp_path / "again.run", lengths) == [(12,)]
