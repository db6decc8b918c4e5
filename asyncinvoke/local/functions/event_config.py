"""The retries and destinations of one function's Events."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from asyncinvoke.local.numbers import number, shown, whole_number

Destination: TypeAlias = Callable[[dict[str, Any]], Any] | str | Path
"""The recipient of a record: a sync or async callable, or a file to append a JSON line to."""

MAX_RETRY_ATTEMPTS = 2
"""The maximum number of retries after a function error (AWS's quota and default)."""

AGE_RANGE = (60, 21_600)
"""The allowed range of an Event's maximum age, in seconds (the upper bound is AWS's default)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventConfig:
    """Retries and destinations of a function's Events. Times are in seconds of AWS's queue.

    `LocalLambda(event_time_scale=...)` scales them all. A callable destination is called on the
    endpoint's loop, so a sync one should not block; its exceptions are logged.

    Raises:
        ValueError: A value is out of range, or a destination's directory does not exist.
    """

    maximum_retry_attempts: int = MAX_RETRY_ATTEMPTS
    """Retries after a function error, 0 to 2."""
    maximum_event_age: float = AGE_RANGE[1]
    """Seconds after which an Event that has not succeeded is dropped, 60 to 21,600."""
    retry_delays: tuple[float, float] = (60.0, 120.0)
    """Seconds before the first and the second retry (documented by AWS as about 1 and 2 minutes)."""
    on_success: Destination | None = None
    """The destination for records of Events that succeeded."""
    on_failure: Destination | None = None
    """The destination for records of Events that were given up."""
    dead_letter: Destination | None = None
    """The destination for payloads of Events that were given up, as SQS messages."""

    def __post_init__(self) -> None:
        """Check every value."""
        attempts = self.maximum_retry_attempts
        whole_number("maximum_retry_attempts", attempts, most=MAX_RETRY_ATTEMPTS)
        least, most = AGE_RANGE
        age, rule = self.maximum_event_age, f"{least} to {most} seconds"
        number("maximum_event_age", age, lambda seconds: least <= seconds <= most, rule)
        delays, rule = self.retry_delays, "two times in seconds"
        if not isinstance(delays, Sequence) or len(delays) != MAX_RETRY_ATTEMPTS:
            raise ValueError(f"retry_delays={shown(delays)} must be {rule}")
        for delay in delays:
            number("retry_delays", delay, lambda seconds: 0 <= seconds < math.inf, rule)
        for name in ("on_success", "on_failure", "dead_letter"):
            destination = getattr(self, name)
            if destination is None or callable(destination):
                continue
            if not isinstance(destination, str | os.PathLike):
                raise ValueError(f"{name}={shown(destination)} must be a callable or a path")  # noqa: TRY004  # as for any invalid value
            if not Path(destination).parent.is_dir():
                raise ValueError(f"{name}={str(destination)!r} is in no directory that exists")
