"""Groups the items of a map into batches, and decides when a batch is complete."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from asyncinvoke._batches.packing import Filling
from asyncinvoke._clock import Clock
from asyncinvoke._engine.batch_work import BatchWork, Unit
from asyncinvoke._engine.buffer import BatchBuffer
from asyncinvoke._engine.calls import Call
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.tasks import Wakeup

PAUSE = 0.05
"""How long the input must pause for a batch to be closed, in seconds."""

MOST_OPEN = 8
"""The maximum number of open batches. There is one for each combination of options among the items;
to open another, the oldest one is closed."""


class Batcher:
    """Gathers the items of one map into batches.

    It sits between a map and its workers. The workers receive batches instead of items, and their
    results are passed to the map item by item, so the rest of the map deals with single items only.

    A batch is closed when it is full, when the input pauses, and when the input ends. `watch`
    detects pauses by comparing the number of items read before and after a sleep. So the clock is
    not read for each item, and a pause is detected after one or two sleeps.

    Args:
        work: Executes batches.
        clock: Measures pauses.
    """

    def __init__(self, work: BatchWork, *, clock: Clock) -> None:
        self._work = work
        self._clock = clock
        self._open: deque[tuple[Call, Filling]] = deque()
        self._under_way: dict[int, Unit] = {}
        self._added = 0
        self._opened = Wakeup()
        self._buffer: BatchBuffer
        self._give: Callable[[int, object], None]
        self._finished: Callable[[int, Outcome[Any]], None]
        self._broke: Callable[[int, BaseException], None]
        self._cancelled: Callable[[], None]

    def buffer(self, concurrency: int, *, ordered: bool) -> BatchBuffer:
        """Return the buffer of the map, which is bounded in batches instead of items."""
        self._buffer = BatchBuffer(concurrency, ordered=ordered, items=self._work.batch.items)
        return self._buffer

    def connect(
        self,
        *,
        give: Callable[[int, object], None],
        finished: Callable[[int, Outcome[Any]], None],
        broke: Callable[[int, BaseException], None],
        cancelled: Callable[[], None],
    ) -> None:
        """Set the callbacks.

        Args:
            give: Called with a closed batch, and the index of its first item.
            finished: Called with the outcome of each item.
            broke: Called for each item without an outcome, with the exception that its batch raised.
            cancelled: Called when `watch` was cancelled from outside.
        """
        self._give, self._finished = give, finished
        self._broke, self._cancelled = broke, cancelled

    def add(self, index: int, item: object) -> None:
        """Add an item to its batch."""
        try:
            prepared = self._work.prepare(index, item)
        except BaseException as error:  # noqa: BLE001  # it ends the run, like an error in a worker
            self._broke(index, error)
            return
        if isinstance(prepared, Outcome):
            self._finished(index, prepared)
            return
        call, batch_item, piece = prepared
        filling = self._find(call)
        if filling is not None and not filling.takes(piece):
            self._close(call, filling)
            filling = None
        if filling is None:
            filling = self._begin(call)
        filling.add(batch_item, piece)
        self._buffer.inside += 1
        self._added += 1
        if filling.is_full:
            self._close(call, filling)

    def close_if_last(self) -> None:
        """Close all batches, if all items read have reached one; a recorder may still hold some.

        Called once the input has ended, so that the last batches need not wait for a pause.
        """
        if self._open and self._buffer.inside == self._buffer.unfinished:
            self._close_all()

    def drop(self, units: Sequence[int]) -> list[int]:
        """Drop the items that are not in progress; return their indexes.

        Args:
            units: The indexes of the batches that no worker has taken.
        """
        dropped = [item.index for _, filling in self._open for item in filling.items]
        self._open.clear()
        self._work.forget()
        for index in units:
            self._buffer.batches -= 1
            dropped += [item.index for item in self._under_way.pop(index).items]
        self._buffer.inside -= len(dropped)
        return dropped

    def leave(self) -> None:
        """Drop everything, since the block of the map was left."""
        self._open.clear()
        self._work.forget()
        self._under_way.clear()

    async def watch(self) -> None:
        """Close all batches whenever the input pauses, until cancelled."""
        try:
            while True:
                if not self._open:
                    await self._opened.listen().wait()
                    continue
                seen = self._added
                await self._clock.sleep(PAUSE)
                if self._added == seen:
                    self._close_all()
        except GeneratorExit:  # the event loop is gone; nothing can be reported
            raise
        except BaseException:
            self._cancelled()
            raise

    # What the workers call.

    async def work(self, index: int, unit: object) -> Sequence[Outcome[Any]]:
        """Execute a batch."""
        return await self._work(index, unit)

    def done(self, index: int, outcomes: Sequence[Outcome[Any]]) -> None:
        """Handle the outcomes of a batch."""
        self._under_way.pop(index, None)
        self._buffer.batches -= 1
        for outcome in outcomes:
            self._buffer.inside -= 1
            self._finished(outcome.index, outcome)

    def broke(self, index: int, error: BaseException) -> None:
        """Handle a batch that raised: none of its items has an outcome."""
        unit = self._under_way.pop(index, None)
        self._buffer.batches -= 1
        for item in unit.items if unit is not None else ():
            self._buffer.inside -= 1
            self._broke(item.index, error)

    def _find(self, call: Call) -> Filling | None:
        for its_call, filling in self._open:
            # Only items with their own options have calls that are equal but not identical.
            if its_call is call or its_call == call:
                return filling
        return None

    def _begin(self, call: Call) -> Filling:
        if len(self._open) >= MOST_OPEN:
            self._close(*self._open[0])
        if not self._open:
            self._opened.wake()
        filling = self._work.filling(call)
        self._open.append((call, filling))
        return filling

    def _close_all(self) -> None:
        while self._open:
            self._close(*self._open[0])

    def _close(self, call: Call, filling: Filling) -> None:
        self._open = deque(each for each in self._open if each[1] is not filling)
        left = {item.index for item in filling.items}
        try:
            for packed in self._work.pack(call, filling):
                if isinstance(packed, Unit):
                    left -= {item.index for item in packed.items}
                    self._hand_over(packed)
                    continue
                for outcome in packed:
                    left.discard(outcome.index)
                    self._buffer.inside -= 1
                    self._finished(outcome.index, outcome)
        except BaseException as error:
            # It ends the run, like an error in a worker; if no item is left to tell it, by itself.
            if not left:
                raise
            for index in sorted(left):
                self._buffer.inside -= 1
                self._broke(index, error)

    def _hand_over(self, unit: Unit) -> None:
        index = unit.items[0].index
        self._under_way[index] = unit
        self._buffer.batches += 1
        self._give(index, unit)
