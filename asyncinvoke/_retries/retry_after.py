"""How long the service asks to wait: the `Retry-After` headers."""

import math
from datetime import UTC


def parse_retry_after(
    retry_after: str | None, amz_retry_after: str | None, *, now: float
) -> float | None:
    """Read both headers; the longer wait counts, and junk is ignored.

    Args:
        retry_after: `Retry-After`: seconds, fractions allowed, or an HTTP date.
        amz_retry_after: `x-amz-retry-after`: milliseconds.
        now: Seconds since the epoch, for a date.

    Returns:
        Seconds to wait, at least 0, or `None` if neither header says anything.
    """
    milliseconds = _number(amz_retry_after)
    hints = [
        hint
        for hint in (
            _seconds(retry_after, now),
            None if milliseconds is None else milliseconds / 1000,
        )
        if hint is not None
    ]
    return max(hints, default=None)


def _seconds(value: str | None, now: float) -> float | None:
    number = _number(value)
    if number is not None or value is None:
        return number
    # A date is rare, and its parser takes a tenth of the time that all of asyncinvoke does to import.
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(value)
        # An HTTP date is in Greenwich time, also in the old forms that do not say so.
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    except (ValueError, OverflowError, TypeError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
