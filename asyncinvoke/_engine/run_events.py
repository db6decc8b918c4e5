"""The events of one run for hooks: its start, samples while outcomes arrive, and its end."""

import math
from typing import Any

from asyncinvoke._clock import Clock
from asyncinvoke._engine.events import RunEnded, RunSample, RunStarted
from asyncinvoke._engine.map import MapRun
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.tolerance import StopCondition, Tolerance
from asyncinvoke._telemetry.hooks import Hooks
from asyncinvoke.errors import ConfigurationError, ToleranceExceededError

SAMPLE_EVERY = 1.0
"""The minimum interval between two samples of a run, in seconds."""


class RunEvents:
    """Emits the events of one run: its start, samples while outcomes arrive, and its end.

    It has neither a task nor a timer: a sample is emitted when an outcome arrives, so there are no
    samples while nothing completes.

    Args:
        hooks: The hooks to call.
        function_name: The map's function.
        ordered: Whether outcomes are yielded in input order.
        clock: The source of time.
    """

    def __init__(self, hooks: Hooks, function_name: str, *, ordered: bool, clock: Clock) -> None:
        self._hooks = hooks
        self._function_name = function_name
        self._ordered = ordered
        self._clock = clock
        self._began = 0.0
        self._next = math.inf
        self._run: tuple[RunStarted, MapRun[Any]] | None = None

    def started(self, run: MapRun[Any]) -> None:
        """Emit `RunStarted`."""
        started = RunStarted(
            function_name=self._function_name,
            concurrency=run.statistics().concurrency,
            ordered=self._ordered,
        )
        self._run = started, run
        self._began = self._clock.monotonic()
        self._next = self._began + SAMPLE_EVERY
        self._hooks.emit(started)

    def sampling(self, stop_condition: StopCondition | None) -> StopCondition:
        """Return a wrapper of a stop condition that also emits a sample when one is due."""
        return _SamplingCondition(self, stop_condition)

    def sample_if_due(self) -> None:
        """Emit a sample, if one is due."""
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + SAMPLE_EVERY
            self._emit(RunSample, now)

    def ended(self) -> None:
        """Emit `RunEnded`."""
        self._emit(RunEnded, self._clock.monotonic())
        self._run = None  # no further events, even if outcomes are still being consumed

    def _emit(self, event: type[RunSample | RunEnded], now: float) -> None:
        if self._run is not None:
            started, run = self._run
            self._hooks.emit(
                event(run=started, statistics=run.statistics(), elapsed=now - self._began)
            )


def events_of_run(
    hooks: Hooks | None, function_name: str, *, ordered: bool, clock: Clock
) -> RunEvents | None:
    """Return what emits the events of a run, if there are hooks."""
    return None if hooks is None else RunEvents(hooks, function_name, ordered=ordered, clock=clock)


class _SamplingCondition:
    def __init__(self, events: RunEvents, stop_condition: StopCondition | None) -> None:
        self._events = events
        self._stop_condition = stop_condition

    @property
    def tolerance(self) -> Tolerance | None:
        return None if self._stop_condition is None else self._stop_condition.tolerance

    @tolerance.setter
    def tolerance(self, tolerance: Tolerance | None) -> None:
        if self._stop_condition is not None:
            self._stop_condition.tolerance = tolerance

    def __call__(
        self, outcome: Outcome[Any], /
    ) -> ToleranceExceededError | ConfigurationError | None:
        self._events.sample_if_due()
        return None if self._stop_condition is None else self._stop_condition(outcome)
