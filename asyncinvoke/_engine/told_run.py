"""What hooks are told of one run of a map; made only where there are hooks."""

import math
from typing import Any

from asyncinvoke._clock import Clock
from asyncinvoke._engine.events import RunEnded, RunSample, RunStarted
from asyncinvoke._engine.map import MapRun
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.tolerance import Judge, Tolerance
from asyncinvoke._telemetry.hooks import Hooks
from asyncinvoke.errors import ConfigurationError, ToleranceExceededError

SAMPLE_EVERY = 1.0
"""How many seconds lie between two samples of a run, at least."""


class ToldRun:
    """Tells hooks of one run: when its block is entered, while outcomes come, when it has ended.

    It has no task and no timer of its own: a sample is told with an outcome, so a run of which
    nothing ends has no samples.

    Args:
        hooks: Those who listen.
        function_name: The map's function.
        ordered: Whether its outcomes come in the order of the input.
        clock: Tells the time.
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
        """Tell that its block was entered."""
        started = RunStarted(
            function_name=self._function_name,
            concurrency=run.statistics().concurrency,
            ordered=self._ordered,
        )
        self._run = started, run
        self._began = self._clock.monotonic()
        self._next = self._began + SAMPLE_EVERY
        self._hooks.tell(started)

    def judging(self, judge: Judge | None) -> Judge:
        """Return a judge that judges as that one does, and tells a sample when one is due."""
        return _LookingJudge(self, judge)

    def look(self) -> None:
        """Tell a sample, if one is due."""
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + SAMPLE_EVERY
            self._tell(RunSample, now)

    def ended(self) -> None:
        """Tell that it has ended."""
        self._tell(RunEnded, self._clock.monotonic())
        self._run = None  # nothing is told of it any more, whoever still looks at its outcomes

    def _tell(self, event: type[RunSample | RunEnded], now: float) -> None:
        if self._run is not None:
            started, run = self._run
            self._hooks.tell(
                event(run=started, statistics=run.statistics(), elapsed=now - self._began)
            )


def told_of_run(
    hooks: Hooks | None, function_name: str, *, ordered: bool, clock: Clock
) -> ToldRun | None:
    """Return what tells the hooks of a run, if there are any."""
    return None if hooks is None else ToldRun(hooks, function_name, ordered=ordered, clock=clock)


class _LookingJudge:
    def __init__(self, told: ToldRun, judge: Judge | None) -> None:
        self._told = told
        self._judge = judge

    @property
    def tolerance(self) -> Tolerance | None:
        return None if self._judge is None else self._judge.tolerance

    @tolerance.setter
    def tolerance(self, tolerance: Tolerance | None) -> None:
        if self._judge is not None:
            self._judge.tolerance = tolerance

    def __call__(
        self, outcome: Outcome[Any], /
    ) -> ToleranceExceededError | ConfigurationError | None:
        self._told.look()
        return None if self._judge is None else self._judge(outcome)
