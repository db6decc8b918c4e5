"""How the Event queue treats the Events of one function."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from asyncinvoke.local.numbers import whole_number

Destination: TypeAlias = Callable[[dict[str, Any]], Any] | str | Path
"""Who gets a record: a callable, sync or async, or a file that one JSON line is added to."""

MAX_RETRY_ATTEMPTS = 2
"""Most further runs after a function error (AWS's quota, and its default)."""

AGE_RANGE = (60, 21_600)
"""Least and most maximum age of an Event, in seconds (AWS's quota; the most is its default)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventConfig:
    """How a function's Events are run. Times are in AWS's seconds.

    `LocalLambda(event_time_scale=...)` shortens them all. A callable destination is called on the
    endpoint's loop, so a sync one should not block; what it raises is logged.

    Raises:
        ValueError: A value is out of range, or a destination's directory does not exist.
    """

    maximum_retry_attempts: int = MAX_RETRY_ATTEMPTS
    """Further runs after a function error, 0 to 2."""
    maximum_event_age: float = AGE_RANGE[1]
    """Seconds after which an Event that has not succeeded is given up, 60 to 21,600."""
    retry_delays: tuple[float, float] = (60.0, 120.0)
    """Seconds before the second and the third run (AWS's documentation: about 1 and 2 minutes)."""
    on_success: Destination | None = None
    """Who gets the record of each Event that succeeded."""
    on_failure: Destination | None = None
    """Who gets the record of each Event that was given up."""
    dead_letter: Destination | None = None
    """Who gets the payload of each Event that was given up, as a message of an SQS queue."""

    def __post_init__(self) -> None:
        """Check every value."""
        attempts = self.maximum_retry_attempts
        whole_number("maximum_retry_attempts", attempts, most=MAX_RETRY_ATTEMPTS)
        least, most = AGE_RANGE
        if not least <= self.maximum_event_age <= most:
            raise ValueError(
                f"maximum_event_age={self.maximum_event_age!r} must be {least} to {most} seconds"
            )
        if len(self.retry_delays) != MAX_RETRY_ATTEMPTS or not all(
            0 <= delay < math.inf for delay in self.retry_delays
        ):
            raise ValueError(f"retry_delays={self.retry_delays!r} must be two times in seconds")
        for name in ("on_success", "on_failure", "dead_letter"):
            destination = getattr(self, name)
            if destination is None or callable(destination):
                continue
            if not Path(destination).parent.is_dir():
                raise ValueError(f"{name}={str(destination)!r} is in no directory that exists")
