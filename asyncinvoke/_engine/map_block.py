"""`async with invoker.map(...)`: entering the block starts a run, and leaving it ends the run."""

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
from asyncinvoke._engine.map import Describe, MapRun
from asyncinvoke._engine.payloads import length_of
from asyncinvoke._engine.pipeline import Pipeline
from asyncinvoke._engine.recorded_map import RecordedPipeline
from asyncinvoke._engine.recorded_work import RecordedWork
from asyncinvoke._engine.recording import Recorder
from asyncinvoke._engine.run_events import RunEvents
from asyncinvoke._engine.shard import ShardFilter
from asyncinvoke._engine.tasks import Work, current_task
from asyncinvoke._engine.tolerance import StopCondition
from asyncinvoke._engine.waits import Brake
from asyncinvoke._model.response import Out
from asyncinvoke.errors import ConfigurationError

_logger = logging.getLogger("asyncinvoke")


class MapBlock(AbstractAsyncContextManager[MapRun[Out], None]):
    """The async context manager returned by `Invoker.map`; entered once, it yields a `MapRun`."""

    def __init__(
        self,
        run: MapRun[Out],
        pipeline: Pipeline,
        *,
        events: RunEvents | None,
        check_loop: Callable[[], None] | None,
    ) -> None:
        self._run = run
        self._pipeline = pipeline
        self._check_loop = check_loop
        self._events = events
        self._is_entered = False
        self._task: int | None = None
        self._reading: TaskGroup | None = None
        self._working: TaskGroup | None = None

    async def __aenter__(self) -> MapRun[Out]:
        if self._is_entered:
            raise ConfigurationError("a map runs once: call `map` again for another run")
        if self._check_loop is not None:
            self._check_loop()
        self._is_entered = True
        self._task = current_task()
        await self._pipeline.open()
        self._reading = await anyio.create_task_group().__aenter__()
        self._working = await anyio.create_task_group().__aenter__()
        try:
            if self._events is not None:
                self._events.started(self._run)
            self._pipeline.start(self._reading, self._working)
        except BaseException as error:
            # If entering fails, leave everything: a hook may raise a `BaseException`.
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self._run

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel the work, close the input, and propagate the block's own error unchanged.

        The error is not passed to either task group, which would wrap it in an exception group. The
        workers are cancelled. The reader gets time to clean up, unless the caller is cancelled. If
        the block itself raised, neither a cancellation nor an error of the clean-up replaces that
        error.

        A block that another task leaves, as when an async generator is left to the garbage
        collector, cannot cancel its work: the scopes around it are those of the task that entered
        it, and that task would be cancelled too, at each of its waits.

        Raises:
            ConfigurationError: It is left in another task than it was entered in.
        """
        if current_task() not in (self._task, None):
            await self._leave_to_itself()
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
                del left  # avoids a reference cycle between the error and this frame

    async def _leave_to_itself(self) -> NoReturn:
        """Let the calls in flight end, and raise."""
        # trio closes a generator that nobody reads in a task that is cancelled already.
        was_cancelled = anyio.current_effective_deadline() == -math.inf
        try:
            await self._pipeline.abandon()
        except anyio.get_cancelled_exc_class():
            if not was_cancelled:
                raise
        raise ConfigurationError(
            "a map is left in the task that entered it: one inside an async generator that may not "
            "be read to its end needs `async with contextlib.aclosing(...)` around the generator; no "
            "more is started, and calls in flight end"
        ) from None

    async def _end_tasks(self) -> None:
        # Not an `AsyncExitStack`, which links the contexts of two cancellations into a cycle.
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
                    if self._events is not None:
                        self._events.ended()

    def _say(self, left: BaseException | None) -> None:
        """Log an error that another one supersedes, without its text, which may quote a payload."""
        if left is not None:
            _logger.warning("the input of a map failed in its clean-up: %s", type(left).__name__)

    if not TYPE_CHECKING:  # hidden from type checkers, which should report misuse

        def _misused(self, *_: object) -> NoReturn:
            raise ConfigurationError(
                "a map is a block with a run in it: write `async with invoker.map(...) as run:`, "
                "and within it `async for outcome in run:`"
            )

        __aiter__ = __iter__ = __await__ = __enter__ = __exit__ = _misused


def _interrupt_in(ended: BaseExceptionGroup) -> BaseException | None:
    """Return the interrupt inside an exception group, to be raised without the group, if any.

    On trio `KeyboardInterrupt` is raised in whichever task is running.
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
    stop_condition: StopCondition | None = None,
    brake: Brake | None = None,
    describe: Describe | None = None,
    clock: Clock = SYSTEM_CLOCK,
    events: RunEvents | None = None,
    batcher: Batcher | None = None,
    shard_filter: ShardFilter | None = None,
    recorder: Recorder | None = None,
    recorded: RecordedWork | None = None,
    check_loop: Callable[[], None] | None = None,
) -> MapBlock[Any]:
    """Validate the input and return the block that runs the map.

    Args:
        payloads: The input.
        work: Processes an item and returns its outcome. An exception it raises ends the run.
        concurrency: The maximum number of items processed concurrently.
        ordered: Whether outcomes are yielded in input order.
        stop_condition: Inspects every outcome; an error it returns ends the run.
        brake: Checked by the work before each attempt, to pause and to stop.
        describe: Describes what limits the work, for `MapStatistics.waiting_for`.
        clock: Measures how long reading blocks the event loop.
        events: Emits the events of the run, if there are hooks.
        batcher: Groups items into batches, and processes those instead of `work`.
        shard_filter: Selects the items to process; by default all.
        recorder: Records the run, if it has a journal.
        recorded: Prepares the items of a recorded run.
        check_loop: Raises if the run is iterated in another event loop.

    Raises:
        InvalidRequestError: The input is not iterable, or the concurrency is not a whole number of
            at least 1.
    """
    stop_condition = stop_condition if events is None else events.sampling(stop_condition)
    shared: dict[str, Any] = {
        "concurrency": concurrency,
        "ordered": ordered,
        "stop_condition": stop_condition,
        "brake": brake,
        "clock": clock,
        "batcher": batcher,
        "shard_filter": shard_filter,
    }
    pipeline = (
        Pipeline(payloads, work, **shared)
        if recorder is None or recorded is None
        else RecordedPipeline(payloads, recorded, recorder, **shared)
    )
    run: MapRun[Any] = MapRun(
        pipeline,
        # The number of items in a shard is known only once all have been read.
        total=length_of(payloads) if shard_filter is None else None,
        stop_condition=stop_condition,
        brake=brake,
        describe=describe,
        recorder=recorder,
        check_loop=check_loop,
    )
    return MapBlock(run, pipeline, events=events, check_loop=check_loop)
