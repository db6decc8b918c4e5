"""The input of a map is read and closed by one task."""

import contextlib
import contextvars
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import count

import anyio
import anyio.lowlevel
import pytest

from asyncinvoke import Outcome
from asyncinvoke._engine import pipeline
from asyncinvoke._engine import source as source_module
from asyncinvoke._engine.buffer import READ_AHEAD
from tests.doubles.waiting import settle

from .map_doubles import SOON, Gate, outcome, run_of, silent, tasks, values

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def task_group() -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        yield
        group.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def deadline() -> AsyncIterator[None]:
    with anyio.fail_after(SOON):
        yield


@contextlib.asynccontextmanager
async def scope() -> AsyncIterator[None]:
    with anyio.CancelScope():
        yield


@contextlib.asynccontextmanager
async def another_map() -> AsyncIterator[None]:
    async with run_of(count()) as run:
        await anext(run)
        yield


Held = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture(params=[task_group, deadline, scope, another_map])
def held(request: pytest.FixtureRequest) -> Held:
    found: Held = request.param
    return found


class ScopeHoldingInput:
    """An input that holds a scope across its `yield`."""

    def __init__(self, held: Held, *, most: int | None = None, error: Exception | None = None):
        self._held, self._most, self._error = held, most, error
        self.is_closed = False

    async def __call__(self) -> AsyncGenerator[int, None]:
        try:
            for number in count():
                async with self._held():  # around each item, and around all of them
                    if number == self._most:
                        break
                    yield number
            if self._error is not None:
                raise self._error
        finally:
            self.is_closed = True

    async def around(self) -> AsyncIterator[int]:
        async with self._held(), contextlib.aclosing(self()) as inner:
            async for number in inner:
                yield number


@pytest.mark.parametrize("around", [False, True])
async def test_a_source_may_hold_scopes_and_task_groups_across_its_yield(
    held: Held, around: bool
) -> None:
    before = tasks()
    source = ScopeHoldingInput(held, most=20)
    with anyio.fail_after(SOON):
        async with run_of(source.around() if around else source(), concurrency=3) as run:
            assert sorted(values([each async for each in run])) == list(range(20))
    assert (tasks(), source.is_closed) == (before, True)


async def numbers_in_a_group(error: Exception | None) -> AsyncIterator[int]:
    """Yield numbers within a task group, whose task may raise an error."""

    async def child() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            if error is not None:
                raise error

    async with anyio.create_task_group() as group:
        group.start_soon(child)
        for number in count():
            yield number


@pytest.mark.parametrize("error", [None, OSError("theirs")], ids=repr)
@pytest.mark.parametrize("leave", ["break", "stop", "block"])
async def test_a_task_group_around_the_yield_makes_no_error_of_leaving(
    leave: str, error: Exception | None
) -> None:
    before = tasks()
    with anyio.fail_after(SOON):
        caught: BaseException | None = None
        try:
            async with run_of(numbers_in_a_group(error), concurrency=2) as run:
                await settle()  # it is suspended at its yield: no more may be read
                if leave != "block":
                    async for _ in run:
                        if leave == "break":
                            break
                        run.stop()
        except* OSError as group:
            caught = group
    if error is None:
        assert caught is None
    else:
        assert isinstance(caught, ExceptionGroup)
        assert caught.exceptions == (error,)
    assert tasks() == before


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("leave", ["break", "stop", "raise", "cancel"])
async def test_what_it_holds_is_left_in_order_however_the_run_ends(
    held: Held, around: bool, leave: str
) -> None:
    before = tasks()
    source = ScopeHoldingInput(held)
    with anyio.fail_after(SOON), contextlib.suppress(LookupError), anyio.CancelScope() as outer:
        async with run_of(source.around() if around else source(), concurrency=3) as run:
            async for each in run:
                if each.index == 30:
                    match leave:
                        case "break":
                            break
                        case "stop":
                            run.stop()
                        case "raise":
                            raise LookupError
                        case "cancel":
                            outer.cancel()
                            await anyio.sleep_forever()
    assert outer.cancelled_caught == (leave == "cancel")
    assert (tasks(), source.is_closed) == (before, True)


async def test_a_deadline_of_the_input_that_passes_while_it_is_not_read_is_left_to_the_input() -> (
    None
):
    mine = anyio.CancelScope()

    async def source() -> AsyncIterator[int]:
        with mine:
            for number in count(1):
                yield number
                await anyio.lowlevel.checkpoint()
        yield -1

    with anyio.fail_after(SOON):
        async with run_of(source(), ordered=True) as run:
            await settle()  # reading is at its bound
            mine.cancel()
            await anyio.lowlevel.checkpoint()
            got = values([each async for each in run])
    assert got == [*range(1, 4 + READ_AHEAD + 1), -1]


