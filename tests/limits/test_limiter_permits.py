"""A permit is released by its block, early, or by an exit stack, and whatever raises."""

import asyncio
import math
from collections.abc import Callable
from contextlib import AsyncExitStack

import anyio
import anyio.lowlevel
import pytest

from asyncinvoke import AdaptiveLimit, FixedLimit, LimitChanged
from asyncinvoke._limits.books import LimiterClosedError, PermitTimeoutError
from asyncinvoke._limits.concurrency import START_SPEED, START_TICK
from asyncinvoke._limits.limiter import Limiter, Permit
from asyncinvoke._model.failure import ThrottleReason, ThrottleScope
from asyncinvoke._telemetry.hooks import Hooks
from asyncinvoke.testing import InstantClock
from tests.doubles.waiting import settle

from .doubles import (
    ACCOUNT,
    CALLER_RATE,
    CALM,
    HOG,
    RESERVED,
    ManualClock,
    counts,
    hold,
    scope_of,
    take,
)

pytestmark = pytest.mark.anyio

ENDS: dict[str, Callable[[Permit], object]] = {
    "admitted": Permit.admitted,
    "answered": Permit.answered,
    "throttled": lambda permit: permit.throttled(RESERVED),
    "ignored": Permit.ignored,
    "unused": Permit.unused,
    "unreachable": Permit.unreachable,
    "out_of_files": Permit.out_of_files,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_permit_is_held_until_its_first_end_and_later_ones_do_nothing(
    end: Callable[[Permit], object],
) -> None:
    limiter = Limiter(FixedLimit(5), clock=ManualClock())
    other = await hold(limiter, CALM)
    async with limiter.permit(HOG) as permit:
        assert limiter.in_flight == 2
        end(permit)
        assert limiter.in_flight == 1
        before = limiter.statistics()
        for again in ENDS.values():
            again(permit)
        assert limiter.statistics() == before
    assert limiter.in_flight == 1
    other.ignored()
    assert {each.in_flight for each in limiter.statistics()} == {0}


async def test_leaving_the_block_without_a_result_does_not_affect_limits() -> None:
    limiter = Limiter(AdaptiveLimit(initial=1), clock=ManualClock())
    before = limiter.statistics()
    with pytest.raises(ZeroDivisionError):
        async with limiter.permit(HOG):
            raise ZeroDivisionError
    async with limiter.permit(HOG):
        pass
    after = limiter.statistics()
    assert [(each.scope, each.limit, each.throttles) for each in after] == [
        *((each.scope, each.limit, each.throttles) for each in before),
        (ThrottleScope.ACCOUNT, 1, 0),
        (ThrottleScope.FUNCTION, 1, 0),
    ]
    assert limiter.in_flight == 0


async def test_a_stack_holds_a_permit_for_as_long_as_a_stream_takes() -> None:
    limiter = Limiter(FixedLimit(1))
    stack = AsyncExitStack()
    permit = await stack.enter_async_context(limiter.permit(HOG))
    assert limiter.in_flight == 1
    await stack.aclose()
    assert limiter.in_flight == 0
    permit.admitted()
    assert limiter.in_flight == 0


async def test_the_time_waited_for_a_permit_is_reported() -> None:
    clock = ManualClock()
    limiter = Limiter(FixedLimit(1), clock=clock)
    held = await hold(limiter, HOG)
    assert held.waited == 0
    waited: list[float] = []

    async def wait() -> None:
        async with limiter.permit(HOG) as permit:
            waited.append(permit.waited)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await settle()
        clock.jump(3)
        held.admitted()
    assert waited == [pytest.approx(3)]


async def test_a_free_permit_is_taken_without_a_switch_of_tasks() -> None:
    limiter = Limiter(FixedLimit(2))
    switched = False

    async def other() -> None:
        nonlocal switched
        switched = True

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        async with limiter.permit(HOG) as permit:
            permit.admitted()
        assert not switched


class Stop(BaseException):
    """An error that is no `Exception`, like `KeyboardInterrupt`."""


def stop(event: LimitChanged) -> None:
    raise Stop


async def test_a_hook_that_raises_anything_at_all_does_not_keep_the_permit() -> None:
    limiter = Limiter(AdaptiveLimit(initial=2), clock=ManualClock(), hooks=Hooks([stop]))
    held = await take(limiter, HOG, 2)
    for permit, end in zip(held, (ENDS["throttled"], Permit.out_of_files), strict=True):
        with pytest.raises(Stop):
            end(permit)
    assert limiter.in_flight == 0
    assert {each.in_flight for each in limiter.statistics()} == {0}


async def test_the_error_of_a_hook_in_the_timekeeper_is_raised_there_and_leaks_nothing() -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=2), clock=clock, hooks=Hooks([stop]))
    held = await take(limiter, HOG, 2)
    ended: list[str] = []

    async def wait(name: str) -> None:
        try:
            async with limiter.permit(HOG):
                ended.append(name)
        except Stop:
            ended.append(f"{name} was told to stop")

    async with anyio.create_task_group() as group:
        for name in ("first", "second"):
            group.start_soon(wait, name)
            await settle()
        # The limit grows by time alone, and the hook is called in the timekeeper's task.
        for _ in range(20):
            clock.jump(0.05)
            await settle()
        for permit in held:
            permit.ignored()
    assert "first was told to stop" in ended
    assert await counts(limiter) == (0, 0)


