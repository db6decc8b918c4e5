"""When a map stops because nothing can be sent: a decision on values, made for each failure."""

from asyncinvoke._model.text import in_one_line
from asyncinvoke._retries.policy import LONGEST_OUTAGE
from asyncinvoke.errors import AsyncInvokeError, GaveUp, TransportError

LONGEST_REASON = 320
"""The maximum length of the reason in the message, in characters."""


def outlasted(error: AsyncInvokeError) -> str | None:
    """Return why a map should end, if it outlasted an outage; `None` if it did not.

    All requests of a map go to one endpoint. If nothing could be sent to it for as long as
    `RetryPolicy.batch()` waits out an outage, every further item would only end in the same way. A
    policy that gives up sooner says nothing about the items that follow.

    Args:
        error: How an item failed.
    """
    if not isinstance(error, TransportError) or error.gave_up is not GaveUp.ATTEMPTS:
        return None
    outage = error._outage  # noqa: SLF001  # not for users, whose `elapsed` is that of the item
    if outage < LONGEST_OUTAGE:
        return None
    reason = in_one_line(error.message or str(error.code), LONGEST_REASON)
    return f"nothing could be sent for {outage // 60:.0f} minutes: {reason}"
