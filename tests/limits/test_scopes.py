"""Permits counted against several scopes: which waiters wait for which limit."""

import math
import re
from collections import Counter
from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncinvoke import AdaptiveLimit, FixedLimit, LimitChanged
from asyncinvoke._limits.books import PermitTimeoutError
from asyncinvoke._limits.limit import Limit
from asyncinvoke._limits.limiter import Limiter, Permit
from asyncinvoke._limits.scopes import FunctionKey
from asyncinvoke._model.failure import ThrottleReason, ThrottleScope
from asyncinvoke._telemetry.hooks import Hooks
from tests.doubles.waiting import settle

from .doubles import (
    ACCOUNT,
    CALLER_RATE,
    CALM,
    FUNCTION_RATE,
    HOG,
    RESERVED,
    SNAPSHOT,
    ManualClock,
    hold,
    nothing_free,
    scope_of,
    take,
)

LIMIT = AdaptiveLimit(initial=4, maximum=8)


@pytest.mark.anyio
async def test_a_function_that_is_closed_does_not_block_another_behind_the_same_limit() -> None:
    limiter = Limiter(LIMIT, clock=ManualClock())
    hogs = await take(limiter, HOG, 2)
    hogs.pop().throttled(RESERVED)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(hold, limiter, HOG)
        await settle()
        assert scope_of(limiter, ThrottleScope.FUNCTION, "hog").waiting == 5
        assert len(await take(limiter, CALM, 4)) == 4
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_function_with_a_reserve_does_not_count_against_its_account() -> None:
    limiter = Limiter(AdaptiveLimit(initial=4, maximum=8), clock=ManualClock())
    hogs = await take(limiter, HOG, 3)
    assert scope_of(limiter, ThrottleScope.ACCOUNT).in_flight == 3
    hogs.pop().throttled(RESERVED)
    assert scope_of(limiter, ThrottleScope.ACCOUNT).in_flight == 0
    calm = await take(limiter, CALM, 4)
    # It lost its reserve, so its attempts in flight count again.
    calm.pop().throttled(ACCOUNT)
    hogs.pop().throttled(ACCOUNT)
    assert scope_of(limiter, ThrottleScope.ACCOUNT).in_flight == 4
    for permit in (*hogs, *calm):
        permit.admitted()
    assert {each.in_flight for each in limiter.statistics()} == {0}


@pytest.mark.parametrize(("others", "limit"), [(0, 8), (5, 12)])
@pytest.mark.anyio
async def test_a_function_that_lost_its_reserve_is_a_part_of_the_ceiling_that_it_finds(
    others: int, limit: int
) -> None:
    limiter = Limiter(AdaptiveLimit(initial=40), clock=ManualClock())
    *hogs, refused = await take(limiter, HOG, 11)
    refused.throttled(RESERVED)
    for permit in hogs:
        permit.admitted()
    *held, refused = [*await take(limiter, CALM, others), *await take(limiter, HOG, 9)]
    refused.throttled(ACCOUNT)
    account = scope_of(limiter, ThrottleScope.ACCOUNT)
    # The other eight of the hog, and the others in flight, less the first cut.
    assert (account.limit, account.in_flight) == (limit, 8 + others)
    for permit in held:
        permit.admitted()
    assert {each.in_flight for each in limiter.statistics()} == {0}


@pytest.mark.anyio
async def test_a_throttle_of_the_account_lowers_what_all_functions_have_together() -> None:
    limiter = Limiter(LIMIT, clock=ManualClock())
    held = [*await take(limiter, HOG, 2), *await take(limiter, CALM, 2)]
    held.pop().throttled(ACCOUNT)
    assert scope_of(limiter, ThrottleScope.ACCOUNT).limit == 3
    assert scope_of(limiter, ThrottleScope.FUNCTION, "calm").limit == 4
    with nothing_free():
        await hold(limiter, FunctionKey(None, "third"))
    assert (
        limiter.describe(FunctionKey(None, "third")) == f"the account has a limit of 3 ({ACCOUNT})"
    )


