"""Items in progress when a process died: what is known about them, and what happens to them."""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from asyncinvoke import (
    Changed,
    InvocationError,
    Invoker,
    Journal,
    Outcome,
    Redrive,
    RejectedError,
    Request,
)
from asyncinvoke._journal.marks import HEADER
from asyncinvoke.runs import open_run, settle
from tests.journal.crashes import crash, restart
from tests.journal.fake_service import FakeService, indexes, streamed

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.run"


@pytest.fixture
async def crashed(path: Path) -> Path:
    await FakeService().map(path, range(6))
    crash(path, sent=[6, 7], unsent=[8, 9])
    return path


def lost(outcomes: list[Outcome]) -> list[int]:
    return indexes(
        each
        for each in outcomes
        if isinstance(each.error, InvocationError) and each.error.code == "ProcessLost"
    )


def unknown(path: Path) -> list[int]:
    with open_run(path) as recorded:
        assert recorded.summary().may_have_run == len(list(recorded.unknown()))
        return [item.position for item in recorded.unknown()]


async def test_on_the_same_boot_only_what_was_marked_is_in_doubt(crashed: Path) -> None:
    assert unknown(crashed) == [6, 7]
    service = FakeService()
    outcomes = await service.map(crashed, range(12))
    assert lost(outcomes) == [6, 7]
    assert sorted(service.sent) == [8, 9, 10, 11]
    assert service.statistics is not None
    assert (service.statistics.lost, service.statistics.failed) == (2, 0)
    assert unknown(crashed) == [6, 7]
    assert lost(await service.map(crashed, range(12))) == [6, 7]
    assert service.sent == []


async def test_the_keys_of_requests_name_no_item_in_doubt_where_the_run_has_no_keys(
    path: Path,
) -> None:
    def requests(count: int) -> list[Request]:
        return [Request(payload=number, key="a") for number in range(count)]

    await FakeService().map(path, requests(6))
    crash(path, sent=[6, 7])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT DISTINCT key FROM item").fetchall() == [("a",)]
        connection.execute("UPDATE flight SET key = 'a'")
        connection.commit()
    assert unknown(path) == [6, 7]
    service = FakeService()
    assert lost(await service.map(path, requests(9))) == [6, 7]
    assert service.sent == [8]


@pytest.mark.parametrize("keys", [{}, {"key": str}], ids=["by position", "by key"])
async def test_what_ended_once_and_is_in_doubt_since_is_not_passed_over_with_what_has_ended(
    path: Path, keys: dict[str, Any]
) -> None:
    """Without results nothing is replayed: what has ended is compared in blocks, and passed over."""
    journal = Journal(path, results=False)
    await FakeService(failing=[2]).map(journal, range(6), **keys)
    crash(path, sent=[2])
    service = FakeService()
    outcomes = await service.map(journal, streamed(range(6)), **keys)
    assert (lost(outcomes), service.sent) == ([2], [])
    crash(path, sent=[2])
    outcomes = await service.map(journal, range(6), **keys)
    assert (lost(outcomes), service.sent) == ([2], [])


async def test_the_error_of_an_item_in_doubt_names_the_function_and_its_alias(path: Path) -> None:
    await FakeService(stuck=[2]).map(path, range(3), take=2, qualifier="live")
    crash(path, sent=[3])
    outcomes = await FakeService().map(path, range(4), qualifier="live")
    texts = {each.index: str(each.error) for each in outcomes if not each.ok}
    assert texts.keys() == {2, 3}
    assert texts[2].startswith("work:live: InvokerClosed: the map's block was left (")
    assert texts[3].startswith("work:live: ProcessLost: its process died ")


async def test_the_error_of_an_item_in_doubt_that_cannot_be_sent_any_more_begins_with_its_code(
    path: Path,
) -> None:
    await FakeService().map(path, range(3), key=str)
    crash(path, sent=[2])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE flight SET key = 'changed'")
        connection.commit()
    journal = Journal(path, changed=Changed.KEEP)
    (outcome,) = await FakeService().map(journal, [object()], key=lambda _: "changed")
    assert str(outcome.error).startswith("ProcessLost: its process died ")


async def test_after_a_restart_all_that_was_open_is_in_doubt(crashed: Path) -> None:
    restart(crashed)
    assert unknown(crashed) == [6, 7, 8, 9]
    service = FakeService()
    assert lost(await service.map(crashed, range(12))) == [6, 7, 8, 9]
    assert sorted(service.sent) == [10, 11]


async def test_what_is_not_met_stays_in_doubt_for_the_next_session(crashed: Path) -> None:
    service = FakeService()
    await service.map(crashed, range(12), take=1)
    assert set(service.sent).isdisjoint({6, 7})
    assert {6, 7} <= set(unknown(crashed))
    assert lost(await FakeService().map(crashed, range(12))) == [6, 7]


async def test_marks_that_belong_to_another_run_are_not_asked(crashed: Path) -> None:
    marks = Path(f"{crashed}-marks")
    marks.write_bytes(b"another".ljust(64, b"\0") + b"\0" * 20)
    assert unknown(crashed) == [6, 7, 8, 9]

    # A session that reads none of them; the marks are its own now.
    await FakeService().map(crashed, streamed(range(6)), take=1)
    assert unknown(crashed) == [6, 7, 8, 9]
    assert lost(await FakeService().map(crashed, range(12))) == [6, 7, 8, 9]


