"""The cost of a call, in executed lines, does not grow with names or cancelled waits."""

import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asyncinvoke import AdaptiveLimit, FixedLimit
from asyncinvoke._limits import limiter as house
from asyncinvoke._limits.books import PermitTimeoutError
from asyncinvoke._limits.limit import Limit
from asyncinvoke._limits.limiter import Limiter, Permit
from asyncinvoke._limits.queue import Lane, Line
from asyncinvoke._limits.scopes import KEPT_THROTTLED, KEPT_UNTHROTTLED, FunctionKey
from asyncinvoke._limits.timekeeper import Waiter
from asyncinvoke._model.failure import ThrottleScope

from .doubles import (
    ACCOUNT,
    CALLER_RATE,
    HOG,
    RESERVED,
    ManualClock,
    hold,
    scope_of,
    take,
)

pytestmark = pytest.mark.anyio

FEW, MANY = 100, 2500
"""Numbers of tenants. A cost that grows with them would be twenty-five times as high."""

WATCHED = 50
"""The number of counted operations, with a number of other tenants present."""

FOLDER = str(Path(house.__file__).parent)


class LineCounter:
    """Counts the lines of the limiter that run in a block."""

    def __init__(self) -> None:
        self.count = 0

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        self.count += event == "line"
        return self._trace

    @contextmanager
    def counted(self) -> Any:
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)


@pytest.fixture
def anyio_backend() -> str:
    # Only lines of the limiter are counted, which are the same on both loops.
    return "asyncio"


def tenant(number: int) -> FunctionKey:
    return FunctionKey(None, "work", None, f"tenant-{number}")


class Crowd:
    """Waiting tenants, each in a separate task; a granted permit is kept."""

    def __init__(self, limiter: Limiter, clock: ManualClock) -> None:
        self.limiter = limiter
        self.clock = clock
        self.permits: list[Permit] = []
        self.late = 0
        self.scopes: list[anyio.CancelScope] = []

    async def wait(self, key: FunctionKey, deadline: float, owner: object = None) -> None:
        permit = self.limiter.permit(key, deadline=deadline, owner=owner)
        with anyio.CancelScope() as scope:
            self.scopes.append(scope)
            try:
                self.permits.append(await permit.__aenter__())
            except PermitTimeoutError:
                self.late += 1


@asynccontextmanager
async def crowd(
    limit: Limit, tenants: int, *, held: int = 0, deadline: float = float("inf")
) -> AsyncIterator[tuple[Crowd, list[Permit], anyio.abc.TaskGroup]]:
    """Yield tenants that wait for an exhausted limit, and the permits that exhaust it."""
    clock = ManualClock()
    limiter = Limiter(limit, clock=clock)
    there = Crowd(limiter, clock)
    busy = await take(limiter, HOG, held)
    async with anyio.create_task_group() as group:
        for number in range(tenants):
            group.start_soon(there.wait, tenant(number), clock.now + deadline)
        await pause()
        yield there, busy, group
        group.cancel_scope.cancel()


async def pause() -> None:
    for _ in range(4):
        await anyio.lowlevel.checkpoint()


Count = Callable[[int], Awaitable[float]]


async def released(limit: Limit, tenants: int) -> float:
    lines = LineCounter()
    async with crowd(limit, tenants, held=WATCHED) as (there, busy, _):
        assert there.limiter.waiting == tenants
        with lines.counted():
            for permit in busy:
                permit.ignored()
                await pause()
        assert there.limiter.waiting == tenants - WATCHED
    return lines.count / WATCHED


async def of_a_release_to_those_behind_the_whole(tenants: int) -> float:
    return await released(FixedLimit(WATCHED), tenants)


async def of_a_release_to_those_behind_their_account(tenants: int) -> float:
    return await released(AdaptiveLimit(initial=WATCHED, maximum=MANY), tenants)


async def of_a_release_that_leaves_their_account_full(tenants: int) -> float:
    lines = LineCounter()
    async with crowd(AdaptiveLimit(initial=4 * WATCHED), tenants, held=4 * WATCHED) as (
        there,
        busy,
        _,
    ):
        # Sent while 50 others were, so the account now has four times its limit.
        busy[WATCHED].throttled(ACCOUNT)
        with lines.counted():
            for permit in busy[-WATCHED:]:
                permit.ignored()
        assert there.limiter.waiting == tenants
    return lines.count / WATCHED


