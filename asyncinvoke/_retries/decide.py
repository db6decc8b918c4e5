"""Whether a failed execution is retried, and after how long."""

import inspect
import math
from typing import SupportsFloat

from tenacity import AsyncRetrying, Future, RetryCallState

from asyncinvoke._limits.rate import FORGOTTEN
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import FailureKind
from asyncinvoke._retries.classify import Verdict
from asyncinvoke._retries.policy import Backoff, Balance, RetryPolicy
from asyncinvoke.errors import ConfigurationError, GaveUp, InvocationError


class Retries:
    """The retry decisions of one execution; created when its first attempt has failed.

    It holds a separate tenacity state for each kind of failure (and one for requests not sent, if
    the policy has a backoff for those), since throttles must not use up the attempts of other
    kinds. It never sleeps and never reads a clock.
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
            deadline: The deadline, on the clock used for `decide`; `math.inf` for none.
            balance: The function's balance of its retry budget, if it has one.
        """
        self._policy = policy
        self._repeatable = repeatable
        self._deadline = deadline
        self._balance = balance
        self._states: dict[tuple[FailureKind, bool], RetryCallState] = {}

    def decide(self, verdict: Verdict, error: InvocationError, *, now: float) -> float | GaveUp:
        """Decide about one more failure.

        Returns:
            The number of seconds to wait before the next attempt, or why there is none.
        """
        backoff = backoff_for(self._policy, verdict)
        if backoff is None or not (backoff.when is None or _plain("when", backoff.when(error))):
            return GaveUp.NOT_RETRYABLE
        if verdict.delivery is Delivery.UNKNOWN and not self._repeatable:
            return GaveUp.DELIVERY_UNKNOWN
        state = self._state((verdict.kind, backoff is self._policy.not_sent), backoff, now)
        if verdict.outage_began is not None:
            # With many items, each is tried now and then: their times would begin one by one.
            state.start_time = min(_start(state, now), verdict.outage_began)
        state.outcome = Future(state.attempt_number)
        state.outcome.set_exception(error)
        state.outcome_timestamp = now
        hint = min(verdict.retry_after or 0.0, self._policy.max_retry_after)
        # `max(hint, nan)` is the hint; `max(nan, hint)` would be NaN.
        wait = backoff.wait(state)
        delay = max(float(hint), wait if type(wait) is float else _seconds(wait))
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
            # The error's traceback will refer to the owner of this state: a reference cycle.
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


def backoff_for(policy: RetryPolicy, verdict: Verdict) -> Backoff | None:
    """Return a policy's backoff for a failed attempt, if it has one."""
    if (
        verdict.kind is FailureKind.TRANSPORT
        and verdict.delivery is Delivery.NOT_SENT
        and policy.not_sent is not None
    ):
        return policy.not_sent
    backoff: Backoff | None = getattr(policy, verdict.kind)
    return backoff


def _start(state: RetryCallState, now: float) -> float:
    """Return since when an execution could not be sent: an earlier outage does not count."""
    last = state.outcome_timestamp
    return state.start_time if last is None or now <= last + FORGOTTEN else now


def _plain(name: str, result: object) -> object:
    """Validate the result of a strategy: a coroutine, for example, would always count as true.

    Raises:
        ConfigurationError: It is a coroutine, as from a lambda that calls an `async def`.
    """
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()  # avoids the warning about a coroutine that was never awaited
        raise ConfigurationError(
            f"Backoff({name}=...) gave a {type(result).__name__}: it is called, not awaited"
        )
    return result


def _seconds(result: object) -> float:
    """Return the wait computed by a strategy.

    Raises:
        ConfigurationError: It is not a number.
    """
    result = _plain("wait", result)
    if not isinstance(result, SupportsFloat):
        raise ConfigurationError(
            f"Backoff(wait=...) gave a {type(result).__name__}: it must give a number of seconds"
        )
    try:
        return float(result)
    except OverflowError:  # an integer too large for a float
        return math.inf