@pytest.mark.parametrize(("rows", "doubtful"), [(0, [6, 7, 8, 9]), (5, [6, 7, 8, 9]), (8, [6, 7])])
async def test_marks_that_end_before_a_row_that_was_sent_are_not_asked(
    crashed: Path, rows: int, doubtful: list[int]
) -> None:
    os.truncate(f"{crashed}-marks", HEADER + rows)  # by another program
    assert unknown(crashed) == doubtful
    service = FakeService()
    assert lost(await service.map(crashed, range(12))) == doubtful
    assert set(service.sent).isdisjoint(doubtful)


async def test_what_is_idempotent_runs_again_and_never_becomes_what_surely_did_not(
    crashed: Path,
) -> None:
    service = FakeService(stuck=[6, 7])
    # It runs again, and the process dies again, before and after it is sent.
    await service.map(crashed, range(8), idempotent=True, concurrency=1, take=6)
    again = FakeService()
    outcomes = await again.map(crashed, range(12))
    assert {6, 7} & set(again.sent) == set()
    assert set(indexes(outcomes)) == set(range(12))
    assert not {each.index for each in outcomes if each.ok} & {6, 7}


async def test_a_dry_run_and_a_named_durable_execution_run_again(path: Path) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "a": {"invocation_type": "DryRun"},
        "b": {"durable_execution_name": "once"},
    }
    for name, options in kinds.items():
        journal = path.with_name(name)
        await FakeService().map(journal, range(2), **options)
        crash(journal, sent=[2])
        service = FakeService()
        outcomes = await service.map(journal, range(3), **options)
        assert service.sent == [2]
        assert [len(each.attempts) for each in outcomes if each.index == 2] == [2]


@pytest.mark.parametrize(
    "redrive",
    [Redrive.MAY_HAVE_RUN, lambda outcome: outcome.error.code == "ProcessLost"],
    ids=["a flag", "a function"],
)
async def test_what_is_in_doubt_runs_on_demand_and_the_lost_take_is_kept(
    crashed: Path, redrive: Any
) -> None:
    service = FakeService()
    outcomes = await service.map(Journal(crashed, redrive=redrive), range(8))
    assert sorted(service.sent) == [6, 7]
    assert {each.index: each.take for each in outcomes if not each.replayed} == {6: 2, 7: 2}
    with open_run(crashed) as recorded:
        item = recorded.item(position=6)
        assert item is not None
        assert [(take.number, take.state) for take in item.earlier] == [(1, "may_have_run")]
        assert recorded.summary().succeeded == 8
        assert recorded.causes() == ()


async def test_a_redrive_that_dies_is_counted_once(path: Path) -> None:
    service = FakeService(failing=[1], lost=[2], refused=[3])
    await service.map(path, range(6))
    crash(path, sent=[1, 2], unsent=[3])
    with open_run(path) as recorded:
        summary = recorded.summary()
        assert (summary.succeeded, summary.failed, summary.may_have_run) == (3, 1, 2)
        assert summary.ended + summary.in_flight == 6
    assert unknown(path) == [1, 2]
    outcomes = await FakeService().map(path, range(6))
    assert lost(outcomes) == [1, 2]
    assert {each.index: each.take for each in outcomes if not each.ok} == {1: 2, 2: 2, 3: 1}
    (refused,) = [each.error for each in outcomes if each.index == 3]
    assert isinstance(refused, RejectedError)


@pytest.mark.parametrize("ran", [True, False])
async def test_a_person_settles_what_no_session_has_met_yet(crashed: Path, ran: bool) -> None:
    settle(crashed, position=6, ran=ran)
    assert unknown(crashed) == [7]
    service = FakeService()
    outcomes = await service.map(crashed, range(8))
    assert service.sent == ([] if ran else [6])
    assert lost(outcomes) == ([6, 7] if ran else [7])
    assert unknown(crashed) == [7]


async def test_a_function_that_raises_ends_the_run_as_itself(path: Path) -> None:
    await FakeService(failing=[1]).map(path, range(6))

    def broken(outcome: Outcome) -> bool:
        raise LookupError(outcome.index)

    with pytest.raises(LookupError, match="1"):
        await FakeService().map(Journal(path, redrive=broken), range(6))
    assert len(await FakeService().map(path, range(6))) == 6


async def test_links_and_moved_folders_do_not_bypass_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = path.with_name("link.run")
    link.symlink_to(path)
    (path.parent / "elsewhere").mkdir()
    service = FakeService()
    await service.map(path, range(6), take=1)
    await service.map(link, range(6), take=2)
    assert not Path(f"{link}-marks").exists()
    monkeypatch.chdir(path.parent)
    assert len(await service.map(Path(path.name), range(6))) == 6

    class Moving(FakeService):
        async def send(self, *values: Any) -> Any:
            os.chdir("/")
            return await super().send(*values)

    monkeypatch.chdir(path.parent)
    assert len(await Moving().map(Path("other.run"), range(6))) == 6
    monkeypatch.chdir(path.parent)

    # Whether a stream is the input of the run is known only later.
    async def moving() -> AsyncIterator[int]:
        os.chdir("/")
        for item in range(9):
            yield item

    assert len(await FakeService().map(Path("other.run"), moving())) == 9
    monkeypatch.chdir(path.parent)
    async with Invoker(transport=FakeService()) as invoker:
        block = invoker.map("work", range(9), journal="late.run")
        os.chdir("/")
        monkeypatch.chdir(path.parent / "elsewhere")
        async with block as run:
            assert len([outcome async for outcome in run]) == 9
    monkeypatch.chdir(path.parent)
