"""A running map: order, one outcome each, bounded reading, and nothing left behind."""

import asyncio
import gc
from collections import ChainMap, UserDict, UserString
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from types import MappingProxyType
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncinvoke import ConfigurationError, InvalidRequestError, Outcome
from asyncinvoke._engine.buffer import READ_AHEAD
from asyncinvoke._engine.map import MapRun
from tests.doubles.waiting import settle

from .map_doubles import SOON, Gate, outcome, run_of, tasks, trickle, values


class CountingInput:
    """An endless input that counts the items read."""

    def __init__(self) -> None:
        self.read = 0

    def __iter__(self) -> Iterator[int]:
        for self.read in count(1):
            yield self.read

    async def __aiter__(self) -> AsyncIterator[int]:
        for item in self:
            await anyio.lowlevel.checkpoint()
            yield item


class AsyncCountingInput:
    """The async equivalent of `CountingInput`."""

    def __init__(self) -> None:
        self._input = CountingInput()

    @property
    def read(self) -> int:
        return self._input.read

    def __aiter__(self) -> AsyncIterator[int]:
        return self._input.__aiter__()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    items=st.lists(st.integers(0, 9), max_size=40),
    pauses=st.lists(st.integers(0, 4), min_size=1, max_size=7),
    concurrency=st.integers(1, 6),
    ordered=st.booleans(),
    is_async=st.booleans(),
)
@settings(max_examples=60)
def test_every_item_gets_exactly_one_outcome_and_order_is_kept_if_asked_for(
    backend: str,
    items: list[int],
    pauses: list[int],
    concurrency: int,
    ordered: bool,
    is_async: bool,
) -> None:
    async def pause(index: int, item: object) -> Outcome:
        for _ in range(pauses[index % len(pauses)]):
            await anyio.lowlevel.checkpoint()
        wrong = InvalidRequestError("no")
        return outcome(index, wrong if item == 0 else item)

    async def play() -> None:
        before = tasks()
        source: Any = trickle(*items) if is_async else iter(items)
        async with run_of(source, pause, concurrency=concurrency, ordered=ordered) as run:
            ended = [each async for each in run]
            statistics = run.statistics()
        assert tasks() == before
        assert sorted(each.index for each in ended) == list(range(len(items)))
        for each in ended:
            assert each.ok == (items[each.index] != 0)
            assert not each.ok or int(each.unwrap().payload) == items[each.index]
        if ordered:
            assert [each.index for each in ended] == list(range(len(items)))
        failed = items.count(0)
        assert (statistics.succeeded, statistics.failed) == (len(items) - failed, failed)
        assert (statistics.read, statistics.working, statistics.buffered) == (len(items), 0, 0)

    anyio.run(play, backend=backend)


@pytest.mark.anyio
@pytest.mark.parametrize("source", [CountingInput, AsyncCountingInput])
@pytest.mark.parametrize("ordered", [False, True])
async def test_an_endless_input_is_read_no_further_ahead_than_the_bound(
    source: type[CountingInput | AsyncCountingInput], ordered: bool
) -> None:
    endless = source()
    taken = 0
    async with run_of(endless, concurrency=4, ordered=ordered) as run:
        await settle()
        assert endless.read == 4 + READ_AHEAD
        async for _ in run:
            taken += 1
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
                assert endless.read - taken <= 4 + READ_AHEAD
            if taken == 50:
                break
    assert endless.read > 50


@pytest.mark.anyio
async def test_no_more_items_are_worked_upon_at_once_than_the_concurrency() -> None:
    gate = Gate()
    async with run_of(range(30), gate, concurrency=3) as run:
        await settle()
        assert gate.started == [0, 1, 2]
        assert run.statistics().working == 3
        gate.open(1)
        await settle()
        assert gate.started == [0, 1, 2, 3]
        gate.open_all()
        assert len([each async for each in run]) == 30
    assert gate.peak == 3


@pytest.mark.anyio
async def test_a_slow_head_holds_back_the_others_but_not_their_work() -> None:
    gate = Gate()
    async with run_of(CountingInput(), gate, concurrency=2, ordered=True) as run:
        await settle()
        gate.open(*range(1, 100))
        await settle()
        statistics = run.statistics()
        assert statistics.read == 2 + READ_AHEAD
        assert (statistics.working, statistics.buffered) == (1, 1 + READ_AHEAD)
        with anyio.move_on_after(0):
            await anext(run)
            pytest.fail("an outcome came before its turn")
        gate.open(0)
        first = [await anext(run) for _ in range(10)]
    assert [each.index for each in first] == list(range(10))


@pytest.mark.anyio
@pytest.mark.parametrize("is_async", [False, True])
async def test_an_error_of_the_input_comes_out_as_itself_after_all_outcomes(
    is_async: bool,
) -> None:
    boom = OSError("disk on fire")

    def broken() -> Iterator[int]:
        yield from range(5)
        raise boom

    async def broken_too() -> AsyncIterator[int]:
        for item in range(5):
            yield item
        raise boom

    gate = Gate()
    before = tasks()
    ended = []
    with pytest.raises(OSError, match="disk on fire") as caught:  # noqa: PT012
        async with run_of(broken_too() if is_async else broken(), gate, concurrency=9) as run:
            await settle()
            gate.open_all()
            async for each in run:
                ended.append(each)
    assert caught.value is boom
    assert sorted(values(ended)) == [0, 1, 2, 3, 4]
    assert tasks() == before