async def of_a_newcomer(tenants: int) -> float:
    lines = LineCounter()
    async with crowd(FixedLimit(1), tenants, held=1, deadline=60) as (there, _, group):
        with lines.counted():
            for number in range(WATCHED):
                group.start_soon(there.wait, tenant(MANY + number), there.clock.now + 60)
            await pause()
        assert there.limiter.waiting == tenants + WATCHED
    return lines.count / WATCHED


async def of_one_who_gives_up(tenants: int) -> float:
    lines = LineCounter()
    async with crowd(FixedLimit(1), tenants, held=1, deadline=60) as (there, _, _group):
        step = tenants // WATCHED
        with lines.counted():
            for scope in there.scopes[::step][:WATCHED]:
                scope.cancel()
            await pause()
        assert there.limiter.waiting == tenants - WATCHED
    return lines.count / WATCHED


async def of_one_whose_owner_withdraws_it(tenants: int) -> float:
    lines = LineCounter()
    owners = [object() for _ in range(WATCHED)]
    async with crowd(FixedLimit(1), tenants, held=1) as (there, _, group):
        for owner in owners:
            group.start_soon(there.wait, tenant(0), float("inf"), owner)
        await pause()
        with lines.counted():
            for owner in owners:
                there.limiter.withdraw(owner)
        assert there.limiter.waiting == tenants
    return lines.count / WATCHED


async def of_a_deadline_that_passes(tenants: int) -> float:
    lines = LineCounter()
    async with crowd(FixedLimit(1), tenants, held=1) as (there, _, group):
        for number in range(WATCHED):
            group.start_soon(there.wait, tenant(MANY + number), there.clock.now + (number + 1) / 10)
        await pause()
        with lines.counted():
            for _ in range(2 * WATCHED + 2):
                there.clock.jump(0.05)
                await pause()
        assert there.late == WATCHED
    return lines.count / WATCHED


async def of_a_grant_under_a_rate_of_the_caller(tenants: int) -> float:
    lines = LineCounter()
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=500), clock=clock)
    there = Crowd(limiter, clock)
    busy = await take(limiter, HOG, 50)
    clock.jump(0.5)
    busy.pop().throttled(CALLER_RATE)
    async with anyio.create_task_group() as group:
        for number in range(tenants):
            group.start_soon(there.wait, tenant(number), clock.now + 60)
        await pause()
        with lines.counted():
            while len(there.permits) < WATCHED:
                clock.jump(0.01)
                await pause()
        group.cancel_scope.cancel()
    return lines.count / WATCHED


async def of_asking_tenants_that_all_pause(tenants: int) -> float:
    lines = LineCounter()
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=1, maximum=MANY), clock=clock)
    for number in range(tenants):
        (await hold(limiter, tenant(number))).throttled(RESERVED)
    there = Crowd(limiter, clock)
    async with anyio.create_task_group() as group:
        for number in range(tenants):
            group.start_soon(there.wait, tenant(number), clock.now + 60)
        await pause()
        assert limiter.waiting == tenants
        with lines.counted():
            for _ in range(10):
                clock.jump(0.01)
                await pause()
        assert len(there.permits) == tenants
        group.cancel_scope.cancel()
    return lines.count / tenants


async def of_time_that_passes(tenants: int) -> float:
    lines = LineCounter()
    async with crowd(AdaptiveLimit(initial=WATCHED, maximum=MANY), tenants, held=WATCHED) as (
        there,
        busy,
        _,
    ):
        busy.pop().throttled(ACCOUNT)
        with lines.counted():
            for _ in range(4 * WATCHED):
                there.clock.jump(0.05)
                await pause()
        # Attempts that are in flight for long count as admitted, so the account's limit has
        # recovered.
        assert WATCHED <= there.limiter.in_flight < WATCHED + 5
    return lines.count / WATCHED


async def of_a_call_of_its_own_for_each(tenants: int) -> float:
    lines = LineCounter()
    limiter = Limiter(AdaptiveLimit(), clock=ManualClock())
    with lines.counted():
        for number in range(tenants):
            (await hold(limiter, tenant(number))).admitted()
    return lines.count / tenants


async def of_a_throttle_of_its_own_for_each(tenants: int) -> float:
    lines = LineCounter()
    limiter = Limiter(AdaptiveLimit(), clock=ManualClock())
    with lines.counted():
        for number in range(tenants):
            (await hold(limiter, tenant(number))).throttled(RESERVED)
    return lines.count / tenants