@pytest.mark.anyio
async def test_throttles_of_attempts_that_started_before_a_cut_do_not_cut_again() -> None:
    limiter = Limiter(AdaptiveLimit(initial=40, maximum=80), clock=ManualClock())
    held = await take(limiter, HOG, 40)
    held.pop().throttled(ACCOUNT)
    once = scope_of(limiter, ThrottleScope.ACCOUNT).limit
    for _ in range(10):
        held.pop().throttled(ACCOUNT)
    after = scope_of(limiter, ThrottleScope.ACCOUNT)
    assert (after.limit, after.throttles) == (once, 11)


@pytest.mark.anyio
async def test_functions_that_wait_take_turns() -> None:
    limiter = Limiter(FixedLimit(1))
    order: list[str] = []

    async def one(key: FunctionKey) -> None:
        permit = await hold(limiter, key)
        order.append(key.name)
        permit.admitted()

    held = await hold(limiter, HOG)
    async with anyio.create_task_group() as group:
        for key in (HOG, HOG, HOG, HOG, CALM):
            group.start_soon(one, key)
            await settle()
        held.admitted()
    assert order == ["hog", "calm", "hog", "hog", "hog"]


@pytest.mark.anyio
async def test_qualifiers_and_tenants_have_limits_of_their_own() -> None:
    limiter = Limiter(LIMIT, clock=ManualClock())
    keys = [
        FunctionKey(None, "work"),
        FunctionKey(None, "work", "live"),
        FunctionKey(None, "work", "live", "blue"),
    ]
    for key in keys:
        first, second = await take(limiter, key, 2)
        second.throttled(RESERVED)
        first.ignored()
    shown = {each.key: each.throttles for each in limiter.statistics() if each.throttles}
    assert shown == {"work": 1, "work:live": 1, "work:live (tenant blue)": 1}


@pytest.mark.anyio
async def test_where_even_one_is_refused_it_is_asked_at_a_slow_and_bounded_pace() -> None:
    clock = ManualClock()
    limiter = Limiter(LIMIT, clock=clock)
    asked: list[float] = []

    async def ask() -> None:
        while True:
            permit = await hold(limiter, HOG)
            asked.append(clock.now)
            permit.throttled(RESERVED)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
        for _ in range(1200):
            clock.jump(0.05)
            await settle()
        hog = scope_of(limiter, ThrottleScope.FUNCTION, "hog")
        assert (hog.limit, hog.pause, hog.waiting) == (1, 5.0, 3)
        assert "hog has a limit of 1 and pauses" in str(limiter.describe(HOG))
        group.cancel_scope.cancel()
    assert 10 <= len(asked) <= 30
    late = [after - before for before, after in pairwise(asked)][-5:]
    assert all(2.4 <= gap <= 5.1 for gap in late)


@pytest.mark.anyio
async def test_a_throttled_snapshot_closes_its_function_for_a_while() -> None:
    clock = ManualClock()
    limiter = Limiter(LIMIT, clock=clock)
    (permit,) = await take(limiter, HOG, 1)
    permit.throttled(SNAPSHOT)
    assert len(await take(limiter, CALM, 1)) == 1
    with pytest.raises(PermitTimeoutError, match="function hog has a limit of 1 and pauses"):
        await limiter.permit(HOG, deadline=clock.now + 0.5).__aenter__()
    clock.now += 1
    assert len(await take(limiter, HOG, 1)) == 1


