"""The endpoint's counters: live, per function and in total, and frozen for `statistics()`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncinvoke._model.failure import ThrottleReason


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStatistics:
    """The counters of one function since the endpoint was created."""

    invocations: int
    """Invoke requests received completely, with any result, and those replaced by a fault. Each is
    one delivery."""
    executions: int
    """Executions started."""
    in_flight: int
    """Executions running now."""
    peak_in_flight: int
    """The maximum number of concurrent executions."""
    throttles: Mapping[str, int]
    """Requests throttled by the endpoint, by `Reason`; injected throttles count in `faults`."""
    function_errors: int
    """Executions that ended in a function error, including timeouts and crashed processes."""
    cold_starts: int
    """Worker processes started. In-process handlers have none."""
    faults: int
    """Requests to which a fault of `LocalLambda.fault` was applied."""
    events_waiting: int
    """Queued Events waiting for concurrency or for their next run."""
    events_dropped: int
    """Accepted Events that were unfinished when the endpoint closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStatistics(FunctionStatistics):
    """The totals of all functions, including requests for unknown functions."""

    functions: Mapping[str, FunctionStatistics]
    """The counters of each registered function, by name."""


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
        return values | {"throttles": dict(self.throttles)}


class Counters:
    """Counts everything twice: for its function, and in total. Unknown functions count in total."""

    def __init__(self) -> None:
        self._total = _Live()
        self._functions: dict[str, _Live] = {}

    def register(self, name: str) -> None:
        """Add a function; one that is deleted and recreated keeps its counters."""
        self._functions.setdefault(name, _Live())

    def add(self, name: str, **changes: int) -> None:
        """Change counters of a function, and of the total.

        Args:
            name: The function.
            **changes: The change of each counter, by its name in `FunctionStatistics`.
        """
        for live in self._of(name):
            for number, change in changes.items():
                setattr(live, number, getattr(live, number) + change)
            if live.in_flight > live.peak_in_flight:  # three times faster than `max`
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
        return LocalStatistics(**self._total.values(), functions=functions)

    def _of(self, name: str) -> tuple[_Live, ...]:
        """Return the counters to increment: the total and, if registered, the function's own."""
        of_function = self._functions.get(name)
        return (self._total,) if of_function is None else (self._total, of_function)