async def test_a_clock_or_a_reason_that_makes_no_sense_does_not_keep_the_permit() -> None:
    clock = ManualClock()
    limiter = Limiter(FixedLimit(9), clock=clock)
    first, second = await take(limiter, HOG, 2)
    with pytest.raises(KeyError):
        first.throttled("nonsense")  # type: ignore[arg-type]  # what a foreign transport may give
    assert limiter.in_flight == 1

    def broken() -> float:
        raise ZeroDivisionError

    limiter._books.now = broken  # a clock of the caller's that fails
    with pytest.raises(ZeroDivisionError):
        second.admitted()
    assert limiter.in_flight == 0


async def test_a_waiter_is_not_overtaken_after_the_clock_has_failed() -> None:
    clock = ManualClock()
    limiter = Limiter(FixedLimit(1), clock=clock)
    held = await hold(limiter, HOG)
    served: list[str] = []

    async def wait(name: str) -> None:
        async with limiter.permit(HOG):
            served.append(name)

    def broken() -> float:
        limiter._books.now = clock.monotonic  # it fails once
        raise ZeroDivisionError

    async with anyio.create_task_group() as group:
        group.start_soon(wait, "first")
        await settle()
        limiter._books.now = broken  # a clock of the caller's that fails
        with pytest.raises(ZeroDivisionError):
            held.ignored()
        group.start_soon(wait, "second")
    assert served == ["first", "second"]


async def test_a_hook_may_read_the_statistics_and_finds_them_consistent() -> None:
    seen: list[tuple[int, int]] = []

    def look(event: LimitChanged) -> None:
        account = scope_of(limiter, ThrottleScope.ACCOUNT)
        seen.append((limiter.in_flight, account.in_flight))

    limiter = Limiter(AdaptiveLimit(initial=3), clock=ManualClock(), hooks=Hooks([look]))
    held = await take(limiter, HOG, 3)
    held.pop().throttled(ACCOUNT)
    assert seen == [(2, 2)]


# Deadlines.


async def test_a_deadline_that_passes_while_waiting_ends_the_wait_with_the_reason() -> None:
    clock = ManualClock()
    limiter = Limiter(FixedLimit(1), clock=clock)
    held = await hold(limiter, HOG)
    late: list[str | None] = []

    async def wait(deadline: float) -> None:
        try:
            async with limiter.permit(HOG, deadline=deadline):
                late.append("in time")
        except PermitTimeoutError as error:
            late.append(error.limited)

    async with anyio.create_task_group() as group:
        for deadline in (clock.now + 2, clock.now + 1, math.inf):
            group.start_soon(wait, deadline)
        await settle()
        await clock.advance(1.1)
        assert late == ["the limit is 1"]
        await clock.advance(1)
        assert len(late) == 2
        assert limiter.waiting == 1
        held.ignored()
    assert late[2] == "in time"
    assert await counts(limiter) == (0, 0)