@pytest.mark.parametrize(("reason", "slowed"), [(FUNCTION_RATE, "hog"), (CALLER_RATE, "all")])
@pytest.mark.anyio
async def test_a_throttled_rate_slows_starts_and_leaves_the_concurrency_alone(
    reason: ThrottleReason, slowed: str
) -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=50, maximum=50), clock=clock)
    started: Counter[str] = Counter()

    async def start(key: FunctionKey) -> None:
        while True:
            (await hold(limiter, key)).admitted()
            started[key.name] += 1
            await clock.sleep(0.1)

    held = await take(limiter, HOG, 20)
    await clock.advance(1.0)
    held.pop().throttled(reason)
    async with anyio.create_task_group() as group:
        for key in (HOG, CALM):
            for _ in range(10):
                group.start_soon(start, key)
        await clock.advance(1.0)
        described = str(limiter.describe(HOG))
        group.cancel_scope.cancel()
    # 19 attempts of the previous second were accepted; without a limit it would be 100 each.
    if slowed == "hog":
        assert 10 <= started["hog"] <= 25
        assert started["calm"] >= 80
    else:
        assert 10 <= started.total() <= 25
        assert abs(started["hog"] - started["calm"]) <= 2
    assert {each.limit for each in limiter.statistics()} == {50}
    owner = "function hog" if slowed == "hog" else "this caller"
    assert re.fullmatch(rf"{owner} has a limit of [0-9.]+ a second \({reason}\)", described)


@pytest.mark.anyio
async def test_a_hook_sees_every_change_of_a_limit_with_its_reason() -> None:
    events: list[LimitChanged] = []
    clock = ManualClock()
    limiter = Limiter(LIMIT, clock=clock, hooks=Hooks([events.append]))
    limits = {("account", ""): 4.0, ("function", "hog"): 4.0}
    for _ in range(6):
        held = []
        with nothing_free():
            for _ in range(9):
                held.append(await hold(limiter, HOG))
        held.pop().throttled(RESERVED if len(held) % 2 else ACCOUNT)
        clock.now += 5
        for permit in held:
            permit.admitted()
        # One attempt is always in flight, so a limit of one is fully used and may grow.
        for _ in range(30):
            clock.now += 0.1
            (await hold(limiter, HOG)).admitted()
    for event in events:
        assert limits[event.scope.value, event.key] == event.before
        limits[event.scope.value, event.key] = event.after
        assert (event.after > (event.before or 0)) == (event.reason is None)
    assert {event.reason for event in events} >= {None, RESERVED}
    for (kind, key), limit in limits.items():
        assert scope_of(limiter, ThrottleScope(kind), key).limit == limit


@pytest.mark.anyio
async def test_slow_attempts_do_not_hold_back_the_ramp_of_a_function_and_its_account() -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=4, maximum=64), clock=clock)
    async with anyio.create_task_group() as group:
        for _ in range(64):
            group.start_soon(hold, limiter, HOG)
        # By a fifth every 50 ms, as long as nothing is throttled.
        for _ in range(24):
            clock.jump(0.05)
            await settle()
        assert limiter.in_flight == 64


@pytest.mark.anyio
async def test_a_function_that_turns_out_to_have_a_reserve_waits_for_its_account_no_longer() -> (
    None
):
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=4), clock=clock)
    hog, *calm = [*await take(limiter, HOG, 1), *await take(limiter, CALM, 3)]
    async with anyio.create_task_group() as group:
        group.start_soon(hold, limiter, HOG)
        await settle()
        calm.pop(0).throttled(ACCOUNT)
        hog.throttled(ThrottleReason.RESERVED_FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED)
        # The account has more in flight than allowed, and none of it is the hog's.
        account = scope_of(limiter, ThrottleScope.ACCOUNT)
        assert (account.in_flight, account.limit) == (2, 1)
        clock.jump(10)
    assert scope_of(limiter, ThrottleScope.FUNCTION, "hog").in_flight == 1
    assert scope_of(limiter, ThrottleScope.ACCOUNT).in_flight == 2


