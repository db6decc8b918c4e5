"""The timekeeper: one of the waiting tasks sleeps on behalf of all.

Gates open with time: a pause ends, a rate has a token, an unthrottled limit may grow. Waiters have
deadlines. Some task has to wake up for these. A background task would need its own task group,
which would outlive the calls it serves, and could raise where nothing catches. One timer per waiter
would mean thousands of timers firing at once when a pause ends, for a single token.

Instead, the times are kept in two heaps, and one waiter, the keeper, sleeps until the first of
them. It then processes everything that is due, for all waiters, and goes back to sleep. When it
gets its permit, gives up or is cancelled, the newest waiter takes over, since it will wait longest.
A keeper exists only while there are waiters and something depends on time. So an idle process has
no timers, and there are no tasks other than the callers'. All other waiters wait for an event.

The keeper sleeps on the given clock, in its own cancel scope; it is woken by cancelling that scope.
While attempts are in flight and only deadlines are pending, it sleeps for at most one tick: a
response may arrive first, and a test clock, which jumps, would otherwise run ahead of it.
"""

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import count

import anyio

from asyncinvoke._clock import Clock
from asyncinvoke._limits.books import Claim
from asyncinvoke._limits.gates import Gate

TICK = 0.05
"""The interval at which limits may grow by time alone after the ramp, while there are waiters, in
seconds."""

NEAR = 0.001
"""How much earlier a new time must be for an alarm to be rescheduled, in seconds."""

SPARE = 64
"""How many stale deadlines are tolerated before they are removed."""


class Waiter:
    """A waiter for a permit, until `end`."""

    __slots__ = ("_alarm", "_event", "claim", "is_waiting", "is_withdrawn", "limited")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.is_waiting = True
        self.is_withdrawn = False
        """Whether its owner has withdrawn it."""
        self.limited: str | None = None
        """What delayed permits when its deadline passed."""
        self._event: anyio.Event | None = None
        self._alarm: anyio.CancelScope | None = None

    def end(self) -> None:
        """Stop waiting."""
        self.is_waiting = False
        self.wake()

    def wake(self) -> None:
        """Wake the waiting task."""
        if self._alarm is not None:
            self._alarm.cancel()
        elif self._event is not None:
            self._event.set()

    async def doze(self) -> None:
        """Wait until woken."""
        self._event = anyio.Event()
        await self._event.wait()

    async def sleep(self, clock: Clock, seconds: float) -> None:
        """Wait until woken, with a time limit."""
        with anyio.CancelScope() as alarm:
            self._alarm = alarm
            try:
                await clock.sleep(seconds)
            finally:
                self._alarm = None


class Timekeeper:
    """Wakes waiters and processes timed events.

    Args:
        clock: The source of time.
        act: Processes everything that is due at a time; returns the number of attempts in flight.
    """

    def __init__(self, clock: Clock, act: Callable[[float], int]) -> None:
        self._clock = clock
        self._act = act
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()
        """The waiters, in order of arrival."""
        self._keeper: Waiter | None = None
        # When the keeper wakes up; while it is awake it need not be woken.
        self._wakes_at = -math.inf
        self._alarms: list[tuple[float, int, Gate]] = []
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._order = count()

    def join(self, waiter: Waiter) -> None:
        """Add a waiter."""
        self.waiters[waiter] = None
        deadline = waiter.claim.deadline
        if deadline < math.inf:
            if len(self._deadlines) > 2 * len(self.waiters) + SPARE:
                self._deadlines[:] = [each for each in self._deadlines if each[2].is_waiting]
                heapq.heapify(self._deadlines)
            heapq.heappush(self._deadlines, (deadline, next(self._order), waiter))

    def end(self, waiter: Waiter) -> None:
        """Remove a waiter that was granted its permit, or gave up."""
        del self.waiters[waiter]
        if not self.waiters:
            self._deadlines.clear()  # all stale, and there may have been many
        waiter.end()

    def set_alarm(self, gate: Gate, at: float) -> None:
        """Schedule a check of a gate; repeated requests for one gate result in a single check."""
        # A rate rises as it is used, so each check finds its next token slightly earlier.
        if at < gate.alarm_at - NEAR:
            gate.alarm_at = at
            heapq.heappush(self._alarms, (at, next(self._order), gate))

    def due(self, now: float) -> Iterator[Gate]:
        """Return the gates that are due, each once."""
        alarms = self._alarms
        while alarms and alarms[0][0] <= now:
            at, _, gate = heapq.heappop(alarms)
            # This alarm was replaced by an earlier one.
            if gate.alarm_at == at:
                gate.alarm_at = math.inf
                yield gate

    def expired(self, now: float) -> Iterator[Waiter]:
        """Return the waiters whose deadline has passed."""
        deadlines = self._deadlines
        while deadlines and deadlines[0][0] <= now:
            waiter = heapq.heappop(deadlines)[2]
            if waiter.is_waiting:
                yield waiter

    async def wait(self, waiter: Waiter) -> None:
        """Wait until `end`, and act as the keeper if there is none."""
        self.appoint()
        while waiter.is_waiting:
            if self._keeper is waiter:
                await self._keep(waiter)
            else:
                await waiter.doze()

    def relieve(self, waiter: Waiter) -> None:
        """Hand the keeper's role to another waiter, if this one had it and no longer waits."""
        if self._keeper is waiter:
            self._keeper, self._wakes_at = None, -math.inf
            self.appoint()

    def appoint(self) -> None:
        """Ensure that some waiter is the keeper, if anything depends on time."""
        if self._keeper is not None:
            if self._next_time() < self._wakes_at:
                self._keeper.wake()
        elif self.waiters and self._next_time() < math.inf:
            self._keeper = next(reversed(self.waiters))
            self._keeper.wake()

    async def _keep(self, keeper: Waiter) -> None:
        in_flight = self._act(self._clock.monotonic())
        if not keeper.is_waiting:
            return
        at = self._next_time()
        if at == math.inf:
            self._keeper = None
            return
        now = self._clock.monotonic()
        seconds = max(at - now, 0.0)
        if in_flight and not (self._alarms and self._alarms[0][0] <= at):
            seconds = min(seconds, TICK)
        self._wakes_at = now + seconds
        await keeper.sleep(self._clock, seconds)
        self._wakes_at = -math.inf

    def _next_time(self) -> float:
        while self._deadlines and not self._deadlines[0][2].is_waiting:
            heapq.heappop(self._deadlines)
        deadline = self._deadlines[0][0] if self._deadlines else math.inf
        return min(deadline, self._alarms[0][0]) if self._alarms else deadline
