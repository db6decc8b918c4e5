"""How a map ends: the cause is raised in the consumer, once, and an incomplete run does not look
complete."""

import gc
import random
import weakref
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncinvoke import (
    ConfigurationError,
    InvalidRequestError,
    Invoker,
    MapRun,
    Outcome,
    ToleranceExceededError,
)
from asyncinvoke._engine import pipeline
from asyncinvoke.testing import FakeLambda
from tests.doubles.waiting import settle

from .map_doubles import SOON, Gate, Work, outcome, run_of, silent, tasks, trickle, values

pytestmark = pytest.mark.anyio


def raising(error: BaseException, *, at: int = 0) -> Work:
    async def work(index: int, item: object) -> Outcome:
        await anyio.lowlevel.checkpoint()
        if index == at:
            raise error
        return outcome(index, item)

    return work


# Errors that end a run


@pytest.mark.parametrize("error", [LookupError("mine"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_work_that_raises_while_the_input_is_silent_ends_the_run(
    error: BaseException, concurrency: int
) -> None:
    caught: BaseException | None = None
    with anyio.fail_after(SOON):
        async with run_of(silent(1, 2), raising(error, at=1), concurrency=concurrency) as run:
            got = []
            try:
                async for each in run:
                    got.append(each)
            except (LookupError, KeyboardInterrupt) as raised:
                caught = raised
    assert caught is error
    # An interrupt does not wait for the other items.
    assert values(got) == [1] or isinstance(error, KeyboardInterrupt)


async def test_an_interrupt_does_not_wait_for_what_is_in_flight() -> None:
    gate = Gate()

    async def work(index: int, item: object) -> Outcome:
        ended = await gate(index, item)
        if index == 2:
            raise KeyboardInterrupt
        if index == 1:
            raise LookupError
        return ended

    caught = False
    with anyio.fail_after(SOON):
        async with run_of(range(9), work) as run:
            await settle()
            for index in (1, 2):  # not even for the error before it
                gate.open(index)
                await settle()
            try:
                await anext(run)
            except KeyboardInterrupt:
                caught = True
            assert gate.working == 2
    assert caught


async def test_the_first_of_several_errors_is_the_one_that_is_raised() -> None:
    gate = Gate()

    async def work(index: int, item: object) -> Outcome:
        await gate(index, item)
        raise LookupError(index)

    with anyio.fail_after(SOON):
        async with run_of(range(3), work) as run:
            await settle()
            for index in (1, 0, 2):
                gate.open(index)
                await settle()
            with pytest.raises(LookupError) as caught:
                await anext(run)
    assert caught.value.args == (1,)


async def test_an_error_leaves_no_gap_in_the_order() -> None:
    with anyio.fail_after(SOON):
        async with run_of(range(8), raising(LookupError(), at=3), ordered=True) as run:
            got = []
            with pytest.raises(LookupError):  # noqa: PT012
                async for each in run:
                    got.append(each.index)
    assert got == sorted(set(range(len(got) + 1)) - {3})


async def test_every_consumer_gets_the_error() -> None:
    heard = 0

    async def consume(run: MapRun) -> None:
        nonlocal heard
        with pytest.raises(LookupError):
            async for _ in run:
                pass
        heard += 1

    gate = Gate()

    async def work(index: int, item: object) -> Outcome:
        await gate(index, item)
        raise LookupError

    with anyio.fail_after(SOON):
        async with run_of(silent(1), work) as run, anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(consume, run)
            await settle()
            gate.open_all()
    assert heard == 3


async def test_a_stop_condition_ends_the_run_once_items_in_flight_have_outcomes() -> None:
    gate = Gate()
    no_hope = ToleranceExceededError("stopped")

    class StopCondition:
        tolerance = None

        def __call__(self, ended: Outcome) -> ToleranceExceededError | None:
            return no_hope if ended.index == 1 else None

    with anyio.fail_after(SOON):
        async with run_of(count(), gate, concurrency=3, stop_condition=StopCondition()) as run:
            await settle()
            gate.open(1)
            await settle()
            gate.open(0, 2)
            got = []
            with pytest.raises(ToleranceExceededError) as caught:  # noqa: PT012
                async for each in run:
                    got.append(each.index)
    assert caught.value is no_hope
    assert sorted(got) == [0, 1, 2]
    assert gate.started == [0, 1, 2]


# After the block, and in other tasks


async def test_a_run_that_is_over_stays_over() -> None:
    async with run_of(range(3)) as run:
        assert len([each async for each in run]) == 3
        assert [each async for each in run] == []
    assert [each async for each in run] == []


@pytest.mark.parametrize("taken", [0, 1])
async def test_a_run_that_was_left_early_does_not_look_complete(taken: int) -> None:
    async with run_of(range(3)) as run:
        for _ in range(taken):
            await anext(run)
    with pytest.raises(ConfigurationError, match="left before all outcomes were taken"):
        await anext(run)


async def test_a_run_with_outcomes_that_were_not_taken_does_not_look_complete() -> None:
    async with run_of(range(3)) as run:
        await settle()
        assert run.statistics().succeeded == 3
        assert run.statistics().waiting_for is None
    with pytest.raises(ConfigurationError):
        await anext(run)


async def test_a_failed_run_does_not_look_complete() -> None:
    with pytest.raises(LookupError):  # noqa: PT012
        async with run_of(range(3), raising(LookupError())) as run:
            async for _ in run:
                pass
    with pytest.raises(ConfigurationError):
        await anext(run)


async def test_a_consumer_in_another_task_gets_an_error_when_the_block_is_left() -> None:
    told = 0

    async def consume(run: MapRun) -> None:
        nonlocal told
        with pytest.raises(ConfigurationError, match="left before all outcomes were taken"):
            async for _ in run:
                pass
        told += 1

    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as group, run_of(range(9), Gate()) as run:
            group.start_soon(consume, run)
            group.start_soon(consume, run)
            await settle()
    assert told == 2


class UninterruptibleInput:
    """An input that ignores its cancellation until it is released."""

    def __init__(self) -> None:
        self.release = anyio.Event()

    async def __aiter__(self) -> AsyncIterator[int]:
        with anyio.CancelScope(shield=True):
            await self.release.wait()
        yield 1


async def test_a_consumer_of_a_stopped_run_does_not_wait_for_an_uninterruptible_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "LAST_WORD", 0.01)
    source, got = UninterruptibleInput(), []

    async def consume(run: MapRun) -> None:
        got.extend([each async for each in run])
        source.release.set()

    with anyio.fail_after(SOON):
        async with run_of(source) as run, anyio.create_task_group() as group:
            group.start_soon(consume, run)
            await settle()
            run.stop()
    assert got == []


async def test_a_consumer_gets_an_error_when_the_block_is_left_before_the_input_returns() -> None:
    source = UninterruptibleInput()

    async def consume(run: MapRun) -> None:
        with pytest.raises(ConfigurationError):
            await anext(run)
        source.release.set()

    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as group, run_of(source) as run:
            group.start_soon(consume, run)
            await settle()


@pytest.mark.parametrize("busy", ["work", "input", "both"])
async def test_a_shielded_consumer_gets_an_error_when_the_block_is_cancelled(busy: str) -> None:
    sources: dict[str, Any] = {"work": range(9), "input": silent(), "both": silent(1)}
    before = tasks()
    with anyio.fail_after(SOON), anyio.CancelScope() as mine:
        async with run_of(sources[busy], Gate()) as run:
            await settle()
            mine.cancel()
            with (
                anyio.CancelScope(shield=True),
                pytest.raises(ConfigurationError, match="block of this map was cancelled"),
            ):
                await anext(run)
    assert tasks() == before


async def test_a_shielded_block_is_not_cut_short() -> None:
    with anyio.CancelScope() as mine:
        mine.cancel()
        with anyio.CancelScope(shield=True):
            async with run_of(trickle(*range(9))) as run:
                assert len([each async for each in run]) == 9


class BoomError(Exception):
    pass


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("where", ["input", "work", "clean-up", "interrupt"])
async def test_an_error_that_ended_a_run_is_not_kept_alive_by_it(where: str) -> None:
    async def source() -> AsyncIterator[int]:
        try:
            yield 0
            if where in ("input", "interrupt"):
                raise BoomError if where == "input" else Interrupt
            yield 1
        finally:
            if where == "clean-up":
                raise BoomError

    async def work(index: int, item: object) -> Outcome:
        await anyio.lowlevel.checkpoint()
        if where == "work":
            raise BoomError
        return outcome(index, item)

    async def use() -> weakref.ref[BaseException]:
        try:
            async with run_of(source(), work, concurrency=1) as run:
                if where == "interrupt":  # no one iterates, so it is raised when the block is left
                    await settle()
                else:
                    await anext(run)
                    if where != "clean-up":
                        await anext(run)
        except (BoomError, Interrupt) as error:
            assert "succeeded" in repr(run)  # held by this frame, and so by the traceback
            return weakref.ref(error)
        raise AssertionError

    gc.collect()
    gc.disable()
    try:
        error = await use()
        assert error() is None
    finally:
        gc.enable()


# Misuse


async def test_a_map_is_entered_once() -> None:
    block = run_of(range(3))
    async with block as run:
        assert len([each async for each in run]) == 3
    with pytest.raises(ConfigurationError, match="call `map` again"):
        await block.__aenter__()


async def test_an_incomplete_use_of_a_map_gives_an_error_that_says_what_to_write() -> None:
    async with Invoker(transport=FakeLambda()) as invoker:
        block: Any = invoker.map("work", [1])

        async def iterate() -> None:
            async for _ in block:
                pass

        async def wait() -> None:
            await block

        async def enter() -> None:
            with block:
                pass

        async def iterate_at_once() -> None:
            for _ in block:
                pass

        for misuse in (iterate, wait, enter, iterate_at_once):
            with pytest.raises(ConfigurationError, match=r"async with invoker\.map\(\.\.\.\) as"):
                await misuse()


# Controls


@pytest.mark.parametrize("seed", range(2))
async def test_a_storm_of_settings_loses_nothing_and_holds_the_last(seed: int) -> None:
    chance = random.Random(seed)
    gate = Gate()
    got: list[int] = []
    most = 9
    with anyio.fail_after(SOON):
        async with run_of(trickle(*range(200)), gate, concurrency=4) as run:
            for step in range(30):
                run.set_concurrency(chance.randint(1, most))
                if not step % 5:
                    await settle()
                gate.open(*chance.sample(gate.started, min(3, len(gate.started))))
                while run.statistics().buffered and chance.random() < 0.7:
                    got.append((await anext(run)).index)
            run.set_concurrency(2)
            await settle()
            gate.open(*gate.started)
            await settle()
            assert gate.working <= 2
            gate.open_all()
            got += [each.index async for each in run]
    assert sorted(got) == list(range(200))
    assert gate.peak <= most


async def test_items_that_wait_for_a_worker_wait_for_a_lowered_concurrency_too() -> None:
    gate = Gate()
    async with run_of(count(), gate, concurrency=16) as run:
        await settle()
        assert run.statistics().working == 16 + 2
        run.set_concurrency(2)
        gate.open(*range(14))
        await settle()
        assert (gate.working, gate.started) == (2, list(range(16)))
        gate.open(14)
        await settle()
        assert (gate.working, gate.started) == (2, list(range(17)))


async def test_statistics_show_what_a_run_waits_for() -> None:
    gate = Gate()
    async with run_of(count(), gate, concurrency=2, describe=lambda: "a limit") as run:
        await settle()
        assert run.statistics().waiting_for == "a limit"
        gate.open_all()
        await settle()
        assert run.statistics().waiting_for == "the consumer: 18 outcomes are there to be taken"
        run.stop()
        assert len([each async for each in run]) == 18
        assert run.statistics().waiting_for is None
    gate = Gate()
    async with run_of(count(), gate, concurrency=2, ordered=True) as run:
        gate.open(*range(1, 99))
        await settle()
        message = run.statistics().waiting_for
        assert message == "item 0, whose outcome is due before the others"


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_run_whose_concurrency_was_lowered_waits_for_its_calls_not_for_an_outcome(
    ordered: bool,
) -> None:
    async with run_of(
        count(), Gate(), concurrency=50, ordered=ordered, describe=lambda: "a limit"
    ) as run:
        await settle()
        run.set_concurrency(1)
        assert run.statistics().waiting_for == "a limit"


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("concurrency", [2, 20, 200])
async def test_nothing_waits_for_its_turn_while_nothing_has_ended(
    concurrency: int, ordered: bool
) -> None:
    limited: Any = {"concurrency": concurrency, "ordered": ordered, "describe": lambda: "a limit"}
    async with run_of(count(), Gate(), **limited) as run:
        await settle()
        assert run.statistics().waiting_for == "a limit"


# Properties

ENDS = ("end", "raise", "silence")
CONSUMER = ("all", "break", "raise", "stop", "cancel")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    source=st.lists(st.integers(0, 2), max_size=30),
    ends=st.sampled_from(ENDS),
    is_async=st.booleans(),
    map_doubles=st.lists(
        st.sampled_from(["ok", "ok", "ok", "slow", "failed"]), min_size=1, max_size=8
    ),
    broken=st.none() | st.integers(0, 30),
    consumer=st.sampled_from(CONSUMER),
    after=st.integers(0, 12),
    concurrency=st.integers(1, 5),
    ordered=st.booleans(),
)
@settings(max_examples=80)
def test_every_item_that_was_read_has_one_outcome_unless_the_block_was_left(
    backend: str,
    source: list[int],
    ends: str,
    is_async: bool,
    map_doubles: list[str],
    broken: int | None,
    consumer: str,
    after: int,
    concurrency: int,
    ordered: bool,
) -> None:
    of_source, of_work, of_block = OSError("source"), LookupError("work"), KeyError("block")
    read: list[int] = []
    if not is_async and ends == "silence":
        ends = "end"

    def sync() -> Iterator[int]:
        for number, _ in enumerate(source):
            read.append(number)
            yield number
        if ends == "raise":
            raise of_source

    async def waiting() -> AsyncIterator[int]:
        for number, pauses in enumerate(source):
            for _ in range(pauses):
                await anyio.lowlevel.checkpoint()
            read.append(number)
            yield number
        if ends == "raise":
            raise of_source
        if ends == "silence":
            await anyio.sleep_forever()

    async def work(index: int, item: object) -> Outcome:
        how = map_doubles[index % len(map_doubles)]
        for _ in range(3 if how == "slow" else 1):
            await anyio.lowlevel.checkpoint()
        if index == broken:
            raise of_work
        return outcome(index, InvalidRequestError("no") if how == "failed" else item)

    async def play() -> None:
        before = tasks()
        got: list[Outcome] = []
        raised: BaseException | None = None
        is_over = False
        may_be_silent = ends == "silence" and consumer == "all" and broken is None
        with anyio.fail_after(SOON), anyio.CancelScope() as mine:
            try:
                async with run_of(
                    waiting() if is_async else sync(),
                    work,
                    concurrency=concurrency,
                    ordered=ordered,
                ) as run:
                    if may_be_silent or (ends == "silence" and len(source) <= after):
                        await settle()
                        run.stop()
                    while True:
                        if len(got) == after and consumer != "all":
                            if consumer == "break":
                                break
                            if consumer == "raise":
                                raise of_block
                            if consumer == "stop":
                                run.stop()
                            if consumer == "cancel":
                                mine.cancel()
                                await anyio.sleep_forever()
                        elif ends == "silence" and len(got) + (broken is not None) >= len(source):
                            run.stop()
                        try:
                            got.append(await anext(run))
                        except StopAsyncIteration:
                            is_over = True
                            break
            except (OSError, LookupError) as error:
                raised = error
        assert tasks() == before

        indexes = [each.index for each in got]
        assert len(set(indexes)) == len(indexes)
        assert set(indexes) <= set(read) - {broken}
        for each in got:
            assert each.ok == (map_doubles[each.index % len(map_doubles)] != "failed")
            assert not each.ok or values([each]) == [each.index]
        if ordered:
            assert indexes == [number for number in read if number != broken][: len(got)]
        if raised in (of_source, of_work) or is_over:
            # The end was reached: no item that was read is missing.
            assert set(indexes) | {broken} >= set(read)
        if is_over:
            assert broken is None or broken not in read
            assert ends != "raise" or len(read) < len(source) or consumer == "stop"
        if raised is of_source:
            assert ends == "raise"
        if raised is of_work:
            assert broken in read
        assert mine.cancelled_caught == (consumer == "cancel" and raised is None and not is_over)

    anyio.run(play, backend=backend)
