"""Attempts that were not sent: unreachable endpoints are probed, missing files are awaited."""

import logging
import math

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import AdaptiveLimit, FixedLimit, LimitChanged, LimitKind
from asyncinvoke._limits.books import PermitTimeoutError
from asyncinvoke._limits.limit import Limit, files_limit
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._limits.rate import LONGEST
from asyncinvoke._limits.scopes import FunctionKey
from asyncinvoke._model.failure import ThrottleScope
from asyncinvoke._telemetry.hooks import Hooks
from tests.doubles.waiting import settle

from .doubles import (
    CALLER_RATE,
    CALM,
    HOG,
    RESERVED,
    ManualClock,
    counts,
    hold,
    nothing_free,
    scope_of,
    take,
)

pytestmark = pytest.mark.anyio

LIMITS = pytest.mark.parametrize("limit", [FixedLimit(100), AdaptiveLimit(initial=100)])


class Workers:
    """Workers that send to one endpoint, which is unreachable for a while."""

    def __init__(self, limiter: Limiter, clock: ManualClock) -> None:
        self.limiter = limiter
        self.clock = clock
        self.is_away = True
        self.refused: list[float] = []
        self.done = 0

    async def work(self, number: int) -> None:
        while True:
            async with self.limiter.permit(FunctionKey(None, f"work-{number % 7}")) as permit:
                await anyio.lowlevel.checkpoint()
                if not self.is_away:
                    permit.admitted()
                    self.done += 1
                    return
                self.refused.append(self.clock.now)
                permit.unreachable()


@LIMITS
async def test_an_endpoint_that_is_away_is_probed_and_not_hammered(limit: Limit) -> None:
    clock = ManualClock()
    limiter = Limiter(limit, clock=clock)
    workers = Workers(limiter, clock)
    async with anyio.create_task_group() as group:
        for number in range(80):
            group.start_soon(workers.work, number)
        await settle()
        # All attempts in flight belong to one outage, and cause one pause.
        assert len(workers.refused) == 80
        assert scope_of(limiter, ThrottleScope.CALLER).pause == 0.05
        for _ in range(300):
            clock.jump(0.1)
            await settle()
        # In half a minute: pauses that double up to 5 s, with one attempt after each.
        assert 9 <= len(workers.refused) - 80 <= 20
        assert limiter.describe(HOG) == "the endpoint cannot be reached"
        with pytest.raises(PermitTimeoutError, match="the endpoint cannot be reached"):
            await limiter.permit(HOG, deadline=clock.now + 0.001).__aenter__()
        workers.is_away = False
        while not workers.done:
            clock.jump(0.1)
            await settle()
        # A single success ends the outage for all.
        assert workers.done == 80
    assert scope_of(limiter, ThrottleScope.CALLER).pause == 0
    assert limiter.describe(HOG) is None
    assert await counts(limiter) == (0, 0)


async def test_a_probe_that_never_ends_does_not_keep_the_next_from_being_made() -> None:
    clock = ManualClock()
    limiter = Limiter(FixedLimit(10), clock=clock)
    (await hold(limiter, HOG)).unreachable()
    hanging = 0

    async def hang() -> None:
        nonlocal hanging
        async with limiter.permit(HOG):
            hanging += 1
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(hang)
        await settle()
        assert hanging == 0
        await clock.advance(0.2)
        assert 3 <= hanging <= 8
        group.cancel_scope.cancel()


@pytest.mark.parametrize("answer", ["admitted", "answered", "throttled"])
async def test_any_answer_ends_an_outage_also_of_an_attempt_that_was_sent_before(
    answer: str,
) -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(), clock=clock)
    before, *lost = await take(limiter, HOG, 5)
    for permit in lost:
        permit.unreachable()
    with nothing_free():
        await hold(limiter, CALM)
    if answer == "throttled":
        before.throttled(RESERVED)
    else:
        getattr(before, answer)()
    assert len(await take(limiter, CALM, 5)) == 5