@pytest.mark.anyio
async def test_an_input_error_after_the_block_is_left_is_not_raised() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk on fire")

    async with run_of(broken()) as run:
        assert (await anext(run)).ok


@pytest.mark.anyio
@pytest.mark.parametrize("source", [CountingInput, AsyncCountingInput])
async def test_leaving_early_leaves_nothing_behind(
    source: type[CountingInput | AsyncCountingInput],
) -> None:
    gate = Gate()
    before = tasks()
    async with run_of(source(), gate, concurrency=5) as run:
        await settle()
        assert tasks() > before
        gate.open(0)
        async for _ in run:
            break
    assert tasks() == before
    assert gate.working == 0
    assert run.statistics().working == 0


@pytest.mark.anyio
async def test_an_error_in_the_block_comes_out_as_itself() -> None:
    boom = KeyError("mine")
    gate = Gate()
    before = tasks()
    with pytest.raises(KeyError) as caught:  # noqa: PT012
        async with run_of(range(9), gate):
            await settle()
            raise boom
    assert caught.value is boom
    assert (tasks(), gate.working) == (before, 0)


@pytest.mark.anyio
async def test_being_cancelled_in_the_block_leaves_nothing_behind() -> None:
    gate = Gate()
    before = tasks()
    async with anyio.create_task_group() as group:

        async def consume() -> None:
            async with run_of(AsyncCountingInput(), gate) as run:
                await anext(run)
            pytest.fail("the cancellation was swallowed")

        group.start_soon(consume)
        await settle()
        assert gate.working == 4
        group.cancel_scope.cancel()
    assert (tasks(), gate.working) == (before, 0)


@pytest.mark.anyio
async def test_a_block_left_in_another_task_is_an_error_there_and_starts_nothing_more() -> None:
    gate = Gate()
    before = tasks()
    block = run_of(AsyncCountingInput(), gate)
    run = await block.__aenter__()
    await settle()

    async def leave() -> None:
        with pytest.raises(ConfigurationError, match="in the task that entered it"):
            await block.__aexit__(None, None, None)

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        await settle()  # it is not cancelled
        assert gate.started == [0, 1, 2, 3]
        gate.open_all()
    await settle()
    assert (gate.started, tasks()) == ([0, 1, 2, 3], before)
    with pytest.raises(ConfigurationError, match="the block of this map was left"):
        await anext(run)
    await block.__aexit__(None, None, None)


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_while_it_leaves_a_block_of_another_task_stays_cancelled() -> (
    None
):
    gate = Gate()
    block = run_of(AsyncCountingInput(), gate)
    await block.__aenter__()
    await settle()
    ended: list[type[BaseException]] = []

    async def leave() -> None:
        try:
            await block.__aexit__(None, None, None)
        except BaseException as error:
            ended.append(type(error))
            raise

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        await settle()
        group.cancel_scope.cancel()
    assert ended == [anyio.get_cancelled_exc_class()]
    gate.open_all()
    await block.__aexit__(None, None, None)


def test_the_reader_of_a_generator_is_not_cancelled_when_it_drops_it_with_a_map_inside() -> None:
    async def outcomes() -> AsyncIterator[Outcome]:
        async with run_of(count()) as run:
            async for each in run:
                yield each

    async def main() -> list[object]:
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: errors.append(context["exception"])
        )
        async for _ in outcomes():
            break
        with anyio.fail_after(SOON):
            while not errors:
                gc.collect()
                await asyncio.sleep(0)
        return errors

    # On trio nothing can go on after this.
    (error,) = asyncio.run(main())
    assert isinstance(error, ConfigurationError)
    assert "aclosing" in str(error)


@pytest.mark.anyio
async def test_an_async_generator_is_closed_with_the_block() -> None:
    closed = anyio.Event()

    async def source() -> AsyncIterator[int]:
        try:
            for item in count():
                yield item
        finally:
            await anyio.lowlevel.checkpoint()
            closed.set()

    async with run_of(source()) as run:
        await anext(run)
        assert not closed.is_set()
    assert closed.is_set()


def test_being_cancelled_while_the_input_is_closed_is_not_swallowed() -> None:
    # By asyncio itself, which says it once: what swallows it has lost it.
    async def source(closing: asyncio.Event) -> AsyncIterator[int]:
        try:
            for item in count():
                yield item
        finally:
            closing.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def use(closing: asyncio.Event) -> None:
        async with run_of(source(closing)) as run:
            await anext(run)

    async def play() -> None:
        closing = asyncio.Event()
        task = asyncio.create_task(use(closing))
        await closing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())