@pytest.mark.parametrize(
    "error",
    [OSError("disk"), KeyboardInterrupt(), SystemExit(3), GeneratorExit("theirs")],
    ids=repr,
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_the_input_raises_comes_out_as_itself_not_in_a_group(
    error: BaseException, is_async: bool
) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise error

    async def broken_too() -> AsyncIterator[int]:
        yield 1
        raise error

    before = tasks()
    caught: BaseException | None = None
    try:
        with anyio.fail_after(SOON):
            async with run_of(broken_too() if is_async else broken()) as run:
                async for _ in run:
                    pass
    except (OSError, KeyboardInterrupt, SystemExit, GeneratorExit) as raised:
        caught = raised
    assert caught is error
    assert tasks() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit("theirs")], ids=repr)
async def test_what_the_work_raises_comes_out_as_itself_not_in_a_group(
    error: BaseException,
) -> None:
    async def broken(index: int, item: object) -> Outcome:
        await anyio.lowlevel.checkpoint()
        raise error

    caught: BaseException | None = None
    try:
        with anyio.fail_after(SOON):
            async with run_of(count(), broken) as run:
                async for _ in run:
                    pass
    except (KeyboardInterrupt, GeneratorExit) as raised:
        caught = raised
    assert caught is error


async def test_an_interrupt_in_the_input_is_not_lost_if_nobody_iterates() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    caught = False
    try:
        async with run_of(broken()):
            await settle()
    except KeyboardInterrupt:
        caught = True
    assert caught


class RaisesStopAsyncIteration:
    """An iterator whose error would look like the end of the consumer's iteration."""

    def __iter__(self) -> "RaisesStopAsyncIteration":
        return self

    def __next__(self) -> int:
        raise StopAsyncIteration


async def test_an_error_that_looks_like_an_end_is_raised_as_an_error() -> None:
    with anyio.fail_after(SOON):
        async with run_of(RaisesStopAsyncIteration()) as run:
            with pytest.raises(RuntimeError, match="raised StopAsyncIteration"):
                await anext(run)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_foreign_cancellation_does_not_end_the_reader_silently() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        raise anyio.get_cancelled_exc_class()  # as from a cancelled task of the input

    caught = False
    with anyio.fail_after(SOON):
        async with run_of(source()) as run:
            try:
                async for _ in run:
                    pass
            except anyio.get_cancelled_exc_class():
                caught = True
    assert caught


class InputWithCleanUp:
    """An input whose clean-up runs a given function."""

    def __init__(self, *, waits: bool = False, error: BaseException | None = None) -> None:
        self._waits, self._error = waits, error
        self.has_begun = anyio.Event()
        self.may_end = anyio.Event()
        self.has_ended = False

    async def __call__(self) -> AsyncIterator[int]:
        try:
            for number in count():
                yield number
        finally:
            self.has_begun.set()
            if self._waits:
                await self.may_end.wait()
            self.has_ended = True
            if self._error is not None:
                raise self._error


async def test_the_error_of_a_clean_up_is_raised() -> None:
    with pytest.raises(OSError, match="no disk"):
        async with run_of(InputWithCleanUp(error=OSError("no disk"))()) as run:
            await anext(run)


async def test_the_error_of_an_interrupted_input_is_raised_after_the_outcomes() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("no disk")

    ended: list[Outcome] = []

    async def consume() -> None:
        async with run_of(source()) as run:
            ended.append(await anext(run))
            await settle()
            run.stop()
            ended.extend([outcome async for outcome in run])

    with anyio.fail_after(SOON), pytest.raises(OSError, match="no disk"):
        await consume()
    assert values(ended) == [1]