async def test_what_was_not_sent_counts_neither_as_accepted_nor_against_a_rate() -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=200), clock=clock)
    sent, *lost = await take(limiter, HOG, 100)
    for permit in lost:
        permit.unreachable()
    clock.jump(1)
    sent.throttled(CALLER_RATE)
    # Nothing was accepted recently, so the rate is the lowest possible.
    assert scope_of(limiter, ThrottleScope.CALLER).rate == 0.2
    clock.jump(5)
    (await hold(limiter, HOG)).unreachable()
    clock.jump(0.05)
    # The token is available again.
    assert len(await take(limiter, HOG, 1)) == 1


async def test_a_pause_for_an_outage_is_not_attributed_to_an_earlier_throttle(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "asyncinvoke")
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=200), clock=clock)
    (await hold(limiter, HOG)).throttled(CALLER_RATE)
    while scope_of(limiter, ThrottleScope.CALLER).pause < LONGEST:
        clock.jump(10)
        (await hold(limiter, HOG)).unreachable()
    (record,) = caplog.records
    assert record.message == "this caller pauses: the endpoint cannot be reached"
    assert not hasattr(record, "asyncinvoke.throttle.reason")


# Files.


@LIMITS
async def test_without_files_no_more_are_in_flight_than_have_one(limit: Limit) -> None:
    clock = ManualClock()
    events: list[LimitChanged] = []
    limiter = Limiter(limit, clock=clock, hooks=Hooks([events.append]))
    held = [*await take(limiter, HOG, 30), *await take(limiter, CALM, 20)]
    for left in range(49, 39, -1):
        assert held.pop().out_of_files()
        assert scope_of(limiter, ThrottleScope.PROCESS).limit == left == limiter.in_flight
    first = events[0]
    assert (first.scope, first.key, first.quantity) == (
        ThrottleScope.PROCESS,
        "",
        LimitKind.CONCURRENCY,
    )
    assert (first.after, first.reason) == (49, None)
    assert {each.scope for each in events} == {ThrottleScope.PROCESS}
    there = scope_of(limiter, ThrottleScope.PROCESS)
    assert (there.throttles, there.in_flight, there.pause) == (10, 40, 0)
    assert limiter.describe(CALM) == (
        "this process has no files left for more than 40 attempts in flight"
    )
    # Each attempt that ends frees a file, whatever its function.
    async with anyio.create_task_group() as group:
        group.start_soon(hold, limiter, FunctionKey(None, "third"))
        assert await counts(limiter) == (40, 1)
        held.pop().admitted()
        assert await counts(limiter) == (40, 0)


@LIMITS
async def test_the_very_first_attempt_without_a_file_pauses_and_asks_again(limit: Limit) -> None:
    clock = ManualClock()
    limiter = Limiter(limit, clock=clock)
    asked: list[float] = []

    async def ask() -> None:
        while True:
            async with limiter.permit(HOG) as permit:
                asked.append(clock.now)
                assert not permit.out_of_files()

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
        for _ in range(300):
            clock.jump(0.1)
            await settle()
        assert limiter.describe(CALM) == "this process has no files left, and pauses"
        group.cancel_scope.cancel()
    assert 9 <= len(asked) <= 22
    there = scope_of(limiter, ThrottleScope.PROCESS)
    assert (there.limit, there.pause) == (1, LONGEST)


@LIMITS
async def test_files_that_come_back_are_found_slowly_however_fast_the_functions_are(
    limit: Limit,
) -> None:
    clock = ManualClock()
    limiter = Limiter(limit, clock=clock)
    held = await take(limiter, HOG, 21)
    files = 20
    assert held.pop().out_of_files()
    refused = 0

    async def work() -> None:
        nonlocal refused
        while True:
            async with limiter.permit(CALM) as permit:
                if limiter.in_flight > files:
                    refused += 1
                    permit.out_of_files()
                else:
                    await clock.sleep(0.05)
                    permit.admitted()

    for permit in held:
        permit.admitted()
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(work)
        for _ in range(400):
            clock.jump(0.05)
            await settle()
        # Four hundred rounds of the functions, or twenty seconds: more files were tried
        # occasionally.
        assert 2 <= refused <= 20
        assert 18 <= scope_of(limiter, ThrottleScope.PROCESS).limit <= 20
        files = 1000
        for _ in range(400):
            clock.jump(0.05)
            await settle()
            if scope_of(limiter, ThrottleScope.PROCESS).limit >= 50:
                break
        assert scope_of(limiter, ThrottleScope.PROCESS).limit >= 50
        group.cancel_scope.cancel()