@pytest.mark.anyio
async def test_a_source_that_never_gives_another_item_is_interrupted() -> None:
    interrupted = anyio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        try:
            await anyio.sleep_forever()
        finally:
            interrupted.set()

    async with run_of(source()) as run:
        await anext(run)
        await settle()
    assert interrupted.is_set()


@pytest.mark.anyio
@pytest.mark.parametrize("source", [CountingInput, AsyncCountingInput])
async def test_stopping_finishes_what_is_in_flight_and_starts_nothing_more(
    source: type[CountingInput | AsyncCountingInput],
) -> None:
    gate = Gate()
    async with run_of(source(), gate, concurrency=3) as run:
        await settle()
        run.stop()
        gate.open_all()
        ended = [each async for each in run]
    assert sorted(each.index for each in ended) == gate.started == [0, 1, 2]


@pytest.mark.anyio
async def test_stopping_does_not_wait_for_an_input_that_is_silent() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        await anyio.sleep_forever()

    async with run_of(source()) as run:
        await anext(run)
        await settle()
        run.stop()
        assert [each async for each in run] == []


@pytest.mark.anyio
async def test_stopping_while_the_buffer_is_full_ends_the_run() -> None:
    async with run_of(CountingInput(), concurrency=2) as run:
        await settle()
        run.stop()
        assert len([each async for each in run]) == 2 + READ_AHEAD


@pytest.mark.anyio
async def test_concurrency_can_be_raised_and_lowered_during_a_run() -> None:
    gate = Gate()
    async with run_of(CountingInput(), gate, concurrency=2) as run:
        await settle()
        assert gate.working == 2
        run.set_concurrency(5)
        await settle()
        assert gate.working == 5
        run.set_concurrency(1)
        gate.open(0, 1, 2, 3)
        await settle()
        assert (gate.working, gate.started) == (1, [0, 1, 2, 3, 4])
        gate.open(4)
        await settle()
        assert gate.started == [0, 1, 2, 3, 4, 5]
        run.set_concurrency(3)
        await settle()
        assert gate.working == 3
        assert run.statistics().concurrency == 3
    assert repr(run).startswith("<MapRun 5 succeeded, 0 failed, 0 working")


@pytest.mark.anyio
async def test_two_consumers_share_the_outcomes() -> None:
    seen: list[int] = []

    async def consume(run: MapRun) -> None:
        async for each in run:
            seen.append(each.index)
            await anyio.lowlevel.checkpoint()

    async with run_of(range(50), concurrency=3) as run, anyio.create_task_group() as group:
        group.start_soon(consume, run)
        group.start_soon(consume, run)
    assert sorted(seen) == list(range(50))


@pytest.mark.anyio
@pytest.mark.parametrize("concurrency", [1, 7])
async def test_an_empty_input_ends_at_once(concurrency: int) -> None:
    sources: list[Any] = [[], trickle()]
    for source in sources:
        async with run_of(source, concurrency=concurrency) as run:
            assert [each async for each in run] == []


@pytest.mark.parametrize(
    "payloads",
    [
        *(b"one", "one", bytearray(b"one"), memoryview(b"one"), UserString("one")),
        *({"a": 1}, MappingProxyType({"a": 1}), ChainMap({"a": 1}), UserDict(a=1)),
        *(7, None, object()),
    ],
)
def test_a_single_payload_is_not_taken_for_an_input(payloads: object) -> None:
    with pytest.raises(InvalidRequestError, match="payloads must be an iterable"):
        run_of(payloads)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, "4", True, None])
def test_concurrency_is_a_whole_number_from_one(concurrency: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"concurrency .* must be a whole number from 1"):
        run_of([1], concurrency=concurrency)


class WithoutKnownLength:
    """Has a `__len__` that raises, as progress bars and stream loaders do."""

    def __init__(self, length: Callable[[], Any]) -> None:
        self._length = length

    def __iter__(self) -> Iterator[int]:
        return iter(range(5))

    def __len__(self) -> int:
        return self._length()  # type: ignore[no-any-return]  # which is the point


def no_length() -> int:
    raise TypeError("object of type 'Stream' has no len()")


@pytest.mark.anyio
@pytest.mark.parametrize("length", [no_length, lambda: None, lambda: -1, lambda: 10**30])
async def test_an_input_without_a_known_length_is_read(
    length: Callable[[], Any],
) -> None:
    async with run_of(WithoutKnownLength(length)) as run:
        assert run.statistics().total is None
        assert len([each async for each in run]) == 5


@pytest.mark.anyio
async def test_an_input_that_is_longer_than_len_can_return_is_read() -> None:
    async with run_of(range(10**30)) as run:
        assert run.statistics().total is None
        assert (await anext(run)).index == 0


@pytest.mark.parametrize(
    "concurrency", [pytest.param(-(10**5000), id="huge"), "1" * 10_000, [1] * 1000]
)
def test_a_concurrency_without_a_repr_is_refused_in_a_short_message(concurrency: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"concurrency .* must be a whole") as raised:
        run_of([], concurrency=concurrency)
    assert len(str(raised.value)) < 150