@pytest.mark.anyio
async def test_a_newcomer_does_not_take_a_token_meant_for_a_waiter() -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(), clock=clock)
    (await hold(limiter, HOG)).throttled(CALLER_RATE)
    async with anyio.create_task_group() as group:
        group.start_soon(hold, limiter, HOG)
        await settle()
        # The token is available, and its waiter has not woken yet.
        clock.now += 6
        with nothing_free():
            await hold(limiter, CALM)
        assert scope_of(limiter, ThrottleScope.FUNCTION, "hog").in_flight == 1


@pytest.mark.parametrize("maximum", [1, 9])
@pytest.mark.anyio
async def test_a_waiter_wakes_in_time_if_the_released_permit_ends_in_a_pause(
    maximum: int,
) -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=1, maximum=maximum), clock=clock)
    held = await hold(limiter, HOG)
    async with anyio.create_task_group() as group:
        group.start_soon(hold, limiter, HOG)
        await settle()
        held.throttled(RESERVED)
        await settle()
        assert (limiter.in_flight, limiter.waiting) == (0, 1)
        clock.jump(0.05)
    assert (limiter.in_flight, limiter.waiting) == (1, 0)


@pytest.mark.parametrize("reason", [FUNCTION_RATE, CALLER_RATE])
@pytest.mark.anyio
async def test_a_burst_after_idleness_reveals_the_rate_of_the_burst(reason: ThrottleReason) -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=100), clock=clock)
    (await hold(limiter, HOG)).admitted()
    clock.now += 60
    held = await take(limiter, HOG, 50)
    clock.now += 0.1
    held[-1].throttled(reason)
    rates = [each.rate for each in limiter.statistics() if each.rate is not None]
    assert rates == [pytest.approx(0.9 * 490)]


@pytest.mark.anyio
async def test_a_fixed_limit_counts_throttles_and_stays() -> None:
    limiter = Limiter(FixedLimit(3), clock=ManualClock())
    for reason in (RESERVED, ACCOUNT, CALLER_RATE, SNAPSHOT):
        (permit,) = await take(limiter, HOG, 1)
        permit.throttled(reason)
    assert {each.limit for each in limiter.statistics()} == {3}
    assert sum(each.throttles for each in limiter.statistics()) == 4
    await take(limiter, HOG, 3)
    assert limiter.describe(HOG) == "the limit is 3"
    with nothing_free():
        await hold(limiter, HOG)


@pytest.mark.anyio
async def test_functions_that_are_idle_and_unthrottled_are_forgotten() -> None:
    limiter = Limiter(FixedLimit(2))
    busy = await hold(limiter, HOG)
    for number in range(3000):
        (await hold(limiter, FunctionKey(None, "work", None, f"tenant-{number}"))).admitted()
    assert len(limiter.statistics()) < 1100
    busy.admitted()
    assert {each.in_flight for each in limiter.statistics()} == {0}


@pytest.mark.anyio
async def test_of_thousands_of_throttled_accounts_those_in_use_are_kept_and_others_forgotten() -> (
    None
):
    limiter = Limiter(AdaptiveLimit(initial=4, maximum=8))

    async def throttle(account: int) -> None:
        (await hold(limiter, FunctionKey(str(account), "work"))).throttled(ACCOUNT)

    for number in range(1100):
        await throttle(number)
    # The function of the first has been forgotten by now; its account comes back into use.
    busy = await hold(limiter, FunctionKey("0", "work"))
    for number in range(1100, 6600):
        await throttle(number)
    assert scope_of(limiter, ThrottleScope.ACCOUNT, "0").throttles == 1
    assert scope_of(limiter, ThrottleScope.ACCOUNT, "0").in_flight == 1
    assert sum(each.scope is ThrottleScope.ACCOUNT for each in limiter.statistics()) < 5500
    busy.admitted()
    assert {each.in_flight for each in limiter.statistics()} == {0}


