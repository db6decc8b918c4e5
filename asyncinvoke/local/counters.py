"""The endpoint's counters: live, per function and in total, and frozen for `statistics()`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from asyncinvoke._model.failure import ThrottleReason


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
class _Live:
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

    def values(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"throttles": MappingProxyType(dict(self.throttles))}


class Counters:
    """Counts everything twice: for its function, and in total. Unknown functions count in total."""

    def __init__(self) -> None:
        self._total = _Live()
        self._functions: dict[str, _Live] = {}

    def register(self, name: str) -> None:
        """Count for a function; one that was deleted and made again goes on with its numbers."""
        self._functions.setdefault(name, _Live())

    def add(self, name: str, **changes: int) -> None:
        """Change numbers of a function, and of all together.

        Args:
            name: The function.
            **changes: By how much each number changes, by its name in `FunctionStatistics`.
        """
        for live in self._of(name):
            for number, change in changes.items():
                setattr(live, number, getattr(live, number) + change)
            if live.in_flight > live.peak_in_flight:  # as `max`, at a third of its price
                live.peak_in_flight = live.in_flight

    def throttled(self, name: str, reason: ThrottleReason) -> None:
        """Count a request that was answered with 429."""
        for live in self._of(name):
            live.throttles[reason.value] += 1

    def statistics(self) -> LocalStatistics:
        """Return a frozen snapshot."""
        functions = {
            name: FunctionStatistics(**live.values()) for name, live in self._functions.items()
        }
        return LocalStatistics(**self._total.values(), functions=MappingProxyType(functions))

    def _of(self, name: str) -> tuple[_Live, ...]:
        """Return the counters to increment: the total and, if registered, the function's own."""
        of_function = self._functions.get(name)
        return (self._total,) if of_function is None else (self._total, of_function)
