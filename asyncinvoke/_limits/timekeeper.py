"""The timekeeper: one of the waiting tasks sleeps on behalf of all.

Gates open by time: a pause ends, a rate has a token, a limit that nobody refuses may grow. Waiters
have deadlines. Somebody has to be awake for it. A background task would need a task group of ours,
which outlives the calls that it serves, and raises where nobody catches. A timer for each waiter
costs a timer for each waiter: thousands that go off at once when a pause ends, for one token.

So the times are kept in two heaps, and one waiter, the keeper, sleeps until the first of them. It
then lets everything happen that is due, whoever it concerns, and sleeps on. When it gets its permit,
gives up or is cancelled, whoever has come last takes over, for it will be there for longest. There
is a keeper only while somebody waits and something depends on time, so nothing ticks in an idle
process, and no task is there that is not a caller's. All others wait for an event.

The keeper sleeps by the clock that it was given, in a cancel scope of its own: to wake it is to
cancel that. While attempts are in flight it sleeps for a tick at most if all that it waits for is a
deadline: an answer may come first, and the clock of a test, which jumps, would run away from it.
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
"""How often limits may grow by time alone while somebody waits, in seconds."""

NEAR = 0.001
"""How much earlier than it is set an alarm has to be to be set anew, in seconds."""

SPARE = 64
"""How many deadlines of those who wait no longer are not worth clearing away."""


class Waiter:
    """One who waits for a permit, until `end`."""

    __slots__ = ("_alarm", "_event", "claim", "is_waiting", "is_withdrawn", "limited")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.is_waiting = True
        self.is_withdrawn = False
        """Whether its owner wants it no longer."""
        self.limited: str | None = None
        """What held permits back when its deadline passed."""
        self._event: anyio.Event | None = None
        self._alarm: anyio.CancelScope | None = None

    def end(self) -> None:
        """Wait no longer."""
        self.is_waiting = False
        self.wake()

    def wake(self) -> None:
        """Let the task that waits look around."""
        if self._alarm is not None:
            self._alarm.cancel()
        elif self._event is not None:
            self._event.set()

    async def doze(self) -> None:
        """Wait until woken."""
        self._event = anyio.Event()
        await self._event.wait()

    async def sleep(self, clock: Clock, seconds: float) -> None:
        """Wait until woken, at most so long."""
        with anyio.CancelScope() as alarm:
            self._alarm = alarm
            try:
                await clock.sleep(seconds)
            finally:
                self._alarm = None


class Timekeeper:
    """Lets those who wait wake up, and things happen in time.

    Args:
        clock: Where time comes from.
        act: Lets everything happen that is due at a time; returns how many attempts are in flight.
    """

    def __init__(self, clock: Clock, act: Callable[[float], int]) -> None:
        self._clock = clock
        self._act = act
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()
        """Those who wait, the last to have come at the end."""
        self._keeper: Waiter | None = None
        # When the keeper wakes up; while it is awake there is no need to wake it.
        self._wakes_at = -math.inf
        self._alarms: list[tuple[float, int, Gate]] = []
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._order = count()

    def join(self, waiter: Waiter) -> None:
        """Add one who waits."""
        self.waiters[waiter] = None
        deadline = waiter.claim.deadline
        if deadline < math.inf:
            if len(self._deadlines) > 2 * len(self.waiters) + SPARE:
                self._deadlines[:] = [each for each in self._deadlines if each[2].is_waiting]
                heapq.heapify(self._deadlines)
            heapq.heappush(self._deadlines, (deadline, next(self._order), waiter))

    def end(self, waiter: Waiter) -> None:
        """Remove one, who has what it waited for, or gives up."""
        del self.waiters[waiter]
        waiter.end()

    def set_alarm(self, gate: Gate, at: float) -> None:
        """See to it that a gate is looked at in time; once, if that is asked for several times."""
        # A rate rises as it is used, so each look finds its next token a little earlier.
        if at < gate.alarm_at - NEAR:
            gate.alarm_at = at
            heapq.heappush(self._alarms, (at, next(self._order), gate))

    def due(self, now: float) -> Iterator[Gate]:
        """Return the gates whose time has come, each once."""
        alarms = self._alarms
        while alarms and alarms[0][0] <= now:
            at, _, gate = heapq.heappop(alarms)
            # An alarm that was set for earlier since has replaced this one.
            if gate.alarm_at == at:
                gate.alarm_at = math.inf
                yield gate

    def expired(self, now: float) -> Iterator[Waiter]:
        """Return those who wait although their deadline has passed."""
        deadlines = self._deadlines
        while deadlines and deadlines[0][0] <= now:
            waiter = heapq.heappop(deadlines)[2]
            if waiter.is_waiting:
                yield waiter

    async def wait(self, waiter: Waiter) -> None:
        """Wait until `end`, and keep the time meanwhile if nobody else does."""
        self.appoint()
        while waiter.is_waiting:
            if self._keeper is waiter:
                await self._keep(waiter)
            else:
                await waiter.doze()

    def relieve(self, waiter: Waiter) -> None:
        """Let somebody else keep the time, if this one did, who does not wait any more."""
        if self._keeper is waiter:
            self._keeper, self._wakes_at = None, -math.inf
            self.appoint()

    def appoint(self) -> None:
        """See to it that somebody who waits wakes up in time, if anything depends on time."""
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