LIMITS = st.one_of(
    st.builds(FixedLimit, st.integers(1, 4)),
    st.builds(
        AdaptiveLimit,
        initial=st.integers(1, 3),
        maximum=st.integers(3, 6),
    ),
)
ENDS = ["admitted", "answered", "throttled", "ignored", "unreachable", "out_of_files"]
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["start", "start", "hurry", "cancel", "wait", *ENDS]),
        st.integers(0, 11),
        st.sampled_from(list(ThrottleReason)),
    ),
    max_size=50,
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(limit=LIMITS, moves=MOVES)
@settings(max_examples=60)
def test_permits_are_conserved_and_no_waiter_starves(
    backend: str, limit: Limit, moves: list[tuple[str, int, ThrottleReason]]
) -> None:
    async def play() -> None:
        clock = ManualClock()
        limiter = Limiter(limit, clock=clock)
        holding: dict[int, Permit] = {}
        scopes: list[anyio.CancelScope] = []
        ends: list[tuple[str, ThrottleReason] | None] = []
        finished: list[anyio.Event] = []
        served: set[int] = set()
        late: set[int] = set()
        keys = [HOG, CALM, FunctionKey("123456789012", "work")]

        async def work(number: int, deadline: float) -> None:
            with scopes[number]:
                try:
                    async with limiter.permit(keys[number % 3], deadline=deadline) as permit:
                        served.add(number)
                        holding[number] = permit
                        assert len(holding) <= limiter.limit
                        try:
                            await finished[number].wait()
                        finally:
                            del holding[number]
                        end(permit, *(ends[number] or ("admitted", ThrottleReason.UNKNOWN)))
                except PermitTimeoutError:
                    late.add(number)
                    assert deadline < math.inf

        def end(permit: Permit, how: str, reason: ThrottleReason) -> None:
            if how == "throttled":
                permit.throttled(reason)
            elif how == "out_of_files":
                others = limiter.in_flight - 1
                assert permit.out_of_files() is (others > 0)
                assert scope_of(limiter, ThrottleScope.PROCESS).limit <= max(others, 1)
            else:
                getattr(permit, how)()

        async with anyio.create_task_group() as group:
            for advance, number, reason in moves:
                if advance in ("start", "hurry"):
                    scopes.append(anyio.CancelScope())
                    finished.append(anyio.Event())
                    ends.append(None)
                    deadline = clock.now + number / 20 if advance == "hurry" else math.inf
                    group.start_soon(work, len(scopes) - 1, deadline)
                elif advance == "wait":
                    await settle()
                    await clock.advance(0.05 * number)
                    assert limiter.in_flight == len(holding)
                    for each in limiter.statistics():
                        assert 1 <= each.limit <= limiter.limit
                        assert 0 <= each.in_flight <= limiter.limit
                elif number < len(scopes):
                    if advance == "cancel":
                        scopes[number].cancel()
                    elif ends[number] is None:
                        ends[number] = (advance, reason)
                        finished[number].set()
            await settle()
            # From here on everything succeeds, so every waiter that was not cancelled gets a
            # permit.
            for event in finished:
                event.set()
            for _ in range(40):
                await clock.advance(0.5)
                if not limiter.waiting:
                    break
        cancelled = {number for number, scope in enumerate(scopes) if scope.cancel_called}
        assert served | cancelled | late == set(range(len(scopes)))
        assert (limiter.in_flight, limiter.waiting) == (0, 0)
        assert {each.in_flight for each in limiter.statistics()} == {0}

    anyio.run(play, backend=backend)


@pytest.mark.anyio
async def test_a_hook_that_raises_changes_nothing_but_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(event: LimitChanged) -> None:
        raise RuntimeError("the listener is broken")

    limiter = Limiter(LIMIT, hooks=Hooks([broken]))
    held = [await hold(limiter, HOG) for _ in range(4)]
    held.pop().throttled(RESERVED)
    for permit in held:
        permit.admitted()
    assert limiter.in_flight == 0
    assert "a hook raised" in caplog.text