COSTS: list[Count] = [
    of_a_release_to_those_behind_the_whole,
    of_a_release_to_those_behind_their_account,
    of_a_release_that_leaves_their_account_full,
    of_a_newcomer,
    of_one_who_gives_up,
    of_one_whose_owner_withdraws_it,
    of_a_deadline_that_passes,
    of_a_grant_under_a_rate_of_the_caller,
    of_asking_tenants_that_all_pause,
    of_time_that_passes,
    of_a_call_of_its_own_for_each,
    of_a_throttle_of_its_own_for_each,
]


@pytest.mark.parametrize("cost", COSTS, ids=lambda each: each.__name__)
async def test_tenants_add_nothing_to_the_cost(cost: Count) -> None:
    few, many = await cost(FEW), await cost(MANY)
    assert many <= 1.5 * few, f"{many:.0f} lines each beside {MANY} tenants, {few:.0f} beside {FEW}"


def alive(*kinds: type) -> int:
    return sum(type(each) in kinds for each in gc.get_objects())


async def test_callers_that_give_up_leave_nothing_behind() -> None:
    gc.collect()
    before = alive(Waiter, Permit, Line, Lane)
    async with crowd(FixedLimit(1), FEW, held=1, deadline=500) as (there, _, group):
        for number in range(20 * FEW):
            # In turn: a separate function, a separate account, and the shared ones.
            account = f"{number:012}" if number % 3 == 1 else None
            key = tenant(0 if number % 3 else MANY + number)._replace(account_id=account)
            group.start_soon(there.wait, key, there.clock.now + 1000)
            if number % 5 == 4:
                await pause()
                for _ in range(5):
                    there.scopes.pop().cancel()
                await pause()
        assert there.limiter.waiting == FEW
        gc.collect()
        # Each of the hundred waiters has a waiter, a permit and a line; some deadlines remain.
        assert alive(Waiter, Permit, Line, Lane) - before <= 10 * FEW


async def test_without_waiters_no_deadline_is_remembered() -> None:
    gc.collect()
    before = alive(Waiter)
    async with crowd(FixedLimit(1), MANY, held=1, deadline=500) as (there, _, _):
        assert alive(Waiter) >= MANY
        for scope in there.scopes:
            scope.cancel()
        await pause()
        assert there.limiter.waiting == 0
        gc.collect()
        assert alive(Waiter) <= before


async def test_scopes_that_were_throttled_once_are_forgotten_the_oldest_first() -> None:
    limiter = Limiter(AdaptiveLimit(), clock=ManualClock())
    number = KEPT_THROTTLED + 100
    for each in range(number):
        (await hold(limiter, tenant(each))).throttled(RESERVED)
        if each % 2:
            (await hold(limiter, FunctionKey(None, f"plain-{each}"))).admitted()
    known = [each.key for each in limiter.statistics() if each.scope is ThrottleScope.FUNCTION]
    throttled = [key for key in known if "tenant" in key]
    assert throttled == [str(tenant(each)) for each in range(100, number)]
    assert len(known) - len(throttled) == KEPT_UNTHROTTLED


async def test_accounts_are_forgotten_with_their_functions_but_not_at_once_what_they_taught() -> (
    None
):
    limiter = Limiter(AdaptiveLimit(), clock=ManualClock())
    for each in range(2 * KEPT_THROTTLED):
        permit = await hold(limiter, FunctionKey(f"{each:012}", "work"))
        if each % 2:
            permit.throttled(ACCOUNT)
        else:
            permit.admitted()
    accounts = [each for each in limiter.statistics() if each.scope is ThrottleScope.ACCOUNT]
    assert len(accounts) <= KEPT_UNTHROTTLED + KEPT_THROTTLED
    first = next(each for each in accounts if each.throttles)
    # A scope that is used again has the limit that was learned.
    held = await hold(limiter, FunctionKey(first.key, "work"))
    again = scope_of(limiter, ThrottleScope.ACCOUNT, first.key)
    assert (again.throttles, again.limit) == (1, first.limit)
    # Scopes in use are not forgotten, however many are created later.
    for each in range(KEPT_THROTTLED + KEPT_UNTHROTTLED + 10):
        (await hold(limiter, FunctionKey(f"2{each:011}", "work"))).throttled(ACCOUNT)
    assert scope_of(limiter, ThrottleScope.ACCOUNT, first.key).in_flight == 1
    held.admitted()
