"""`async with invoker.map(...)`: entering starts a run, leaving ends it, and hooks hear of both."""

import logging
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
from anyio.abc import TaskGroup

from asyncinvoke._clock import SYSTEM_CLOCK, Clock
from asyncinvoke._engine.batcher import Batcher
from asyncinvoke._engine.events import RunEnded, RunSample, RunStarted
from asyncinvoke._engine.map import Describe, MapRun
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.pipeline import Pipeline
from asyncinvoke._engine.recorded_map import RecordedPipeline
from asyncinvoke._engine.recording import RecordedWork, Recorder
from asyncinvoke._engine.shard import Pick
from asyncinvoke._engine.source import length_of
from asyncinvoke._engine.tasks import Work
from asyncinvoke._engine.tolerance import Judge, Tolerance
from asyncinvoke._engine.waits import Brake
from asyncinvoke._model.response import Out
from asyncinvoke._telemetry.hooks import Hooks
from asyncinvoke.errors import ConfigurationError, ToleranceExceededError

_logger = logging.getLogger("asyncinvoke")


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


class MapBlock(AbstractAsyncContextManager[MapRun[Out], None]):
    """What `Invoker.map` returns: a block, to be entered once, that gives a `MapRun`."""

    def __init__(
        self,
        run: MapRun[Out],
        pipeline: Pipeline,
        *,
        told: ToldRun | None,
        check_loop: Callable[[], None] | None,
    ) -> None:
        self._run = run
        self._pipeline = pipeline
        self._check_loop = check_loop
        self._told = told
        self._is_entered = False
        self._reading: TaskGroup | None = None
        self._working: TaskGroup | None = None

    async def __aenter__(self) -> MapRun[Out]:
        if self._is_entered:
            raise ConfigurationError("a map runs once: call `map` again for another run")
        if self._check_loop is not None:
            self._check_loop()
        self._is_entered = True
        await self._pipeline.open()
        self._reading = await anyio.create_task_group().__aenter__()
        self._working = await anyio.create_task_group().__aenter__()
        try:
            if self._told is not None:
                self._told.started(self._run)
            self._pipeline.start(self._reading, self._working)
        except BaseException as error:
            # Who cannot enter leaves nothing entered: a hook may raise what is no `Exception`.
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self._run

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel the work, close the input, and let the block's own error through as it is.

        Neither group hears of that error, or it would come out in an exception group. The workers
        are cancelled; the reader has its time to clean up, which the caller's cancellation cuts
        short. If the block failed by itself, neither that cancellation nor what the clean-up raises
        takes the place of its error.
        """
        self._pipeline.leave()
        cancelled = anyio.get_cancelled_exc_class()
        try:
            await self._end_tasks()
        except cancelled:
            if error is None or isinstance(error, cancelled):
                self._say(self._pipeline.forget())
                raise
        except BaseExceptionGroup as ended:
            interrupt = _interrupt_in(ended)
            if interrupt is None:
                raise
            self._say(self._pipeline.forget())
            raise interrupt from None
        left = self._pipeline.forget()
        if error is not None:
            if left is not error:
                self._say(left)
        elif left is not None:
            try:
                raise left
            finally:
                del left  # or the error and this frame would keep each other alive

    async def _end_tasks(self) -> None:
        # By hand: an `AsyncExitStack` rewires the contexts of two cancellations into a circle.
        assert self._working is not None and self._reading is not None  # noqa: S101, PT018
        try:
            await self._working.__aexit__(None, None, None)
        finally:
            try:
                await self._reading.__aexit__(None, None, None)
            finally:
                try:
                    await self._pipeline.close()
                finally:
                    if self._told is not None:
                        self._told.ended()

    def _say(self, left: BaseException | None) -> None:
        """Log an error that something else goes before; not its text, which may quote a payload."""
        if left is not None:
            _logger.warning("the input of a map failed in its clean-up: %s", type(left).__name__)

    if not TYPE_CHECKING:  # or type checkers would take these for something to use

        def _misused(self, *_: object) -> NoReturn:
            raise ConfigurationError(
                "a map is a block with a run in it: write `async with invoker.map(...) as run:`, "
                "and within it `async for outcome in run:`"
            )

        __aiter__ = __iter__ = __await__ = __enter__ = __exit__ = _misused


def _interrupt_in(ended: BaseExceptionGroup) -> BaseException | None:
    """Return what a task of ours was interrupted by, which is no news of a group; else `None`.

    `KeyboardInterrupt` is raised in whichever task runs when it comes, on trio.
    """
    _, interrupts = ended.split((Exception, anyio.get_cancelled_exc_class()))
    found: BaseException | None = interrupts
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def open_run(
    payloads: object,
    work: Work,
    *,
    concurrency: int,
    ordered: bool,
    judge: Judge | None = None,
    brake: Brake | None = None,
    describe: Describe | None = None,
    clock: Clock = SYSTEM_CLOCK,
    told: ToldRun | None = None,
    batcher: Batcher | None = None,
    pick: Pick | None = None,
    recorder: Recorder | None = None,
    recorded: RecordedWork | None = None,
    check_loop: Callable[[], None] | None = None,
) -> MapBlock[Any]:
    """Check the input and give the block that runs it.

    Args:
        payloads: The input.
        work: Turns an item into its outcome. What it raises ends the run.
        concurrency: How many items are worked on at once.
        ordered: Whether outcomes come in the order of the input.
        judge: Sees every outcome; what it returns ends the run.
        brake: What the work looks at before each attempt, to pause and to stop.
        describe: Says what keeps the work back, for `MapStatistics.waiting_for`.
        clock: Tells how long reading holds the event loop.
        told: Tells hooks of the run, if there are any.
        batcher: Gathers items into batches, and works on those in the place of `work`.
        pick: Says which items are worked on; by default all.
        recorder: Records the run, if it is to be recorded.
        recorded: Prepares the items of a run that is.
        check_loop: Raises what is told to who iterates in another event loop.

    Raises:
        InvalidRequestError: The input cannot be iterated, or the concurrency is no number from 1.
    """
    judge = judge if told is None else told.judging(judge)
    shared: dict[str, Any] = {
        "concurrency": concurrency,
        "ordered": ordered,
        "judge": judge,
        "brake": brake,
        "clock": clock,
        "batcher": batcher,
        "pick": pick,
    }
    pipeline = (
        Pipeline(payloads, work, **shared)
        if recorder is None or recorded is None
        else RecordedPipeline(payloads, recorded, recorder, **shared)
    )
    run: MapRun[Any] = MapRun(
        pipeline,
        # How many of them are of a shard is known once all are read.
        total=length_of(payloads) if pick is None else None,
        judge=judge,
        brake=brake,
        describe=describe,
        recorder=recorder,
        check_loop=check_loop,
    )
    return MapBlock(run, pipeline, told=told, check_loop=check_loop)
