"""What the endpoint counts, and the frozen snapshot that it hands out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from asyncinvoke.model.throttling import ThrottleReason


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


@dataclass(slots=True)
class Counters:
    """The live numbers behind a snapshot."""

    invocations: int = 0
    executions: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    throttles: Counter[str] = field(default_factory=Counter)
    function_errors: int = 0
    cold_starts: int = 0
    faults: int = 0
    events_waiting: int = 0
    events_dropped: int = 0

    def started(self) -> None:
        """Count a handler run that begins."""
        self.executions += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def throttled(self, reason: ThrottleReason) -> None:
        """Count a request that was answered with 429."""
        self.throttles[reason.value] += 1

    def snapshot(self) -> FunctionStatistics:
        """Freeze the numbers of one function."""
        return FunctionStatistics(**self._values())

    def total(self, functions: Mapping[str, "Counters"]) -> LocalStatistics:
        """Freeze the numbers of the whole endpoint."""
        parts = {name: counters.snapshot() for name, counters in functions.items()}
        return LocalStatistics(**self._values(), functions=MappingProxyType(parts))

    def _values(self) -> dict[str, Any]:
        return {
            "invocations": self.invocations,
            "executions": self.executions,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "throttles": MappingProxyType(dict(self.throttles)),
            "function_errors": self.function_errors,
            "cold_starts": self.cold_starts,
            "faults": self.faults,
            "events_waiting": self.events_waiting,
            "events_dropped": self.events_dropped,
        }
