"""The work of a map in batches: prepares items, executes batches, and creates the outcomes."""

from collections.abc import Iterator, Sequence
from typing import Any

from asyncinvoke._batches.batch import Batch, format_of
from asyncinvoke._batches.packing import (
    Bounds,
    Filling,
    check_common,
    checked_json,
    pack,
    too_large,
)
from asyncinvoke._batches.shape import BatchItem
from asyncinvoke._engine.batch_ends import ends_of
from asyncinvoke._engine.calls import Call
from asyncinvoke._engine.frames import without_frames
from asyncinvoke._engine.item import ItemWork, refused
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.prepared import BatchMarks, Prepared
from asyncinvoke._engine.recorded_work import RecordedWork, with_take
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke.errors import AsyncInvokeError, InvalidRequestError


class Unit:
    """A closed batch, ready to be executed."""

    __slots__ = ("call", "items", "payload", "prepared")

    def __init__(
        self,
        call: Call,
        items: tuple[BatchItem, ...],
        payload: bytes,
        prepared: tuple[Prepared, ...],
    ) -> None:
        self.prepared = prepared
        """The same items as prepared for recording; empty if the map is not recorded."""
        self.call = call
        """The target and the options."""
        self.items = items
        """The items, at least one."""
        self.payload = payload
        """The payload of the batch."""


class BatchWork:
    """Executes the batches of one map.

    Args:
        items: Prepares single items.
        batch: The size and the shape of a batch.
        recorded: Marks items before they are sent, if the map is recorded.
    """

    def __init__(self, items: ItemWork, batch: Batch, recorded: RecordedWork | None = None) -> None:
        self.batch = batch
        self._recorded = recorded
        self._prepared: dict[int, Prepared] = {}
        self._items = items
        self._format = format_of(batch)
        self._ends = sum(map(len, self._format.ends))
        self._bounds_are_for = items.call.parameters.invocation_type
        self._bounds = Bounds.of(batch, self._bounds_are_for)
        check_common(batch, self._ends, self._bounds)

    def filling(self, call: Call) -> Filling:
        """Return an empty batch for a call."""
        return Filling(self._format, self._bounds_of(call))

    def _bounds_of(self, call: Call) -> Bounds:
        if call.parameters.invocation_type is self._bounds_are_for:
            return self._bounds
        return Bounds.of(self.batch, call.parameters.invocation_type)

    def prepare(self, index: int, item: object) -> tuple[Call, BatchItem, bytes] | Outcome[Any]:
        """Return the call of an item and its piece of the batch; or its outcome, if it is invalid."""
        key = None
        try:
            if isinstance(item, Prepared):
                key = item.key
                self._prepared[index] = item
                call, payload = _ready(item)
            else:
                key = self._items.name(item)
                call, payload = self._items.prepare(item)
            if not payload or isinstance(item, Prepared) or not self._items.writes_json(item):
                payload = checked_json(payload)
            prepared = BatchItem(index=index, key=key, payload=payload)
            piece = self._format.piece(prepared)
            size, limit = self._ends + len(piece), self._bounds_of(call).limit
            why = too_large(size, limit) if size > limit else None
        except Exception as error:  # noqa: BLE001  # an item may be wrong in any way
            return self._refused(index, key, refused(error))
        if why is not None:
            return self._refused(index, key, InvalidRequestError(why))
        return call, prepared, piece

    def pack(self, call: Call, filled: Filling) -> Iterator[Unit | list[Outcome[Any]]]:
        """Yield the units of a closed batch, and the outcomes of items that cannot be packed."""
        bounds = self._bounds_of(call)
        for packed in pack(self._format, filled.items, filled.pieces, bounds):
            if packed.error is not None:
                error = packed.error
                yield [self._refused(item.index, item.key, error) for item in packed.items]
                continue
            known = self._prepared
            prepared = tuple(known.pop(item.index) for item in packed.items) if known else ()
            yield Unit(call, packed.items, packed.payload, prepared)

    def forget(self) -> None:
        """Drop prepared items that are not in a closed batch."""
        self._prepared.clear()

    async def __call__(self, index: int, unit: object) -> Sequence[Outcome[Any]]:
        """Execute a batch.

        It raises only cancellation, errors of the caller's own policy, and `NotStartedError`.
        """
        assert isinstance(unit, Unit)  # noqa: S101  # workers of a map in batches receive nothing else
        clock, recorded = self._items.engine.clock, self._recorded
        marks = None
        if recorded is not None:
            recorded.check_open()
            marks = BatchMarks(unit.prepared)
        started, began = clock.time(), clock.monotonic()
        executed = await self._items.execute(index, unit.call, unit.payload, marks)
        elapsed = clock.monotonic() - began
        ends = ends_of(
            executed,
            call=unit.call,
            items=unit.items,
            batch_format=self._format,
            elapsed=elapsed,
        )
        outcomes = [
            self._outcome(
                item.index,
                item.key,
                ended,
                attempts=executed.attempts,
                started=started,
                elapsed=elapsed,
            )
            for item, ended in zip(unit.items, ends, strict=True)
        ]
        return outcomes if recorded is None else list(map(with_take, unit.prepared, outcomes))

    def _refused(self, index: int, key: str | None, error: InvalidRequestError) -> Outcome[Any]:
        prepared = self._prepared.pop(index, None)
        outcome = self._outcome(index, key, error)
        return outcome if prepared is None else with_take(prepared, outcome)

    def _outcome(
        self,
        index: int,
        key: str | None,
        ended: Response[Any] | AsyncInvokeError,
        *,
        attempts: tuple[Attempt, ...] = (),
        started: float | None = None,
        elapsed: float = 0.0,
    ) -> Outcome[Any]:
        if isinstance(ended, Response):
            response, error = ended, None
        else:
            response, error = None, without_frames(ended)
        return Outcome(
            index=index,
            key=key,
            response=response,
            error=error,
            attempts=attempts,
            started=self._items.engine.clock.time() if started is None else started,
            elapsed=elapsed,
        )


def _ready(prepared: Prepared) -> tuple[Call, bytes]:
    """Return the call and the payload of a prepared item; raises if the item is invalid."""
    if prepared.call is None:
        assert prepared.error is not None  # noqa: S101  # one of the two is set
        raise prepared.error
    # An item waiting to be recorded must not keep its payload alive.
    body, prepared.body = prepared.body, b""
    return prepared.call, body
