"""The live numbers behind `statistics()`: those of each function, and those of all together."""

from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke.local.statistics import FunctionStatistics, LocalStatistics


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
        return FunctionStatistics(**self.values())

    def values(self) -> dict[str, Any]:
        """Return the numbers by name, as they are now."""
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


class Tally:
    """Counts everything twice: for its function, and in total. Unknown functions count in total."""

    def __init__(self) -> None:
        self._total = Counters()
        self._of: dict[str, Counters] = {}

    def know(self, name: str) -> None:
        """Count for a function; one that was deleted and made again goes on with its numbers."""
        self._of.setdefault(name, Counters())

    def of(self, name: str) -> tuple[Counters, ...]:
        """Return the numbers that something about a function counts in."""
        of_function = self._of.get(name)
        return (self._total,) if of_function is None else (self._total, of_function)

    def statistics(self) -> LocalStatistics:
        """Freeze the numbers."""
        parts = {name: counters.snapshot() for name, counters in self._of.items()}
        return LocalStatistics(**self._total.values(), functions=MappingProxyType(parts))
