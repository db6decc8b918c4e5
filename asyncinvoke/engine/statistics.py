"""A snapshot of what an invoker is doing and has done."""

from collections.abc import Mapping
from dataclasses import dataclass

from asyncinvoke.model.throttling import ThrottleReason


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokerStatistics:
    """A moment of an invoker, with its counts since it was opened."""

    limit: int
    """How many attempts may be in flight."""

    in_flight: int
    """Attempts that are on the wire."""

    waiting: int
    """Executions that wait for a permit; those in backoff hold none and are not counted."""

    executions: int
    """Calls that were started."""

    attempts: int
    """Attempts that were started."""

    retries: int
    """Those of them that were not the first of their execution."""

    throttles: Mapping[ThrottleReason, int]
    """Attempts that were throttled, by reason."""
