"""The pace of a run and its bottleneck: decided from counts. Knows no clock."""

from collections import Counter, deque
from dataclasses import dataclass

from asyncinvoke import InvokerStatistics, ThrottleReason, ThrottleScope
from asyncinvoke.cli.map.progress import counted

WINDOW = 5.0
"""Seconds over which the current rate is measured."""

CHANGE = 0.25
"""The relative change of the concurrency limit that starts a new pace. While it is being searched,
the limit changes slightly all the time."""

SETTLED = 2.0
"""Seconds until a new pace is trusted."""

REMEMBERED = 2.0
"""Seconds for which a bottleneck is shown after it was last seen."""

OWN_LIMIT = "the limit is "
"""The beginning of the text for a run that is only limited by its own concurrency."""


class Pace:
    """Outcomes per second: recently, and since the concurrency limit last changed."""

    def __init__(self) -> None:
        self._seen = deque([(0.0, 0)])
        self._since = (0.0, 0)
        self._allowed = 0

    def at(self, elapsed: float, done: int, allowed: int) -> tuple[float, float]:
        """Record the progress at one time, and return the rates.

        Args:
            elapsed: Seconds since the run began.
            done: The number of outcomes of this session.
            allowed: The concurrency limit.

        Returns:
            The recent rate, and the rate expected for the rest.
        """
        if done < self._seen[-1][1]:  # items that had ended run again
            self._seen, self._since = deque([(elapsed, done)]), (elapsed, done)
        self._seen.append((elapsed, done))
        while len(self._seen) > 2 and elapsed - self._seen[0][0] > WINDOW:
            self._seen.popleft()
        late = _rate(self._seen[0], elapsed, done)
        if abs(allowed - self._allowed) > CHANGE * self._allowed:
            self._since, self._allowed = (elapsed, done), allowed
        if elapsed - self._since[0] < SETTLED:
            return late, late
        return late, _rate(self._since, elapsed, done)


class HeldBack:
    """The bottleneck of a run, kept long enough to be read."""

    def __init__(self) -> None:
        self._said: str | None = None
        self._at = 0.0

    def at(self, elapsed: float, waiting_for: str | None) -> str | None:
        """Record what a run waits for now, if anything; return what to show."""
        if _is_bottleneck(waiting_for):
            self._said, self._at = waiting_for, elapsed
        elif elapsed - self._at > REMEMBERED:
            self._said = None
        return self._said


def _is_bottleneck(waiting_for: str | None) -> bool:
    """Return whether a run waits for something other than its own limit."""
    return waiting_for is not None and not waiting_for.startswith(OWN_LIMIT)


def _rate(since: tuple[float, int], elapsed: float, done: int) -> float:
    began, before = since
    return (done - before) / (elapsed - began) if elapsed > began else 0.0


PATIENCE = 3.0
"""Seconds without progress until a message is shown."""

INTERVAL = 0.5
"""Seconds between two checks. An attempt that is in flight at two of them was admitted."""

_SEEN = 2 * INTERVAL
"""The most seconds without progress that one check proves. While the process was suspended, or its event
loop was blocked, answers may have come that are about to be read."""

SAID_AGAIN = 60.0
"""Seconds until the same message is shown for another episode."""

_MEANING = {
    ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED: "the account's concurrency is used up",
    ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED: (
        "the function's reserved concurrency is used up, or is zero"
    ),
    ThrottleReason.FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED: (
        "the function gets too many requests a second"
    ),
    ThrottleReason.RESERVED_FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED: (
        "the function gets too many requests a second for its reserved concurrency"
    ),
    ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED: "this caller sends too many requests a second",
    ThrottleReason.CONCURRENT_SNAPSHOT_CREATE_LIMIT_EXCEEDED: (
        "too many SnapStart snapshots are being made"
    ),
    ThrottleReason.UNKNOWN: "calls are throttled, with no reason given",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The state of a run at one time."""

    elapsed: float
    """Seconds since the run began."""

    working: int
    """Lines in progress."""

    done: int
    """Outcomes so far."""

    statistics: InvokerStatistics
    """The statistics of the invoker."""

    recorded: int = 0
    """Lines found to have ended in earlier sessions so far."""

    waiting_for: str | None = None
    """What the run waits for, if known."""


class Watch:
    """Reports, once per episode, that nothing is admitted."""

    def __init__(self) -> None:
        self._held_back: str | None = None
        self._last: RunState | None = None
        self._alive: RunState | None = None
        self._quiet = 0.0
        self._is_said = False
        self._said: tuple[str, float] = ("", -SAID_AGAIN)

    def check(self, now: RunState) -> str | None:
        """Compare with the previous state; return a message if nothing has been admitted for long."""
        last, self._last = self._last, now
        if last is None or self._alive is None or _is_alive(last, now):
            self._alive, self._is_said, self._held_back, self._quiet = now, False, None, 0.0
            return None
        if _is_bottleneck(now.waiting_for):
            self._held_back = now.waiting_for
        self._quiet += min(now.elapsed - last.elapsed, _SEEN)
        if self._is_said or self._quiet < PATIENCE:
            return None
        self._is_said = True
        quiet = now.elapsed - self._alive.elapsed
        why = _why(self._alive.statistics, now.statistics, self._held_back)
        said, at = self._said
        if why == said and now.elapsed - at < SAID_AGAIN:
            return None
        self._said = (why, now.elapsed)
        return f"waiting: nothing was admitted for {quiet:.0f} s: {why}; Ctrl-C stops the run"


def _is_alive(last: RunState, now: RunState) -> bool:
    before, after = last.statistics, now.statistics
    connected = after.in_flight - sum(after.connecting.values())
    stayed_in_flight = connected > 0 and after.attempts == before.attempts
    moved = (now.done, now.recorded) != (last.done, last.recorded)
    return not now.working or moved or stayed_in_flight


def _why(before: InvokerStatistics, now: InvokerStatistics, held_back: str | None) -> str:
    if held_back is not None and _is_unreachable(now):
        return held_back
    throttled = Counter(dict(now.throttles))
    throttled.subtract(before.throttles)
    reason, count = max(throttled.items(), key=lambda item: item[1], default=(None, 0))
    if reason is not None and count > 0:
        return f"{_MEANING[reason]} ({reason})"
    if now.connecting:
        return no_connection(now)
    if held_back is not None:
        return held_back
    failed = now.attempts - before.attempts
    if failed > 0:
        return f"{counted(failed, 'attempt')} failed and will be retried"
    return "every line is waiting for its next attempt"


def _is_unreachable(now: InvokerStatistics) -> bool:
    """Return whether nothing can be sent: only then is the caller as a whole paused."""
    return any(scope.pause for scope in now.scopes if scope.scope is ThrottleScope.CALLER)


def no_connection(now: InvokerStatistics) -> str:
    """Return the text for attempts that have no connection yet."""
    return f"no connection to {', '.join(sorted(now.connecting))} yet"