async def test_deadlines_expire_in_order_despite_cancelled_waits() -> None:
    clock = ManualClock()
    limiter = Limiter(FixedLimit(1), clock=clock)
    await hold(limiter, HOG)
    scopes: dict[int, anyio.CancelScope] = {}
    late: list[int] = []

    async def wait(number: int) -> None:
        with anyio.CancelScope() as scopes[number]:
            try:
                await limiter.permit(HOG, deadline=clock.now + 1 + number).__aenter__()
            except PermitTimeoutError:
                late.append(number)

    numbers = [(7 * each) % 400 for each in range(400)]
    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(wait, number)
        await settle()
        for number in numbers[::2] + numbers[1::6]:
            scopes[number].cancel()
        await settle()
        left = [number for number in numbers[1::2] if number not in numbers[1::6]]
        for number in range(1000, 1100):
            # Each new waiter removes the deadlines of cancelled ones.
            group.start_soon(wait, number)
        await settle()
        for _ in range(402):
            clock.jump(1)
            await settle()
        assert late == sorted(left)
        group.cancel_scope.cancel()


async def test_a_deadline_before_which_nothing_opens_fails_at_once() -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(), clock=clock)
    for _ in range(9):
        (await hold(limiter, HOG)).throttled(RESERVED)
        clock.jump(0.05 if scope_of(limiter, ThrottleScope.FUNCTION, "hog").limit > 1 else 10)
    (await hold(limiter, HOG)).throttled(RESERVED)
    with pytest.raises(PermitTimeoutError) as raised:
        await limiter.permit(HOG, deadline=clock.now + 1).__aenter__()
    assert raised.value.limited == f"function hog has a limit of 1 and pauses ({RESERVED})"
    assert clock.slept == []
    # Other functions are not held back, and an expired deadline fails even if a permit is free.
    async with limiter.permit(CALM, deadline=clock.now + 1):
        pass
    with pytest.raises(PermitTimeoutError) as raised:
        await limiter.permit(CALM, deadline=clock.now).__aenter__()
    assert raised.value.limited is None


async def test_a_rate_counts_too_when_it_is_known_that_nothing_opens_in_time() -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(), clock=clock)
    (await hold(limiter, HOG)).throttled(CALLER_RATE)
    with pytest.raises(PermitTimeoutError, match=r"this caller has a limit of 0\.2 a second"):
        await limiter.permit(CALM, deadline=clock.now + 4).__aenter__()


# The end.


async def test_closing_wakes_all_waiters_and_grants_no_more_permits() -> None:
    clock = ManualClock()
    limiter = Limiter(FixedLimit(1), clock=clock)
    held = await hold(limiter, HOG)
    ended: list[str] = []

    async def wait(deadline: float) -> None:
        try:
            async with limiter.permit(HOG, deadline=deadline):
                ended.append("in")
        except LimiterClosedError:
            ended.append("closed")

    async with anyio.create_task_group() as group:
        for deadline in (math.inf, clock.now + 60, math.inf):
            group.start_soon(wait, deadline)
        await settle()
        limiter.close()
    assert ended == ["closed"] * 3
    with pytest.raises(LimiterClosedError):
        await limiter.permit(CALM).__aenter__()
    assert (limiter.in_flight, limiter.waiting) == (1, 0)
    held.admitted()
    assert await counts(limiter) == (0, 0)


async def test_a_waiter_with_a_permit_that_has_not_woken_when_it_closes_sends_nothing() -> None:
    limiter = Limiter(FixedLimit(1))
    held = await hold(limiter, HOG)
    async with anyio.create_task_group() as group:
        group.start_soon(refused, limiter)
        await settle()
        held.admitted()
        assert (limiter.in_flight, limiter.waiting) == (1, 0)
        limiter.close()
    assert await counts(limiter) == (0, 0)


async def refused(limiter: Limiter) -> None:
    with pytest.raises(LimiterClosedError):
        await limiter.permit(HOG).__aenter__()


# The timekeeper.