async def test_a_clean_up_that_raises_does_not_hide_the_error_of_the_block(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = InputWithCleanUp(error=OSError("payload 4711"))
    mine = KeyError("mine")
    with pytest.raises(KeyError) as caught:  # noqa: PT012
        async with run_of(source()) as run:
            await anext(run)
            raise mine
    assert caught.value is mine
    assert caught.value.__context__ is None
    assert source.has_ended
    message = [record.getMessage() for record in caplog.records]
    assert message == ["the input of a map failed in its clean-up: OSError"]


async def test_a_clean_up_may_take_time() -> None:
    source = InputWithCleanUp(waits=True)

    async def let_it_end() -> None:
        await source.has_begun.wait()
        await settle()
        source.may_end.set()

    async with anyio.create_task_group() as group:
        group.start_soon(let_it_end)
        async with run_of(source()) as run:
            await anext(run)
        assert source.has_ended


async def test_a_clean_up_is_cut_short_by_the_callers_own_deadline() -> None:
    source = InputWithCleanUp(waits=True)
    before = tasks()
    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as group:
            mine = anyio.CancelScope()

            async def deadline() -> None:
                await source.has_begun.wait()
                mine.cancel()

            group.start_soon(deadline)
            with mine:
                async with run_of(source()) as run:
                    await anext(run)
        assert mine.cancelled_caught
    assert (tasks(), source.has_ended) == (before, False)


async def test_a_clean_up_that_never_ends_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(source_module, "CLEAN_UP_TIME", 0.01)
    source = InputWithCleanUp(waits=True)
    with anyio.fail_after(SOON):
        async with run_of(source()) as run:
            await anext(run)
    assert not source.has_ended
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "took longer than 0.01 s to clean up" in caplog.text


async def test_an_input_that_ignores_its_interruption_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipeline, "LAST_WORD", 0.01)
    release = anyio.Event()

    async def stubborn() -> AsyncIterator[int]:
        yield 1
        with anyio.CancelScope(shield=True):
            await release.wait()
        yield 2

    with anyio.fail_after(SOON):
        async with run_of(stubborn()) as run:
            await anext(run)
            await settle()
            run.stop()
            assert [each async for each in run] == []
            release.set()
            await settle()
            assert run.statistics().read == 1
    assert "gave an item after its end" in caplog.text


async def test_an_item_that_an_interrupted_input_still_yields_is_not_lost() -> None:
    """Cancelled between items, an input may still yield one, which then has an outcome."""
    waits = anyio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        try:
            waits.set()
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
        yield 2

    with anyio.fail_after(SOON):
        async with run_of(source()) as run:
            await waits.wait()
            run.stop()
            assert sorted(values([each async for each in run])) == [1, 2]


class ManualClock:
    """A clock that is advanced by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


async def test_a_generator_that_blocks_the_loop_lets_it_run_after_each_item() -> None:
    clock = ManualClock()
    ended: list[int] = []
    seen: list[int] = []

    async def work(index: int, item: object) -> Outcome:
        await anyio.lowlevel.checkpoint()
        ended.append(index)
        return outcome(index, item)

    def slow() -> Iterator[int]:
        for number in range(20):
            clock.now += 2 * source_module.LONGEST_HOLD  # such as a query
            seen.append(len(ended))
            yield number

    async with run_of(slow(), work, concurrency=100, clock=clock) as run:
        assert len([each async for each in run]) == 20
    # All were read ahead, but each ran soon after it was read; trio does not order tasks.
    assert all(number - count <= 2 for number, count in enumerate(seen))


async def test_a_generator_that_does_not_block_is_read_in_one_go() -> None:
    gate = Gate()
    seen: list[int] = []

    def quick() -> Iterator[int]:
        for number in range(20):
            seen.append(len(gate.started))
            yield number

    async with run_of(quick(), gate, concurrency=100, clock=ManualClock()) as run:
        await settle()
        gate.open_all()
        assert len([each async for each in run]) == 20
    assert seen == [0] * 20


async def test_stopping_ends_the_pause_of_a_generator_that_blocks() -> None:
    clock = ManualClock()

    def slow() -> Iterator[int]:
        for number in count():
            clock.now += 1e6
            yield number

    with anyio.fail_after(SOON):
        async with run_of(slow(), clock=clock) as run:
            await anext(run)
            run.stop()
            assert [each async for each in run] == []


async def test_an_input_may_stop_its_own_run() -> None:
    async with contextlib.AsyncExitStack() as stack:

        def source() -> Iterator[int]:
            for number in count():
                if number == 7:
                    run.stop()
                yield number

        run = await stack.enter_async_context(run_of(source()))
        with anyio.fail_after(SOON):
            assert sorted(values([each async for each in run])) == list(range(8))


async def test_work_sees_the_context_of_the_block_not_that_of_the_input() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen = set()

    async def work(index: int, item: object) -> Outcome:
        seen.add(variable.get())
        return outcome(index, item)

    async def source() -> AsyncIterator[int]:
        variable.set("the input's")
        for number in range(9):
            yield number

    variable.set("the block's")
    async with run_of(source(), work) as run:
        async for _ in run:
            pass
    assert seen == {"the block's"}


async def test_statistics_show_that_a_run_waits_for_input() -> None:
    async with run_of(silent(1)) as run:
        await anext(run)
        await settle()
        assert run.statistics().waiting_for == "the input"
