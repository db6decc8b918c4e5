"""However a recorded map ends, its journal is correct about each item, and no file stays open."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from asyncinvoke import ConfigurationError, InvocationError, Invoker, Journal, RetryPolicy
from asyncinvoke._clock import SYSTEM_CLOCK
from asyncinvoke._journal.deciding import Decided
from asyncinvoke._journal.pending import CommitBatch
from asyncinvoke._journal.releasing import Releaser
from asyncinvoke._journal.store import Store
from asyncinvoke._journal.writing import Writer
from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.runs import open_run
from asyncinvoke.typing import Clock
from tests.journal.crashes import restart
from tests.journal.fake_service import FakeService, indexes, streamed

pytestmark = pytest.mark.anyio

SOON = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.run"


def open_intents(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM flight").fetchone()
    return int(count)


async def test_leaving_the_block_records_what_was_sent_as_unknown_and_the_rest_as_not_sent(
    path: Path,
) -> None:
    service = FakeService(stuck=[5, 6])
    await service.map(path, range(100), take=10)
    sent = set(service.sent)
    assert open_intents(path) == 0
    with open_run(path) as recorded:
        summary = recorded.summary()
        unknown = {item.position for item in recorded.unknown()}
        ended = {outcome.index for outcome in recorded.outcomes()}
    assert {5, 6} <= unknown
    assert ended == sent
    assert summary.sessions[-1].status == "left"
    assert summary.in_flight == 0
    again = FakeService()
    outcomes = await again.map(path, range(100))
    assert sent.isdisjoint(again.sent)
    assert indexes(outcomes) == list(range(100))
    codes = {o.index: o.error.code for o in outcomes if isinstance(o.error, InvocationError)}
    assert {codes[5], codes[6]} == {"InvokerClosed"}


@pytest.mark.parametrize("notes", [True, False])
async def test_a_cancelled_run_records_the_same(path: Path, notes: bool) -> None:
    service = FakeService(stuck=[3], notes=notes)
    with anyio.CancelScope() as scope:
        async with (
            Invoker(transport=service) as invoker,
            invoker.map("work", range(20), journal=path, concurrency=2) as run,
        ):
            async for outcome in run:
                if outcome.index == 12:
                    scope.cancel()
    assert scope.cancelled_caught
    assert open_intents(path) == 0
    with open_run(path) as recorded:
        assert {outcome.index for outcome in recorded.outcomes()} == set(service.sent)
        assert 3 in {item.position for item in recorded.unknown()}


async def test_an_error_in_the_block_records_the_same_and_comes_out_as_it_is(path: Path) -> None:
    service = FakeService()

    async def block() -> None:
        async with (
            Invoker(transport=service) as invoker,
            invoker.map("work", range(20), journal=path) as run,
        ):
            await anext(run)
            raise KeyError

    with pytest.raises(KeyError):
        await block()
    assert open_intents(path) == 0
    with open_run(path) as recorded:
        assert {outcome.index for outcome in recorded.outcomes()} == set(service.sent)


async def test_an_error_of_the_input_comes_after_all_outcomes_and_the_run_is_continued(
    path: Path,
) -> None:
    def broken() -> Iterator[int]:
        yield from range(7)
        raise OSError("gone")

    service = FakeService()
    with pytest.raises(OSError, match="gone"):
        await service.map(path, broken())
    await service.map(path, range(9))
    assert sorted(service.sent) == [7, 8]


async def test_a_run_that_is_stopped_ends_what_is_in_flight_and_leaves_nothing_in_doubt(
    path: Path,
) -> None:
    service = FakeService()
    outcomes = []
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(1000), journal=path, concurrency=4) as run,
    ):
        async for outcome in run:
            outcomes.append(outcome)
            if len(outcomes) == 20:
                run.stop()
    assert set(indexes(outcomes)) == set(service.sent)
    assert open_intents(path) == 0
    with open_run(path) as recorded:
        assert recorded.summary().may_have_run == 0
        assert recorded.summary().succeeded == len(outcomes)
    await service.map(path, range(1000))
    assert len(service.sent) == 1000 - len(outcomes)


async def test_a_pause_holds_and_goes_on(path: Path) -> None:
    service = FakeService()
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(100), journal=path, concurrency=4) as run,
    ):
        count = 0
        async for _ in run:
            count += 1
            if count == 10:
                run.pause()
                run.resume()
    assert count == 100


async def test_no_outcome_is_yielded_before_it_is_recorded(path: Path) -> None:
    service = FakeService()
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(50), journal=path, concurrency=4) as run,
    ):
        async for outcome in run:
            with open_run(path) as recorded:
                assert recorded.outcome(position=outcome.index) is not None


async def test_nothing_is_sent_before_its_intent_is_recorded(path: Path) -> None:
    class IntentCheckingTransport(FakeService):
        async def send(self, parameters, payload, progress):  # type: ignore[no-untyped-def]
            with open_run(path) as recorded:
                item = recorded.item(position=int(payload))
                assert item is not None
                assert item.state == "in_flight"
            return await super().send(parameters, payload, progress)

    outcomes = await IntentCheckingTransport().map(path, range(50))
    assert all(outcome.ok for outcome in outcomes)


async def test_an_invoker_that_closes_first_does_no_harm(path: Path) -> None:
    service = FakeService(stuck=range(100))
    codes = []
    invoker = Invoker(transport=service)
    with anyio.fail_after(SOON):
        await invoker.__aenter__()
        async with invoker.map("work", range(100), journal=path, concurrency=3) as run:
            while len(service.sent) < 3:
                await anyio.sleep(0)
            await invoker.__aexit__(None, None, None)
            with contextlib.suppress(ConfigurationError):  # which means that no more input is read
                async for outcome in run:
                    assert isinstance(outcome.error, InvocationError)
                    codes.append(outcome.error.code)
    assert set(codes) == {"InvokerClosed"}
    with open_run(path) as recorded:
        assert recorded.summary().may_have_run == 3


async def test_what_was_throttled_and_waits_is_not_in_doubt(path: Path) -> None:
    service = FakeService(refused=[1])
    await service.map(path, range(3), retry=RetryPolicy())
    marks = Path(f"{path}-marks").read_bytes()[64:]
    assert [bool(mark) for mark in marks] == [True, False, True]


async def test_a_run_leaves_two_files_that_other_users_cannot_read(path: Path) -> None:
    modes: dict[str, int] = {}
    service = FakeService()
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(20), journal=path) as run,
    ):
        async for _ in run:
            modes |= {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert modes == dict.fromkeys(
        ("orders.run", "orders.run-wal", "orders.run-shm", "orders.run-marks"), 0o600
    )
    assert {each.name for each in path.parent.iterdir()} == {"orders.run", "orders.run-marks"}


async def test_no_file_stays_open(path: Path) -> None:
    def held() -> set[str]:
        files = set()
        for descriptor in os.listdir("/proc/self/fd"):
            try:
                files.add(os.readlink(f"/proc/self/fd/{descriptor}"))
            except OSError:
                continue
        return {each for each in files if str(path.parent) in each}

    service = FakeService()
    await service.map(path, range(20), take=5)
    assert held() == set()
    with pytest.raises(ValueError, match="not that of the run"):
        await service.map(path, range(100, 200))
    assert held() == set()
    with open_run(path) as recorded:
        recorded.summary()
    assert held() == set()


async def test_a_map_without_a_journal_makes_no_file_and_keeps_no_notes(path: Path) -> None:
    service = FakeService()
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(20)) as run,
    ):
        with pytest.raises(ValueError, match="only a map with a journal"):
            run.note("a", 1)
        assert len([outcome async for outcome in run]) == 20
    assert list(path.parent.iterdir()) == []


async def test_a_note_that_cannot_be_kept_is_refused_where_it_is_made(path: Path) -> None:
    with pytest.raises(ValueError, match="note 'a' is nothing that JSON can hold"):
        Journal(path, notes={"a": object()})
    async with (
        Invoker(transport=FakeService()) as invoker,
        invoker.map("work", range(5), journal=path) as run,
    ):
        with pytest.raises(ValueError, match="note 'b' is nothing that JSON can hold"):
            run.note("b", {1: object()})
        assert len([outcome async for outcome in run]) == 5


async def test_notes_are_kept_with_the_run(path: Path) -> None:
    service = FakeService()
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(20), journal=Journal(path, notes={"input": "a.jsonl"})) as run,
    ):
        async for outcome in run:
            run.note("output", {"lines": outcome.index})
    with open_run(path) as recorded:
        notes = recorded.summary().notes
    assert notes["input"] == "a.jsonl"
    assert notes["output"] == {"lines": outcome.index}


async def test_the_notes_of_a_session_that_finds_nothing_left_to_run_are_kept(path: Path) -> None:
    await FakeService().map(Journal(path, notes={"input": "a.jsonl"}), range(5))
    service = FakeService()
    await service.map(Journal(path, notes={"input": "b.jsonl"}), streamed(range(5)))
    assert service.sent == []
    with open_run(path) as recorded:
        assert recorded.summary().notes["input"] == "b.jsonl"


async def test_an_interrupt_between_a_commit_and_its_release_does_no_harm(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = 1000  # more items than are read ahead, so a commit has intents, too
    service = FakeService()

    class InterruptError(BaseException):  # as trio raises one wherever the program is
        pass

    def interrupted(*_: object) -> None:
        raise InterruptError

    async def block() -> None:
        async with (
            Invoker(transport=service) as invoker,
            invoker.map("work", range(items), journal=path, concurrency=4) as run,
        ):
            await anext(run)
            monkeypatch.setattr(Releaser, "release", interrupted)
            async for _ in run:
                pass

    with pytest.raises(InterruptError):
        await block()
    monkeypatch.undo()
    restart(path)  # every item with an intent would be in doubt, marked or not
    with open_run(path) as recorded:
        summary = recorded.summary()
        assert summary.sessions[-1].status == "left"
        assert summary.ended == len(list(recorded.outcomes()))
        # Only items in flight, of which there may be none.
        assert {each.position for each in recorded.unknown()} <= set(service.sent)
        assert summary.may_have_run <= 4
    assert len(await FakeService().map(path, range(items))) == items


async def test_a_run_whose_last_items_were_lost_to_an_interrupt_is_not_complete(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InterruptError(BaseException):
        pass

    release = Releaser.release

    def interrupted(releaser: Releaser, batch: CommitBatch, decided: Decided) -> None:
        if any(each.index == 9 for each in decided.fresh):
            raise InterruptError
        release(releaser, batch, decided)

    await FakeService().map(path, range(9), take=9)
    monkeypatch.setattr(Releaser, "release", interrupted)
    with pytest.raises(InterruptError):
        await FakeService().map(path, range(10))
    monkeypatch.undo()
    with open_run(path) as recorded:
        assert recorded.summary().sessions[-1].status == "left"
        assert not recorded.summary().complete
    service = FakeService()
    assert len(await service.map(path, range(10))) == 10
    assert service.sent == [9]


async def test_a_clock_that_jumps_changes_no_duration(path: Path) -> None:
    class JumpingClock(Clock):
        def __init__(self) -> None:
            self.jumps = 0

        def time(self) -> float:
            self.jumps += 1
            return SYSTEM_CLOCK.time() + (-86_400.0 if self.jumps % 2 else 86_400.0)

        def monotonic(self) -> float:
            return SYSTEM_CLOCK.monotonic()

        async def sleep(self, seconds: float) -> None:
            await SYSTEM_CLOCK.sleep(seconds)

    outcomes = await FakeService().map(path, range(20), invoker={"clock": JumpingClock()})
    started = {outcome.index: outcome.started for outcome in outcomes}
    with open_run(path) as recorded:
        for outcome in recorded.outcomes():
            assert 0 <= outcome.elapsed < SOON
            assert abs(outcome.started - started[outcome.index]) < 0.002
        assert recorded.summary().succeeded == 20


async def test_the_last_outcome_in_progress_does_not_wait_for_the_pause_to_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncinvoke._journal.writing.PAUSE", 100 * SOON)
    writers: list[Writer] = []
    write = Writer.run

    async def noticed(writer: Writer) -> None:
        writers.append(writer)
        await write(writer)

    class DelayedTransport(FakeService):
        async def send(
            self, parameters: InvokeParameters, payload: bytes, progress: Progress
        ) -> Reply | Failure:
            reply = await super().send(parameters, payload, progress)
            while (
                payload == b"1" and not writers[0].is_pausing
            ):  # for the outcome of the other item
                await anyio.lowlevel.checkpoint()
            return reply

    monkeypatch.setattr(Writer, "run", noticed)
    with anyio.fail_after(SOON):
        assert indexes(await DelayedTransport().map(path, range(2))) == [0, 1]


async def test_each_commit_is_synced(path: Path) -> None:
    store = Store(path, keyed=False, results=True)
    store.open({"function_name": "work"})
    store.begin({})
    try:
        asked = ("journal_mode", "synchronous", "fullfsync")
        found = [store._sql.all(f"PRAGMA {name}")[0][0] for name in asked]
    finally:
        store.abandon()
    assert found == ["wal", 2, 1]
