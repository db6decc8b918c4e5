"""When a map stops because nothing can be sent: a decision on values, made for each outcome."""

from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.text import in_one_line
from asyncinvoke._retries.policy import LONGEST_OUTAGE
from asyncinvoke.errors import AsyncInvokeError, GaveUp, InvocationError, TransportError

LONGEST_REASON = 320
"""The maximum length of the reason in the message, in characters."""


class Outage:
    """Detects that an item was retried for a whole outage, and that nothing arrived meanwhile.

    All requests of a map go to one endpoint. If it could not be reached for as long as
    `RetryPolicy.batch()` waits out an outage, every further item would take as long, only to end in
    the same way. A policy that gives up sooner says nothing about the items that follow.
    """

    def __init__(self) -> None:
        self._arrived = 0
        self._arrived_before: dict[int, int] = {}

    def begin(self, index: int) -> None:
        """Record that an item is being sent."""
        self._arrived_before[index] = self._arrived

    def end(self, index: int, error: AsyncInvokeError | None) -> str | None:
        """Record how an item ended; return why the run should end, if it should."""
        before = self._arrived_before.pop(index, None)
        if before is None:
            return None
        if error is None or (
            isinstance(error, InvocationError) and error.delivery is not Delivery.NOT_SENT
        ):
            self._arrived += 1
            return None
        if not isinstance(error, TransportError) or error.gave_up is not GaveUp.ATTEMPTS:
            return None
        # The wait for the first permit is no outage.
        lasted = error.elapsed - sum(each.waited for each in error.attempts[:1])
        if before != self._arrived or lasted < LONGEST_OUTAGE:
            return None
        reason = in_one_line(error.message or str(error.code), LONGEST_REASON)
        return f"nothing could be sent for {lasted // 60:.0f} minutes: {reason}"
