"""What a map requires of a recorder: the items it passes, and the callbacks it expects."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from asyncinvoke._engine.calls import Call
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.response import Attempt
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.errors import AsyncInvokeError, InvalidRequestError


class Prepared:
    """An item of a recorded map, encoded and ready to be sent."""

    __slots__ = (
        "body",
        "call",
        "digest",
        "error",
        "index",
        "is_sent",
        "key",
        "lost",
        "outcome",
        "row",
        "take",
    )

    def __init__(
        self,
        index: int,
        key: str | None,
        call: Call | None,
        body: bytes,
        error: InvalidRequestError | None = None,
    ) -> None:
        self.index: int = index
        self.key: str | None = key
        self.call: Call | None = call
        self.body: bytes = body
        self.error: InvalidRequestError | None = error
        """Why the item is invalid, if it is."""
        self.digest: bytes | None = None
        """The digest of the request; set by the recorder."""
        self.row: int = -1
        """The row of the item in the journal; set by the recorder."""
        self.take: int = 1
        """How many times the item has been run, including this time."""
        self.lost: Attempt | None = None
        """The attempt of an earlier process that died during it, if there was one."""
        self.is_sent: bool = False
        """Whether the function may already have run."""
        self.outcome: Outcome[Any]
        """How the item has ended; set by the recorder, not before. A pair of item and outcome, for each
        item that waits for a commit, would be one more object that every garbage collection visits."""


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


class AttemptMarks(Protocol):
    """Records of what an execution sends whether it may have run."""

    def set(self, progress: Progress) -> None:
        """Record that it may have run from now on: an attempt is about to be sent.

        Args:
            progress: The progress of the attempt.

        Raises:
            JournalError: It cannot be recorded. Nothing is sent.
        """
        ...

    def ended(self, *, did_not_run: bool) -> None:
        """Record that the attempt has failed, and whether it certainly did not run."""
        ...

    def cancelled(self) -> None:
        """Record that the execution was cancelled, perhaps between two attempts."""
        ...


class Recorder(Protocol):
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

    def mark(self, items: Iterable[Prepared]) -> Sequence[Prepared]:
        """Record that a request with these items is about to be sent.

        Returns:
            The items for which it is the first one.

        Raises:
            JournalError: It cannot be recorded; nothing is then.
        """
        ...

    def unmark(self, items: Iterable[Prepared]) -> None:
        """Record that these items certainly have not run so far."""
        ...

    async def close(self) -> AsyncInvokeError | None:
        """Record all remaining ends, and close the journal; return the error if that failed."""
        ...