async def test_when_the_timekeeper_is_cancelled_another_waiter_replaces_it() -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(), clock=clock)
    (await hold(limiter, HOG)).throttled(ThrottleReason.CONCURRENT_SNAPSHOT_CREATE_LIMIT_EXCEEDED)
    scopes = [anyio.CancelScope() for _ in range(4)]
    served: list[int] = []

    async def wait(number: int) -> None:
        with scopes[number]:
            async with limiter.permit(HOG):
                served.append(number)

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(wait, number)
        await settle()
        for number in (3, 0, 2):
            scopes[number].cancel()
            await settle()
        await clock.advance(1.1)
    assert served == [1]
    assert await counts(limiter) == (0, 0)


async def test_nothing_ticks_where_nothing_depends_on_time() -> None:
    clock = ManualClock()
    limiter = Limiter(FixedLimit(1), clock=clock)
    held = await hold(limiter, HOG)
    async with anyio.create_task_group() as group:
        group.start_soon(hold, limiter, HOG)
        await settle()
        assert clock.slept == []
        held.admitted()


async def test_the_time_in_which_a_limit_was_not_reached_does_not_raise_it_later() -> None:
    limits = []
    for idle in (START_TICK, 3600):
        clock = ManualClock()
        limiter = Limiter(AdaptiveLimit(initial=50, maximum=1000), clock=clock)
        for permit in await take(limiter, HOG, 50):
            permit.admitted()  # only the first one while the limit is reached
        clock.jump(idle)
        held = await take(limiter, HOG, scope_of(limiter, ThrottleScope.FUNCTION, "hog").limit)
        held.pop().admitted()
        limits.append(scope_of(limiter, ThrottleScope.FUNCTION, "hog").limit)
    assert limits[0] == limits[1]


async def test_before_any_answer_the_ramp_lets_waiters_go_a_few_at_a_time() -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(maximum=100), clock=clock)
    held = await take(limiter, HOG, 20)
    async with anyio.create_task_group() as group:
        for _ in range(80):
            group.start_soon(hold, limiter, HOG)
        seen = []
        for _ in range(11):
            await settle()
            seen.append(limiter.in_flight)
            clock.jump(START_TICK)
        assert seen == [20 + round(START_SPEED * START_TICK * tick) for tick in range(11)]
        held.pop().throttled(ACCOUNT)
        await clock.advance(0.05)
        assert limiter.in_flight == seen[-1] - 1
        group.cancel_scope.cancel()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("grant_first", [True, False])
async def test_a_task_with_native_cancellation_as_it_gets_its_permit_ends_cancelled(
    grant_first: bool,
) -> None:
    # The timekeeper is woken by cancelling a scope, which must not swallow another cancellation.
    clock = ManualClock()
    limiter = Limiter(FixedLimit(1), clock=clock)
    held = await hold(limiter, HOG)
    task = asyncio.create_task(hold(limiter, HOG))
    other = limiter.permit(HOG, deadline=clock.now + 60)
    keeper = asyncio.create_task(other.__aenter__())
    await settle()
    assert clock.slept
    moves: list[Callable[[], object]] = [held.ignored, keeper.cancel]
    task.cancel()
    await settle()
    for advance in moves if grant_first else reversed(moves):
        advance()
    with pytest.raises(asyncio.CancelledError):
        await keeper
    assert keeper.cancelled()
    assert await counts(limiter) == (0, 0)


async def test_a_simulated_clock_does_not_jump_while_an_answer_is_in_transit() -> None:
    clock = InstantClock()
    limiter = Limiter(FixedLimit(1), clock=clock)
    held = await hold(limiter, HOG)
    got: list[bool] = []

    async def wait() -> None:
        async with limiter.permit(HOG, deadline=clock.monotonic() + 600) as permit:
            got.append(permit.is_held)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        for _ in range(20):
            await anyio.sleep(0.01)
        held.admitted()
    assert got == [True]
    # If nothing is in flight, only time can open a gate, so the clock may jump to that moment.
    adaptive = Limiter(AdaptiveLimit(), clock=clock)
    (await hold(adaptive, HOG)).throttled(CALLER_RATE)
    async with adaptive.permit(CALM, deadline=clock.monotonic() + 600) as permit:
        assert permit.waited == pytest.approx(5, abs=0.5)
