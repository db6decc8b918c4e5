"""`MapRun`: a running map as its consumer sees it: outcomes, counts, and controls."""

from collections.abc import Callable
from typing import Generic, Self, TypeAlias

import anyio.lowlevel

from asyncinvoke._engine.journal import check_note
from asyncinvoke._engine.outcome import Failed, MapStatistics, Succeeded
from asyncinvoke._engine.pipeline import Pipeline
from asyncinvoke._engine.recording import Recorder
from asyncinvoke._engine.tolerance import StopCondition, Tolerance, checked_tolerance
from asyncinvoke._engine.waits import Brake
from asyncinvoke._model.response import Out
from asyncinvoke.errors import ConfigurationError

Describe: TypeAlias = Callable[[], str | None]
"""Describes what limits the work, if anything does."""


class MapRun(Generic[Out]):
    """The outcomes of a map, as an async iterator; created by `async with invoker.map(...)`.

    Iterating yields one `Outcome` for each item read, whether it succeeded or failed. Several tasks
    may iterate over the same run; each outcome goes to one of them.

    A run always ends the same way: it reads no more input, the items already read get their
    outcomes, all outcomes are yielded, and then iteration stops or raises. After `stop`, and when
    the tolerance is exceeded, only the calls in flight get outcomes; an item without an outcome did
    not run. Iterating raises

    - the exception raised by the input, unchanged;
    - `ToleranceExceededError`, if more items failed than tolerated, after a hundred consecutive
      refusals for one reason, or if nothing could be sent for five minutes;
    - `JournalError`, if the journal can no longer be written, and `JournalMismatchError`, if the
      input turns out to differ from that of the recorded run;
    - `ConfigurationError`, if the invoker's block was left before the input was exhausted;
    - an exception raised by the caller's own retry policy, hook or transport, unchanged; the item
      that caused it has no outcome.

    If there are several, the first is raised. Exceptions that are not an `Exception`, such as
    `KeyboardInterrupt`, are raised immediately. After its block was left, a run raises
    `ConfigurationError` unless all outcomes had been consumed. The same applies once its block is
    cancelled, even for a consumer in a shielded scope.

    `stop`, `pause`, `resume`, `set_concurrency` and `note` wake tasks of the run, and so raise
    `ConfigurationError` anywhere but in its event loop. `statistics` may be called in any thread.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        total: int | None,
        stop_condition: StopCondition | None,
        brake: Brake | None,
        describe: Describe | None,
        recorder: Recorder | None,
        check_loop: Callable[[], None] | None,
    ) -> None:
        self._pipeline = pipeline
        self._buffer, self._source = pipeline.buffer, pipeline.source
        self._total = total
        self._stop_condition = stop_condition
        self._brake = brake
        self._describe = describe
        self._recorder = recorder
        self._check_loop = check_loop

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Succeeded[Out] | Failed[Out]:
        buffer = self._buffer
        if self._check_loop is not None:
            self._check_loop()
        while not buffer.ready:
            if self._pipeline.is_cancelled:
                await anyio.lowlevel.checkpoint_if_cancelled()
            self._pipeline.raise_if_over()
            await self._pipeline.wait()
        buffer.taken += 1
        if self._source.is_waiting and buffer.should_read_on():
            self._source.wake()
        outcome: Succeeded[Out] | Failed[Out] = buffer.ready.popleft()
        return outcome

    def statistics(self) -> MapStatistics:
        """Return a snapshot of the map's progress."""
        tally, buffer = self._pipeline.tally, self._buffer
        return MapStatistics(
            concurrency=buffer.concurrency,
            total=self._total,
            paused=buffer.is_paused,
            stopped=self._pipeline.is_stopped,
            read=buffer.read,
            working=0 if self._pipeline.is_left else buffer.unfinished,
            succeeded=tally.succeeded,
            failed=tally.failed,
            buffered=len(buffer),
            lost=tally.lost,
            recorded=tally.recorded,
            replayed=tally.replayed,
            attempts=tally.attempts,
            throttled=tally.throttled,
            waiting_for=self._waiting_for(),
        )

    def set_concurrency(self, concurrency: int) -> None:
        """Change how many items are processed concurrently.

        Raises:
            InvalidRequestError: The value is not a whole number of at least 1.
        """
        self._check_control()
        self._buffer.size(concurrency)
        self._pipeline.workers.set_concurrency(concurrency)
        if self._buffer.should_read_on():
            self._source.wake()

    def set_tolerance(self, tolerate: int | Tolerance | None) -> None:
        """Change how many items may fail; `None` removes the limit.

        It applies from the next outcome on and includes earlier failures.

        Raises:
            InvalidRequestError: It is neither a whole number of at least 0 nor a `Tolerance`.
        """
        tolerance = checked_tolerance(tolerate)
        if self._stop_condition is not None:
            self._stop_condition.tolerance = tolerance

    def pause(self) -> None:
        """Start no more items until `resume`; calls in flight complete and yield their outcomes.

        No input is read while paused, except for an item already being awaited. Items waiting for a
        permit leave the queue, so they do not block other calls. Time spent paused before an item's
        first attempt does not count towards its `timeout`.
        """
        self._check_control()
        self._buffer.is_paused = True
        if self._brake is not None:
            self._brake.pause()

    def resume(self) -> None:
        """Continue after `pause`."""
        self._check_control()
        self._buffer.is_paused = False
        if self._brake is not None:
            self._brake.resume()
        if self._buffer.should_read_on():
            self._source.wake()

    def stop(self) -> None:
        """Stop reading and starting items; calls in flight still get their outcome.

        An item without an outcome was not sent, or was refused and was waiting for a retry. An
        async input that is being awaited is interrupted. A paused run ends as well.
        """
        self._check_control()
        self._pipeline.stop()

    def note(self, name: str, value: object) -> None:
        """Store a note in the journal with the next commit, replacing any note of the same name.

        Args:
            name: The name of the note in the `notes` of the run's summary.
            value: Any JSON-serializable value.

        Raises:
            ConfigurationError: The map has no journal.
            InvalidRequestError: The value is not JSON-serializable.
        """
        self._check_control()
        if self._recorder is None:
            raise ConfigurationError("only a map with a journal keeps notes")
        check_note(name, value)
        self._recorder.note(name, value)

    def __repr__(self) -> str:
        now = self.statistics()
        return (
            f"<MapRun {now.succeeded} succeeded, {now.failed} failed, "
            f"{now.working} working, concurrency {now.concurrency}>"
        )

    def _check_control(self) -> None:
        """Check that a control is used where it can wake the tasks of the run."""
        if self._check_loop is None or self._pipeline.is_left:
            return
        try:
            self._check_loop()
        except ConfigurationError:
            raise ConfigurationError(
                "a map is controlled in its own event loop: in another thread, write "
                "`loop.call_soon_threadsafe(run.stop)`, or trio's `token.run_sync_soon(run.stop)`"
            ) from None

    def _waiting_for(self) -> str | None:
        if self._pipeline.is_left or self._pipeline.is_over:
            return None
        buffer = self._buffer
        if buffer.is_paused:
            return "`resume`: it is paused"
        # In batches, the reader waits until there is room for a whole one.
        is_idle = self._source.is_waiting and not buffer.unfinished and not buffer.held
        if is_idle or not buffer.has_room():
            if buffer.ready:
                return f"the consumer: {len(buffer.ready)} outcomes are there to be taken"
            if len(buffer):
                return f"item {buffer.next_index}, whose outcome is due before the others"
        limited = self._describe() if self._describe is not None and buffer.unfinished else None
        if limited is not None:
            return limited
        return "the input" if self._source.is_silent and not buffer.unfinished else None
