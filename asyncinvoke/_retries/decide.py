"""Whether a failed execution is tried again, and after how long."""

from dataclasses import dataclass

from tenacity import AsyncRetrying, Future, RetryCallState

from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import FailureKind
from asyncinvoke._retries.budget import Balance
from asyncinvoke._retries.classify import Verdict
from asyncinvoke._retries.policy import Backoff, RetryPolicy
from asyncinvoke.errors import GaveUp, InvocationError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAfter:
    """Try again."""

    delay: float
    """After this many seconds."""


class Retries:
    """The retry decisions of one execution; made when its first attempt has failed.

    Holds one fresh tenacity state for each kind of failure, since throttles must not use up the
    attempts of anything else. Never sleeps and never reads a clock.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        repeatable: bool,
        started: float,
        deadline: float | None,
        balance: Balance | None,
    ) -> None:
        """Start deciding.

        Args:
            policy: The backoff of each kind.
            repeatable: Whether running the function twice is harmless.
            started: When the execution began, on the clock that `decide` is given.
            deadline: When it must have ended, on the same clock; `None` for never.
            balance: What the function has left of its retry budget, if it has one.
        """
        self._policy = policy
        self._repeatable = repeatable
        self._started = started
        self._deadline = deadline
        self._balance = balance
        self._states: dict[FailureKind, RetryCallState] = {}

    def decide(
        self, verdict: Verdict, error: InvocationError, *, now: float
    ) -> RetryAfter | GaveUp:
        """Judge one more failure: wait and try again, or give up for the reason returned."""
        backoff = self._policy.backoff(verdict.kind)
        if backoff is None or not (backoff.when is None or backoff.when(error)):
            return GaveUp.NOT_RETRYABLE
        if verdict.delivery is Delivery.UNKNOWN and not self._repeatable:
            return GaveUp.DELIVERY_UNKNOWN
        state = self._state(verdict.kind, backoff)
        state.outcome = Future(state.attempt_number)
        state.outcome.set_exception(error)
        state.outcome_timestamp = now
        hint = min(verdict.retry_after or 0.0, self._policy.max_retry_after)
        # In this order, `max` turns a wait that is no number into the hint.
        delay = max(hint, float(backoff.wait(state)))
        state.upcoming_sleep = delay
        if backoff.stop(state):
            return GaveUp.ATTEMPTS
        if self._deadline is not None and now + delay >= self._deadline:
            return GaveUp.DEADLINE
        # Last, since it spends.
        if self._balance is not None and not self._balance.spend(now=now):
            return GaveUp.BUDGET
        state.idle_for += delay
        state.attempt_number += 1
        return RetryAfter(delay=delay)

    def _state(self, kind: FailureKind, backoff: Backoff) -> RetryCallState:
        state = self._states.get(kind)
        if state is None:
            retrying = AsyncRetrying(wait=backoff.wait, stop=backoff.stop)
            state = RetryCallState(retrying, fn=None, args=(), kwargs={})
            state.start_time = self._started
            self._states[kind] = state
        return state
