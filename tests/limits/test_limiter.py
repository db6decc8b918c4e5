"""Permits are granted in order, never too many, and none is lost."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncinvoke import FixedLimit
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._limits.scopes import FunctionKey
from tests.doubles.waiting import settle

from .doubles import counts, hold, nothing_free

KEY = FunctionKey(None, "work")


@pytest.mark.anyio
async def test_permits_are_granted_in_the_order_of_requests() -> None:
    limiter = Limiter(FixedLimit(1))
    order: list[int] = []

    async def one(number: int) -> None:
        async with limiter.permit(KEY) as permit:
            order.append(number)
            await anyio.lowlevel.checkpoint()
            permit.admitted()

    held = await hold(limiter, KEY)
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(one, number)
            await settle()
        assert repr(limiter) == "<Limiter 1/1 in flight, 5 waiting>"
        held.admitted()
    assert order == [0, 1, 2, 3, 4]
    assert await counts(limiter) == (0, 0)


@pytest.mark.anyio
async def test_a_permit_that_was_granted_cannot_be_snatched_by_a_newcomer() -> None:
    limiter = Limiter(FixedLimit(1))
    held = await hold(limiter, KEY)
    async with anyio.create_task_group() as group:
        group.start_soon(hold, limiter, KEY)
        await settle()
        held.ignored()
        with nothing_free():
            await hold(limiter, KEY)
    assert await counts(limiter) == (1, 0)


@pytest.mark.anyio
async def test_a_waiter_that_is_cancelled_leaves_the_queue() -> None:
    limiter = Limiter(FixedLimit(1))
    held = await hold(limiter, KEY)
    async with anyio.create_task_group() as group:
        group.start_soon(hold, limiter, KEY)
        assert await counts(limiter) == (1, 1)
        group.cancel_scope.cancel()
    assert await counts(limiter) == (1, 0)
    held.ignored()
    assert await counts(limiter) == (0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("first", ["release", "cancel"])
async def test_a_waiter_that_is_cancelled_while_its_permit_comes_passes_it_on(first: str) -> None:
    limiter = Limiter(FixedLimit(1))
    scope = anyio.CancelScope()
    got: list[str] = []

    async def wait(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            permit = await hold(limiter, KEY)
            # On trio, a task that was granted its permit may notice its cancellation only here.
            try:
                await anyio.lowlevel.checkpoint()
                got.append(name)
            except BaseException:
                permit.ignored()
                raise

    held = await hold(limiter, KEY)
    async with anyio.create_task_group() as group:
        group.start_soon(wait, "cancelled", scope)
        await settle()
        group.start_soon(wait, "next", anyio.CancelScope())
        await settle()
        moves: list[Callable[[], object]] = [held.ignored, scope.cancel]
        for advance in moves if first == "release" else reversed(moves):
            advance()
    assert got == ["next"]
    assert await counts(limiter) == (1, 0)


MOVES = st.lists(
    st.tuples(st.sampled_from(["start", "finish", "cancel", "pass"]), st.integers(0, 9)),
    max_size=60,
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(limit=st.integers(1, 4), moves=MOVES)
@settings(max_examples=60)
def test_permits_are_conserved_whatever_happens(
    backend: str, limit: int, moves: list[tuple[str, int]]
) -> None:
    async def play() -> None:
        limiter = Limiter(FixedLimit(limit))
        holding: set[int] = set()
        scopes: list[anyio.CancelScope] = []
        finished: list[anyio.Event] = []

        async def work(number: int) -> None:
            with scopes[number]:
                async with limiter.permit(KEY):
                    holding.add(number)
                    assert len(holding) <= limit
                    try:
                        await finished[number].wait()
                    finally:
                        holding.remove(number)

        async with anyio.create_task_group() as group:
            for advance, number in moves:
                if advance == "start":
                    scopes.append(anyio.CancelScope())
                    finished.append(anyio.Event())
                    group.start_soon(work, len(scopes) - 1)
                elif advance == "pass":
                    await settle()
                    assert limiter.in_flight == len(holding)
                    assert len(holding) == limit or limiter.waiting == 0
                elif number < len(scopes):
                    if advance == "finish":
                        finished[number].set()
                    else:
                        scopes[number].cancel()
            await settle()
            assert limiter.in_flight == len(holding) <= limit
            for event in finished:
                event.set()
        assert await counts(limiter) == (0, 0)

    anyio.run(play, backend=backend)