@pytest.mark.parametrize("seconds", [0.05, 900])
@pytest.mark.parametrize("outage", [0.1, 10])
async def test_once_there_are_files_again_all_are_used_within_seconds_however_slow_the_functions(
    seconds: float, outage: float
) -> None:
    clock, size = ManualClock(), 60
    limiter = Limiter(FixedLimit(size), clock=clock)
    until = clock.now + outage

    async def work() -> None:
        while True:
            async with limiter.permit(CALM) as permit:
                if clock.now >= until:
                    await clock.sleep(seconds)
                    permit.admitted()
                elif not permit.out_of_files():
                    asked.append(clock.now)

    asked: list[float] = []
    async with anyio.create_task_group() as group:
        for _ in range(size):
            group.start_soon(work)
        while clock.now < until + LONGEST + 5:
            clock.jump(0.05)
            await settle()
        assert limiter.in_flight == size
        assert len(asked) <= 11  # the pause doubles: ten if each is as short as chance allows
        group.cancel_scope.cancel()


async def test_any_answer_shows_that_descriptors_are_available() -> None:
    clock, events = ManualClock(), list[LimitChanged]()
    limiter = Limiter(FixedLimit(20), clock=clock, hooks=Hooks([events.append]))
    held = await take(limiter, HOG, 11)
    assert held.pop().out_of_files()
    for _ in range(60):
        clock.jump(1)
        held.pop(0).answered()
        held += await take(limiter, HOG, 1)
    assert [event.after for event in events[:2]] == [10, 11]


async def test_time_alone_finds_files_too_where_all_that_is_in_flight_is_slow() -> None:
    clock = ManualClock()
    limiter = Limiter(FixedLimit(20), clock=clock)
    held = await take(limiter, HOG, 11)
    assert held.pop().out_of_files()
    async with anyio.create_task_group() as group:
        group.start_soon(hold, limiter, CALM)
        assert await counts(limiter) == (10, 1)
        for _ in range(200):
            clock.jump(0.05)
            await settle()
    assert await counts(limiter) == (11, 0)


@given(soft=st.integers(-1, 10**6), used=st.integers(0, 10**6))
def test_connections_leave_some_files_for_the_rest(soft: int, used: int) -> None:
    most = files_limit(soft, used)
    assert most >= 1
    if soft >= 0 and most > 1:
        assert 16 <= soft - used - most <= 64


def test_the_shell_of_a_mac_is_enough_for_two_hundred() -> None:
    assert files_limit(256, 20) == 204
    assert files_limit(1024, 20) == 940
    assert files_limit(-1, 20) > 10**9


async def test_if_descriptors_limit_the_concurrency_it_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "asyncinvoke")
    limiter = Limiter(AdaptiveLimit(maximum=1000), files=(256, 20))
    assert limiter.limit == 204
    assert scope_of(limiter, ThrottleScope.PROCESS).limit == 204
    assert [record.message for record in caplog.records] == [
        "at most 204 attempts in flight, not 1000: this process may have 256 files open"
    ]
    caplog.clear()
    limiter = Limiter(AdaptiveLimit(maximum=1000), files=(256, 20), connections=100)
    assert limiter.limit == 100
    assert scope_of(limiter, ThrottleScope.PROCESS).limit == 100
    assert Limiter(AdaptiveLimit(maximum=100), files=(256, 20)).limit == 100
    assert Limiter(FixedLimit(7)).limit == 7
    assert caplog.records == []


async def test_a_straggler_of_an_outage_that_is_over_is_not_a_part_of_it() -> None:
    clock = ManualClock()
    limiter = Limiter(FixedLimit(10), clock=clock)
    permits = [await hold(limiter, HOG) for _ in range(4)]
    began = clock.now
    assert permits[0].unreachable() == began
    clock.jump(290)
    assert permits[1].unreachable() == began
    permits[2].answered()
    clock.jump(15)
    assert permits[3].unreachable() == math.inf
    assert (await hold(limiter, HOG)).unreachable() == clock.now
