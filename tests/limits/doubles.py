"""Shared by the tests of limits: a clock that is advanced by hand, and permits that are held."""

from collections.abc import Iterator
from contextlib import contextmanager
from heapq import heappop, heappush

import anyio
import anyio.lowlevel

from asyncinvoke._limits.limiter import Limiter, Permit
from asyncinvoke._limits.scopes import FunctionKey
from asyncinvoke._model.failure import ThrottleReason, ThrottleScope
from asyncinvoke._statistics import ScopeStatistics
from tests.doubles.waiting import settle

RESERVED = ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED
ACCOUNT = ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED
FUNCTION_RATE = ThrottleReason.FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED
CALLER_RATE = ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED
SNAPSHOT = ThrottleReason.CONCURRENT_SNAPSHOT_CREATE_LIMIT_EXCEEDED

HOG = FunctionKey(None, "hog")
CALM = FunctionKey(None, "calm")


class ManualClock:
    """A clock that is advanced by hand; a sleep ends when its time has come."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, anyio.Event]] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.now + seconds
        if self.now < until:
            woken = anyio.Event()
            heappush(self._sleepers, (until, len(self.slept), woken))
            await woken.wait()
        await anyio.lowlevel.checkpoint()

    async def advance(self, seconds: float) -> None:
        """Let time pass in small steps, and let all tasks run after each."""
        until = self.now + seconds
        while self.now < until:
            self.jump(min(0.01, until - self.now))
            await settle()

    def jump(self, seconds: float) -> None:
        """Let time pass at once."""
        self.now += seconds
        while self._sleepers and self._sleepers[0][0] <= self.now:
            heappop(self._sleepers)[-1].set()


def scope_of(limiter: Limiter, scope: ThrottleScope, key: str = "") -> ScopeStatistics:
    return next(each for each in limiter.statistics() if (each.scope, each.key) == (scope, key))


async def hold(limiter: Limiter, key: FunctionKey) -> Permit:
    """Take a permit that the test releases."""
    return await limiter.permit(key).__aenter__()


async def take(limiter: Limiter, key: FunctionKey, number: int) -> list[Permit]:
    with anyio.fail_after(60):
        return [await hold(limiter, key) for _ in range(number)]


async def counts(limiter: Limiter) -> tuple[int, int]:
    await settle()
    return limiter.in_flight, limiter.waiting


@contextmanager
def nothing_free() -> Iterator[None]:
    """Assert that a permit cannot be had without waiting."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        yield
        raise AssertionError("a permit was free")
