"""What a map requires of a recorder, and the callbacks it expects."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, TypeAlias

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.prepared import Marks, Prepared
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.errors import AsyncInvokeError

Prepare: TypeAlias = Callable[[int, object], Prepared | None]
"""Determines the key of an item and encodes it; returns `None` if it belongs to another shard."""


class Written(NamedTuple):
    """Consecutive items as they are sent, up to the first that cannot be sent."""

    bodies: list[bytes]
    """The encoded payloads."""

    parameters: list[InvokeParameters]
    """The parameters of the requests."""

    names: list[str]
    """The keys; empty in a run without keys."""


Write: TypeAlias = Callable[[list[object]], Written]
"""Encodes items as they are sent, up to the first that is invalid."""


class MapCallbacks(NamedTuple):
    """The callbacks of a map that its recorder calls."""

    work: Callable[[Iterable[Prepared]], None]
    """The intents of these items have been recorded, so they may be sent."""

    hand_out: Callable[[Collection[Outcome[Any]]], None]
    """These outcomes, passed to `ended` earlier, have been recorded."""

    found: Callable[[int, Outcome[Any] | None], None]
    """An earlier session recorded how the item ended; its outcome is replayed unless it is `None`."""

    made: Callable[[int, Outcome[Any]], None]
    """The recorder itself created the outcome of the item, which is not sent."""

    dropped: Callable[[int], None]
    """The item was read, but will not be sent and has no outcome."""

    failed: Callable[[Exception], None]
    """Nothing more can be recorded, or the input differs from that of the run."""

    is_hungry: Callable[[], bool]
    """Returns whether a worker is waiting for an item."""

    is_idle: Callable[[], bool]
    """Returns whether nothing else is in progress, so that the next commit need not wait for more."""

    look_ahead: Callable[[int], None]
    """Sets how many items may be read ahead of the workers."""


class Recorder(Marks, Protocol):
    """Records a map: nothing is sent, and no outcome is yielded, before it is recorded."""

    @property
    def keyed(self) -> bool:
        """Whether items are identified by keys."""
        ...

    async def open(self, payloads: object, prepare: Prepare) -> None:
        """Open the journal, and compare it with the input if that can be read twice.

        Raises:
            JournalError: The journal cannot be used for this map. Nothing is left open.
        """
        ...

    def connect(self, callbacks: MapCallbacks) -> None:
        """Set the callbacks."""
        ...

    async def write(self) -> None:
        """Write records until cancelled."""
        ...

    async def skim(
        self,
        items: Iterator[object],
        write: Write,
        *,
        skipped: Callable[[int], None],
        is_over: Callable[[], bool],
    ) -> Iterator[object]:
        """Skip the items at the beginning of an input that all ended in earlier sessions.

        Args:
            items: The input.
            write: Encodes items.
            skipped: Called with the number of items skipped.
            is_over: Returns whether reading should stop.

        Returns:
            The rest of the input.
        """
        ...

    def read(self, prepared: Prepared) -> None:
        """Accept an item that was read."""
        ...

    def all_read(self, count: int) -> AsyncInvokeError | None:
        """Handle the end of the input; return an error if the input differs from the recorded one."""
        ...

    def ended(self, index: int, outcome: Outcome[Any]) -> None:
        """Record the outcome of an item that was sent."""
        ...

    def note(self, name: str, value: object) -> None:
        """Store a note with the next commit."""
        ...

    async def close(self) -> AsyncInvokeError | None:
        """Record all remaining ends, and close the journal; return the error if that failed."""
        ...
