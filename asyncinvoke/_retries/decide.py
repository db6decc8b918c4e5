"""Whether a failed execution is retried, and after how long."""

import inspect
import math
from typing import SupportsFloat

from tenacity import AsyncRetrying, Future, RetryCallState

from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import FailureKind
from asyncinvoke._retries.classify import Verdict
from asyncinvoke._retries.policy import Backoff, Balance, RetryPolicy
from asyncinvoke.errors import ConfigurationError, GaveUp, InvocationError


class Retries:
    """The retry decisions of one execution; made when its first attempt has failed.

    Holds one fresh tenacity state for each kind of failure (and one for what was not sent, if that
    has a backoff of its own), since throttles must not use up the attempts of anything else. Never
    sleeps and never reads a clock.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        repeatable: bool,
        deadline: float,
        balance: Balance | None,
    ) -> None:
        """Start deciding.

        Args:
            policy: The backoff of each kind.
            repeatable: Whether running the function twice is harmless.
            deadline: When it must have ended, on the clock that `decide` is given; `math.inf` for never.
            balance: What the function has left of its retry budget, if it has one.
        """
        self._policy = policy
        self._repeatable = repeatable
        self._deadline = deadline
        self._balance = balance
        self._states: dict[tuple[FailureKind, bool], RetryCallState] = {}

    def decide(self, verdict: Verdict, error: InvocationError, *, now: float) -> float | GaveUp:
        """Judge one more failure.

        Returns:
            How many seconds to wait before the next attempt, or why there is none.
        """
        backoff = self._policy.backoff(verdict)
        if backoff is None or not (backoff.when is None or _plain("when", backoff.when(error))):
            return GaveUp.NOT_RETRYABLE
        if verdict.delivery is Delivery.UNKNOWN and not self._repeatable:
            return GaveUp.DELIVERY_UNKNOWN
        state = self._state((verdict.kind, backoff is self._policy.not_sent), backoff, now)
        state.outcome = Future(state.attempt_number)
        state.outcome.set_exception(error)
        state.outcome_timestamp = now
        hint = min(verdict.retry_after or 0.0, self._policy.max_retry_after)
        # `max(hint, nan)` is the hint; `max(nan, hint)` would be NaN.
        delay = max(float(hint), _seconds(backoff.wait(state)))
        state.upcoming_sleep = delay
        try:
            if _plain("stop", backoff.stop(state)) or delay == math.inf:
                return GaveUp.ATTEMPTS
            if now + delay >= self._deadline:
                return GaveUp.DEADLINE
            # Last, since it spends.
            if self._balance is not None and not self._balance.spend(now=now):
                return GaveUp.BUDGET
        finally:
            # The error's traceback will lead to whoever holds this state: a circle.
            state.outcome = None
        state.idle_for += delay
        state.attempt_number += 1
        return delay

    def _state(self, key: tuple[FailureKind, bool], backoff: Backoff, now: float) -> RetryCallState:
        state = self._states.get(key)
        if state is None:
            retrying = AsyncRetrying(wait=backoff.wait, stop=backoff.stop)
            state = RetryCallState(retrying, fn=None, args=(), kwargs={})
            state.start_time = now
            self._states[key] = state
        return state


def _plain(name: str, said: object) -> object:
    """Return what a strategy said, if it said something: a coroutine would count as true for ever.

    Raises:
        ConfigurationError: It is one, as of a lambda that calls an `async def`.
    """
    if inspect.isawaitable(said):
        if inspect.iscoroutine(said):
            said.close()  # or Python would complain that nobody awaited it
        raise ConfigurationError(
            f"Backoff({name}=...) gave a {type(said).__name__}: it is called, not awaited"
        )
    return said


def _seconds(said: object) -> float:
    """Return the wait that a strategy said.

    Raises:
        ConfigurationError: It is no number.
    """
    said = _plain("wait", said)
    if not isinstance(said, SupportsFloat):
        raise ConfigurationError(
            f"Backoff(wait=...) gave a {type(said).__name__}: it must give a number of seconds"
        )
    try:
        return float(said)
    except OverflowError:  # an integer beyond every float
        return math.inf
