"""What the endpoint counts, and the frozen snapshot that it hands out."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStatistics:
    """What happened to one function since the endpoint was made."""

    invocations: int
    """Invoke requests that arrived whole, whatever was answered, and those that met a fault: one
    delivery each."""
    executions: int
    """Handler runs that were started."""
    in_flight: int
    """Handler runs that are going on now."""
    peak_in_flight: int
    """The most handler runs that went on at once."""
    throttles: Mapping[str, int]
    """Requests that the endpoint throttled, by `Reason`; those that met a fault are in `faults`."""
    function_errors: int
    """Handler runs that ended in a function error, timeouts and dead processes included."""
    cold_starts: int
    """Worker processes that were started. In-process handlers have none."""
    faults: int
    """Requests that met a fault of `LocalLambda.fault`."""
    events_waiting: int
    """Events in the queue now that wait for a permit or for their next run."""
    events_dropped: int
    """Accepted Events that had not ended when the endpoint was closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStatistics(FunctionStatistics):
    """The same for all functions together, requests for unknown functions included."""

    functions: Mapping[str, FunctionStatistics]
    """The numbers of each registered function, by name."""
