"""Counters of what a map has done, and the snapshot made of them."""

from dataclasses import dataclass

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._model.failure import FailureKind


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStatistics:
    """A moment of a map."""

    concurrency: int
    """How many items may be worked upon at once."""

    read: int
    """Items taken from the input."""

    working: int
    """Items that were read and have no outcome yet: in flight, or waiting for a worker, a permit or
    a backoff."""

    succeeded: int
    """Outcomes that are `ok`."""

    failed: int
    """Outcomes that are not."""

    buffered: int
    """Outcomes that the consumer has not taken yet."""

    attempts: int
    """Attempts of the items that have their outcome."""

    throttled: int
    """Those of them that were throttled."""

    waiting_for: str | None
    """What holds the run back, in words: the consumer, the input, or a limit. `None` for nothing
    but the work itself."""


class MapTally:
    """Counts outcomes; added to by a map, read by `MapRun.statistics()`."""

    __slots__ = ("attempts", "failed", "read", "succeeded", "throttled")

    def __init__(self) -> None:
        self.read = 0
        self.succeeded = 0
        self.failed = 0
        self.attempts = 0
        self.throttled = 0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome and its attempts."""
        if outcome.error is None:
            self.succeeded += 1
        else:
            self.failed += 1
        for attempt in outcome.attempts:
            self.attempts += 1
            self.throttled += attempt.kind is FailureKind.THROTTLED
