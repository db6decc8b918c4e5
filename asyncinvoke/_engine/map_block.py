"""`async with invoker.map(...)`: entering starts a run, leaving ends it and leaves nothing behind."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
from anyio.abc import TaskGroup

from asyncinvoke._clock import SYSTEM_CLOCK, Clock
from asyncinvoke._engine.batcher import Batcher
from asyncinvoke._engine.brake import Brake
from asyncinvoke._engine.map import Describe, MapRun
from asyncinvoke._engine.recording import RecordedWork, Recorder
from asyncinvoke._engine.shard import Pick
from asyncinvoke._engine.tasks import Work
from asyncinvoke._engine.told_run import ToldRun
from asyncinvoke._engine.tolerance import Judge
from asyncinvoke._model.response import Out
from asyncinvoke.errors import ConfigurationError

_logger = logging.getLogger("asyncinvoke")


class MapBlock(AbstractAsyncContextManager[MapRun[Out], None]):
    """What `Invoker.map` returns: a block, to be entered once, that gives a `MapRun`."""

    def __init__(self, run: MapRun[Out], told: ToldRun | None = None) -> None:
        self._run = run
        self._told = told
        self._is_entered = False
        self._reading: TaskGroup | None = None
        self._working: TaskGroup | None = None

    async def __aenter__(self) -> MapRun[Out]:
        if self._is_entered:
            raise ConfigurationError("a map runs once: call `map` again for another run")
        self._run._check_home()  # noqa: SLF001  # the other half of it
        self._is_entered = True
        await self._run._open()  # noqa: SLF001
        self._reading = await anyio.create_task_group().__aenter__()
        self._working = await anyio.create_task_group().__aenter__()
        if self._told is not None:
            self._told.started(self._run)
        self._run._start(self._reading, self._working)  # noqa: SLF001
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
        self._run._leave()  # noqa: SLF001
        cancelled = anyio.get_cancelled_exc_class()
        try:
            await self._end_tasks()
        except cancelled:
            if error is None or isinstance(error, cancelled):
                self._say(self._run._forget())  # noqa: SLF001
                raise
        left = self._run._forget()  # noqa: SLF001
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
                    await self._run._close()  # noqa: SLF001
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
        concurrency: How many items are worked upon at once.
        ordered: Whether outcomes come in the order of the input.
        judge: Sees every outcome; what it returns ends the run.
        brake: What the work looks at before each attempt, to pause and to stop.
        describe: Says what keeps the work back, for `MapStatistics.waiting_for`.
        clock: Tells how long reading holds the event loop.
        told: Tells hooks of the run, if there are any.
        batcher: Gathers items into batches, and works on those in the place of `work`.
        pick: Says which items are worked upon; by default all.
        recorder: Records the run, if it is to be recorded.
        recorded: Prepares the items of a run that is.
        check_loop: Raises what is told to who iterates in another event loop.

    Raises:
        InvalidRequestError: The input cannot be iterated, or the concurrency is no number from 1.
    """
    return MapBlock(
        MapRun(
            payloads,
            work,
            concurrency=concurrency,
            ordered=ordered,
            judge=judge if told is None else told.judging(judge),
            brake=brake,
            describe=describe,
            clock=clock,
            batcher=batcher,
            pick=pick,
            recorder=recorder,
            recorded=recorded,
            check_loop=check_loop,
        ),
        told,
    )
