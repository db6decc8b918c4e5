"""`no_waits`: every attempt is made and waits are skipped, for all invokers opened meanwhile."""

import contextlib
import itertools
import math
from collections.abc import AsyncIterator
from threading import Barrier, Thread

import anyio
import pytest

from asyncinvoke import FixedLimit, Invoker, ThrottledError
from asyncinvoke._clock import SYSTEM_CLOCK, default_clock
from asyncinvoke.local import throttle
from asyncinvoke.testing import InstantClock, NoWaits, no_waits
from tests.doubles.fault_endpoint import FaultEndpoint

# An adaptive limit would sometimes wait as well.
LIMIT = FixedLimit(7)
LONG = throttle(retry_after="60")


@pytest.fixture
async def endpoint() -> AsyncIterator[FaultEndpoint]:
    async with FaultEndpoint() as endpoint:
        endpoint.script_forever("f", itertools.repeat(LONG))
        yield endpoint


async def fail(invoker: Invoker) -> ThrottledError:
    with anyio.fail_after(60), pytest.raises(ThrottledError) as raised:
        await invoker.invoke("f")
    return raised.value


@pytest.mark.anyio
async def test_every_attempt_is_made_and_no_wait_takes_time(endpoint: FaultEndpoint) -> None:
    with no_waits() as waits:
        async with Invoker(endpoint_url=endpoint.url, limit=LIMIT) as invoker:
            error = await fail(invoker)
    assert endpoint.deliveries("f") == len(error.attempts) == 3
    assert len(waits.slept) == 2
    assert min(waits.slept) >= 60
    assert error.elapsed > 120


@pytest.mark.anyio
async def test_no_wait_of_a_clock_takes_it_out_of_time() -> None:
    clock = InstantClock()
    with pytest.raises(ValueError, match="NaN"):
        await clock.sleep(math.nan)
    with anyio.move_on_after(0) as scope:
        await clock.sleep(math.inf)
    assert scope.cancelled_caught
    assert clock.slept == [math.inf]
    for now in (clock.time, clock.monotonic):
        assert math.isfinite(now())
    await clock.sleep(60)
    assert clock.slept == [math.inf, 60]


@pytest.mark.anyio
async def test_an_invoker_made_before_the_block_counts_when_it_is_opened(
    endpoint: FaultEndpoint,
) -> None:
    invoker = Invoker(endpoint_url=endpoint.url, limit=LIMIT)
    with no_waits() as waits:
        async with invoker:
            await fail(invoker)
    assert len(waits.slept) == 2
    assert invoker.statistics().limit == 7


@pytest.mark.anyio
async def test_an_invoker_keeps_its_clock_when_the_block_ends(endpoint: FaultEndpoint) -> None:
    async with Invoker(endpoint_url=endpoint.url, limit=LIMIT) as invoker:
        pass
    with no_waits() as waits:
        await invoker.__aenter__()
    await fail(invoker)
    await invoker.__aexit__(None, None, None)
    assert len(waits.slept) == 2


@pytest.mark.anyio
async def test_a_clock_of_its_own_comes_first(endpoint: FaultEndpoint) -> None:
    clock = InstantClock()
    with no_waits() as waits:
        async with Invoker(endpoint_url=endpoint.url, limit=LIMIT, clock=clock) as invoker:
            await fail(invoker)
    assert len(clock.slept) == 2
    assert waits.slept == []


@pytest.mark.anyio
async def test_the_waits_of_one_invoker_bring_no_deadline_of_another_nearer(
    endpoint: FaultEndpoint,
) -> None:
    with no_waits():
        async with (
            Invoker(endpoint_url=endpoint.url, limit=LIMIT) as one,
            Invoker(endpoint_url=endpoint.url, limit=LIMIT) as other,
        ):
            await fail(one)
            assert (await other.invoke("g", timeout=30)).status_code == 200


def test_after_the_block_clocks_are_the_machines() -> None:
    with contextlib.suppress(KeyError), no_waits():
        assert isinstance(default_clock(), InstantClock)
        raise KeyError
    assert default_clock() is SYSTEM_CLOCK


def test_blocks_nest_one_of_them_in_itself_too() -> None:
    waits = no_waits()
    with waits, no_waits(), waits:
        assert isinstance(default_clock(), InstantClock)
    assert default_clock() is SYSTEM_CLOCK


def test_it_holds_in_other_threads_and_blocks_of_several_may_end_in_any_order() -> None:
    seen: list[object] = []
    first_ended = Barrier(2, timeout=60)
    both_began = Barrier(2, timeout=60)

    def first(waits: NoWaits) -> None:
        with waits:
            both_began.wait()
        first_ended.wait()

    def second(waits: NoWaits) -> None:
        both_began.wait()
        with waits:
            first_ended.wait()
            seen.append(default_clock())

    threads = [Thread(target=first, args=[no_waits()]), Thread(target=second, args=[no_waits()])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(seen[0], InstantClock)
    assert default_clock() is SYSTEM_CLOCK
