"""Permits against several scopes at once: who waits for what, and who does not."""

from collections import Counter
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest
from anyio import wait_all_tasks_blocked
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncinvoke import AdaptiveLimit, FixedLimit, LimitChanged
from asyncinvoke._limits.limit import Limit
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._limits.scopes import FunctionKey, Permit
from asyncinvoke._model.failure import ThrottleReason, ThrottleScope
from asyncinvoke._statistics import ScopeStatistics

RESERVED = ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED
ACCOUNT = ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED
FUNCTION_RATE = ThrottleReason.FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED
CALLER_RATE = ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED
SNAPSHOT = ThrottleReason.CONCURRENT_SNAPSHOT_CREATE_LIMIT_EXCEEDED

HOG: FunctionKey = (None, "hog", None, None)
CALM: FunctionKey = (None, "calm", None, None)
LIMIT = AdaptiveLimit(initial=4, maximum=8)


class HeldClock:
    """A clock that is moved by hand; a sleep ends when the time has come."""

    def __init__(self) -> None:
        self.now = 100.0
        self._moved = anyio.Event()

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            await self._moved.wait()
        await anyio.lowlevel.checkpoint()

    async def move(self, seconds: float) -> None:
        """Let time pass in small steps, and everybody act upon each."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + 0.01, until)
            moved, self._moved = self._moved, anyio.Event()
            moved.set()
            await wait_all_tasks_blocked()


def scope_of(limiter: Limiter, scope: ThrottleScope, key: str = "") -> ScopeStatistics:
    return next(each for each in limiter.statistics() if (each.scope, each.key) == (scope, key))


async def take(limiter: Limiter, key: FunctionKey, number: int) -> list[Permit]:
    with anyio.fail_after(5):
        return [await limiter.acquire(key) for _ in range(number)]


@pytest.mark.anyio
async def test_a_function_that_is_closed_does_not_block_another_behind_the_same_limit() -> None:
    limiter = Limiter(LIMIT, clock=HeldClock())
    hogs = await take(limiter, HOG, 2)
    limiter.throttled(hogs.pop(), RESERVED)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(limiter.acquire, HOG)
        await wait_all_tasks_blocked()
        assert scope_of(limiter, ThrottleScope.FUNCTION, "hog").waiting == 5
        assert len(await take(limiter, CALM, 4)) == 4
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_function_with_a_reserve_does_not_count_against_its_account() -> None:
    limiter = Limiter(AdaptiveLimit(initial=4, maximum=8), clock=HeldClock())
    hogs = await take(limiter, HOG, 3)
    assert scope_of(limiter, ThrottleScope.ACCOUNT).in_flight == 3
    limiter.throttled(hogs.pop(), RESERVED)
    assert scope_of(limiter, ThrottleScope.ACCOUNT).in_flight == 0
    calm = await take(limiter, CALM, 4)
    # It lost its reserve: what it has in flight counts again.
    limiter.throttled(calm.pop(), ACCOUNT)
    limiter.throttled(hogs.pop(), ACCOUNT)
    assert scope_of(limiter, ThrottleScope.ACCOUNT).in_flight == 4
    for permit in (*hogs, *calm):
        limiter.succeeded(permit)
    assert {each.in_flight for each in limiter.statistics()} == {0}


@pytest.mark.anyio
async def test_a_throttle_of_the_account_lowers_what_all_functions_have_together() -> None:
    limiter = Limiter(LIMIT, clock=HeldClock())
    held = [*await take(limiter, HOG, 2), *await take(limiter, CALM, 2)]
    limiter.throttled(held.pop(), ACCOUNT)
    assert scope_of(limiter, ThrottleScope.ACCOUNT).limit == 3
    assert scope_of(limiter, ThrottleScope.FUNCTION, "calm").limit == 4
    with anyio.move_on_after(0):
        await limiter.acquire((None, "third", None, None))
        pytest.fail("the account was full")
    assert limiter.describe((None, "third", None, None)) == "account has a limit of 3"


@pytest.mark.anyio
async def test_throttles_of_attempts_that_started_before_a_cut_do_not_cut_again() -> None:
    limiter = Limiter(AdaptiveLimit(initial=40, maximum=80), clock=HeldClock())
    held = await take(limiter, HOG, 40)
    limiter.throttled(held.pop(), ACCOUNT)
    once = scope_of(limiter, ThrottleScope.ACCOUNT).limit
    for _ in range(10):
        limiter.throttled(held.pop(), ACCOUNT)
    after = scope_of(limiter, ThrottleScope.ACCOUNT)
    assert (after.limit, after.throttles) == (once, 11)


@pytest.mark.anyio
async def test_functions_that_wait_take_turns() -> None:
    limiter = Limiter(FixedLimit(1))
    order: list[str] = []

    async def one(key: FunctionKey) -> None:
        permit = await limiter.acquire(key)
        order.append(key[1])
        limiter.succeeded(permit)

    held = await limiter.acquire(HOG)
    async with anyio.create_task_group() as group:
        for key in (HOG, HOG, HOG, HOG, CALM):
            group.start_soon(one, key)
            await wait_all_tasks_blocked()
        limiter.succeeded(held)
    assert order == ["hog", "calm", "hog", "hog", "hog"]


@pytest.mark.anyio
async def test_qualifiers_and_tenants_have_limits_of_their_own() -> None:
    limiter = Limiter(LIMIT, clock=HeldClock())
    keys: list[FunctionKey] = [
        (None, "work", None, None),
        (None, "work", "live", None),
        (None, "work", "live", "blue"),
    ]
    for key in keys:
        first, second = await take(limiter, key, 2)
        limiter.throttled(second, RESERVED)
        limiter.ignored(first)
    shown = {each.key: each.throttles for each in limiter.statistics() if each.throttles}
    assert shown == {"work": 1, "work:live": 1, "work:live (tenant blue)": 1}


@pytest.mark.anyio
async def test_where_even_one_is_refused_it_is_asked_at_a_slow_and_bounded_pace() -> None:
    clock = HeldClock()
    limiter = Limiter(LIMIT, clock=clock)
    asked: list[float] = []

    async def ask() -> None:
        while True:
            permit = await limiter.acquire(HOG)
            asked.append(clock.now)
            limiter.throttled(permit, RESERVED)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
        await clock.move(60)
        hog = scope_of(limiter, ThrottleScope.FUNCTION, "hog")
        assert (hog.limit, hog.pause, hog.waiting) == (1, 5.0, 3)
        assert "hog has a limit of 1 and pauses" in str(limiter.describe(HOG))
        assert limiter.opens_at(HOG) > clock.now
        group.cancel_scope.cancel()
    assert 10 <= len(asked) <= 30
    late = [after - before for before, after in pairwise(asked)][-5:]
    assert all(2.4 <= gap <= 5.1 for gap in late)


@pytest.mark.anyio
async def test_a_throttled_snapshot_closes_its_function_for_a_while() -> None:
    clock = HeldClock()
    limiter = Limiter(LIMIT, clock=clock)
    (permit,) = await take(limiter, HOG, 1)
    limiter.throttled(permit, SNAPSHOT)
    assert 0.5 <= limiter.opens_at(HOG) - clock.now <= 1
    assert len(await take(limiter, CALM, 1)) == 1


@pytest.mark.parametrize(("reason", "slowed"), [(FUNCTION_RATE, "hog"), (CALLER_RATE, "all")])
@pytest.mark.anyio
async def test_a_throttled_rate_slows_starts_and_leaves_the_concurrency_alone(
    reason: ThrottleReason, slowed: str
) -> None:
    clock = HeldClock()
    limiter = Limiter(AdaptiveLimit(initial=50, maximum=50), clock=clock)
    started: Counter[str] = Counter()

    async def start(key: FunctionKey) -> None:
        while True:
            limiter.succeeded(await limiter.acquire(key))
            started[key[1]] += 1
            await clock.sleep(0.1)

    held = await take(limiter, HOG, 20)
    await clock.move(1.0)
    limiter.throttled(held.pop(), reason)
    async with anyio.create_task_group() as group:
        for key in (HOG, CALM):
            for _ in range(10):
                group.start_soon(start, key)
        await clock.move(1.0)
        group.cancel_scope.cancel()
    # 19 attempts of the second before were accepted; without a limit it would be 100 each.
    if slowed == "hog":
        assert 10 <= started["hog"] <= 25
        assert started["calm"] >= 80
    else:
        assert 10 <= started.total() <= 25
        assert abs(started["hog"] - started["calm"]) <= 2
    assert {each.limit for each in limiter.statistics()} == {50}
    told = str(limiter.describe(HOG))
    assert "a second" in told or limiter.opens_at(HOG) <= clock.now


@pytest.mark.anyio
async def test_a_hook_sees_every_change_of_a_limit_with_its_reason() -> None:
    events: list[LimitChanged] = []
    clock = HeldClock()
    limiter = Limiter(LIMIT, clock=clock, hooks=(events.append,))
    limits = {("account", ""): 4.0, ("function", "hog"): 4.0}
    for _ in range(6):
        held = []
        with anyio.move_on_after(0):
            while True:
                held.append(await limiter.acquire(HOG))
        limiter.throttled(held.pop(), RESERVED if len(held) % 2 else ACCOUNT)
        clock.now += 5
        for permit in held:
            limiter.succeeded(permit)
        # Always one in flight, which a limit of one is used by, and so may grow.
        for _ in range(30):
            clock.now += 0.1
            limiter.succeeded(await limiter.acquire(HOG))
    for event in events:
        assert limits[event.scope.value, event.key] == event.before
        limits[event.scope.value, event.key] = event.after
        assert (event.after > (event.before or 0)) == (event.reason is None)
    assert {event.reason for event in events} >= {None, RESERVED}
    for (kind, key), limit in limits.items():
        assert scope_of(limiter, ThrottleScope(kind), key).limit == limit


@pytest.mark.anyio
async def test_a_fixed_limit_counts_throttles_and_stays() -> None:
    limiter = Limiter(FixedLimit(3))
    for reason in (RESERVED, ACCOUNT, CALLER_RATE, SNAPSHOT):
        (permit,) = await take(limiter, HOG, 1)
        limiter.throttled(permit, reason)
    assert {each.limit for each in limiter.statistics()} == {3}
    assert sum(each.throttles for each in limiter.statistics()) == 4
    assert len(await take(limiter, HOG, 3)) == 3


@pytest.mark.anyio
async def test_functions_that_are_idle_and_unthrottled_are_forgotten() -> None:
    limiter = Limiter(FixedLimit(2))
    busy = await limiter.acquire(HOG)
    for number in range(3000):
        limiter.succeeded(await limiter.acquire((None, "work", None, f"tenant-{number}")))
    assert len(limiter.statistics()) < 1100
    limiter.succeeded(busy)
    assert {each.in_flight for each in limiter.statistics()} == {0}


LIMITS = st.one_of(
    st.builds(FixedLimit, st.integers(1, 4)),
    st.builds(
        AdaptiveLimit,
        initial=st.integers(1, 3),
        maximum=st.integers(3, 6),
    ),
)
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["start", "succeed", "throttle", "ignore", "cancel", "wait"]),
        st.integers(0, 11),
        st.sampled_from(list(ThrottleReason)),
    ),
    max_size=50,
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(limit=LIMITS, moves=MOVES)
@settings(max_examples=60)
def test_permits_are_conserved_and_nobody_starves_whatever_happens(
    backend: str, limit: Limit, moves: list[tuple[str, int, ThrottleReason]]
) -> None:
    async def play() -> None:
        clock = HeldClock()
        limiter = Limiter(limit, clock=clock)
        holding: dict[int, Permit] = {}
        scopes: list[anyio.CancelScope] = []
        ended: list[tuple[str, ThrottleReason] | None] = []
        finished: list[anyio.Event] = []
        served: set[int] = set()
        keys: list[FunctionKey] = [HOG, CALM, ("123456789012", "work", None, None)]

        async def hold(number: int) -> None:
            with scopes[number]:
                permit = await limiter.acquire(keys[number % 3])
                served.add(number)
                holding[number] = permit
                assert len(holding) <= limiter.limit
                try:
                    await finished[number].wait()
                except BaseException:
                    del holding[number]
                    limiter.ignored(permit)
                    raise
                del holding[number]
                how, reason = ended[number] or ("succeed", ThrottleReason.UNKNOWN)
                if how == "succeed":
                    limiter.succeeded(permit)
                elif how == "throttle":
                    limiter.throttled(permit, reason)
                else:
                    limiter.ignored(permit)

        async with anyio.create_task_group() as group:
            for move, number, reason in moves:
                if move == "start":
                    scopes.append(anyio.CancelScope())
                    finished.append(anyio.Event())
                    ended.append(None)
                    group.start_soon(hold, len(scopes) - 1)
                elif move == "wait":
                    await wait_all_tasks_blocked()
                    await clock.move(0.05 * number)
                    assert limiter.in_flight == len(holding)
                    for each in limiter.statistics():
                        assert 1 <= each.limit <= limiter.limit
                        assert 0 <= each.in_flight <= limiter.limit
                elif number < len(scopes):
                    if move == "cancel":
                        scopes[number].cancel()
                    elif ended[number] is None:
                        ended[number] = (move, reason)
                        finished[number].set()
            await wait_all_tasks_blocked()
            # From here on everything succeeds, so everybody who was not cancelled gets a turn.
            for event in finished:
                event.set()
            for _ in range(40):
                await clock.move(0.5)
                if not limiter.waiting:
                    break
        cancelled = {number for number, scope in enumerate(scopes) if scope.cancel_called}
        assert served | cancelled == set(range(len(scopes)))
        assert (limiter.in_flight, limiter.waiting) == (0, 0)
        assert {each.in_flight for each in limiter.statistics()} == {0}

    anyio.run(play, backend=backend)


@pytest.mark.anyio
async def test_a_hook_that_raises_changes_nothing_but_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(event: LimitChanged) -> None:
        raise RuntimeError("the listener is broken")

    limiter = Limiter(LIMIT, hooks=(broken,))
    held = [await limiter.acquire(HOG) for _ in range(4)]
    limiter.throttled(held.pop(), RESERVED)
    for permit in held:
        limiter.succeeded(permit)
    assert limiter.in_flight == 0
    assert "a hook raised" in caplog.text
