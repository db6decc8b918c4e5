"""`MapRun`: a running map as its consumer sees it: outcomes, counts, and controls."""

from collections.abc import Callable
from typing import Generic, Self, TypeAlias

import anyio.lowlevel

from asyncinvoke._engine.journal import check_note
from asyncinvoke._engine.outcome import Failed, MapStatistics, Succeeded
from asyncinvoke._engine.pipeline import Pipeline
from asyncinvoke._engine.recording import Recorder
from asyncinvoke._engine.tolerance import Judge, Tolerance, checked_tolerance
from asyncinvoke._engine.waits import Brake
from asyncinvoke._model.response import Out
from asyncinvoke.errors import ConfigurationError

Describe: TypeAlias = Callable[[], str | None]
"""Says what keeps the work back, if anything does."""


class MapRun(Generic[Out]):
    """The outcomes of a map, as an async iterator; given by `async with invoker.map(...)`.

    Iterating gives one `Outcome` for each item that was read, whether it succeeded or not. Several tasks may
    share a run: each outcome goes to one of them.

    Whatever ends a run ends it in the same way: nothing more is read, what was read gets its
    outcome (after `stop`, and where too much has failed, what is in flight does; an item without an
    outcome was not sent then), all outcomes are taken, and then iterating stops, or raises

    - what the input raised, as itself;
    - `ToleranceExceededError`, once more has failed than is tolerated, or after a hundred refusals
      in a row for one reason;
    - `JournalError`, if it can be recorded no longer, and `JournalMismatchError`, if its input turns
      out not to be that of the run;
    - `ConfigurationError`, if the invoker's block was left before the input had been read;
    - what the caller's own retry policy, hook or transport raised, as itself; the item that it was
      raised for has no outcome.

    If there are several, it is the first. Only what is no `Exception`, such as `KeyboardInterrupt`,
    is raised at once. After its block a run raises `ConfigurationError`, unless everything was
    taken within; and so it does once its block is cancelled,
    also for a consumer that iterates in a shielded scope.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        total: int | None,
        judge: Judge | None,
        brake: Brake | None,
        describe: Describe | None,
        recorder: Recorder | None,
        check_loop: Callable[[], None] | None,
    ) -> None:
        self._pipeline = pipeline
        self._buffer, self._source = pipeline.buffer, pipeline.source
        self._total = total
        self._judge = judge
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
            await self._pipeline.hear()
        buffer.taken += 1
        if self._source.is_waiting and buffer.should_read_on():
            self._source.wake()
        outcome: Succeeded[Out] | Failed[Out] = buffer.ready.popleft()
        return outcome

    def statistics(self) -> MapStatistics:
        """Return a snapshot of how far the map is."""
        tally, buffer = self._pipeline.tally, self._buffer
        return MapStatistics(
            concurrency=buffer.concurrency,
            total=self._total,
            paused=buffer.is_held,
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
        """Change how many items are worked on at once, from now on.

        Raises:
            InvalidRequestError: It is not a whole number from 1.
        """
        self._buffer.size(concurrency)
        self._pipeline.workers.set_concurrency(concurrency)
        if self._buffer.should_read_on():
            self._source.wake()

    def set_tolerance(self, tolerate: int | Tolerance | None) -> None:
        """Change how many items may fail, from the next outcome on; `None` tolerates everything.

        What has failed so far counts.

        Raises:
            InvalidRequestError: It is neither a whole number from 0 nor a `Tolerance`.
        """
        tolerance = checked_tolerance(tolerate)
        if self._judge is not None:
            self._judge.tolerance = tolerance

    def pause(self) -> None:
        """Start nothing more until `resume`; what is in flight ends, and its outcomes come.

        Nothing is read meanwhile, but for an item that is already waited for, and whoever waits for
        a permit does not hold others up. Time that an item spends paused before its first attempt
        is no part of its `timeout`.
        """
        self._buffer.is_held = True
        if self._brake is not None:
            self._brake.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._buffer.is_held = False
        if self._brake is not None:
            self._brake.resume()
        if self._buffer.should_read_on():
            self._source.wake()

    def stop(self) -> None:
        """Read and start nothing more; what is in flight still gets its outcome.

        An item without an outcome was not sent. One that was refused, and waits to be tried again,
        counts as such. An async input that is waited for is interrupted. A run that is paused ends
        as well.
        """
        self._pipeline.stop()

    def note(self, name: str, value: object) -> None:
        """Keep a note in the journal, with what is recorded next; a value of a name replaces another.

        Args:
            name: What it is called among the `notes` of the run's summary.
            value: Anything that JSON can hold.

        Raises:
            ConfigurationError: The map has no journal.
            InvalidRequestError: JSON cannot hold it.
        """
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

    def _waiting_for(self) -> str | None:
        if self._pipeline.is_left or self._pipeline.is_over:
            return None
        buffer = self._buffer
        if buffer.is_held:
            return "`resume`: it is paused"
        if not buffer.has_room():
            if buffer.ready:
                return f"the consumer: {len(buffer.ready)} outcomes are there to be taken"
            return f"item {buffer.next_index}, whose outcome is due before the others"
        limited = self._describe() if self._describe is not None and buffer.unfinished else None
        if limited is not None:
            return limited
        return "the input" if self._source.is_silent and not buffer.unfinished else None
