"""The buffer between the input of a map and its consumer: how far to read, which outcome is next.

`BatchBuffer` is the buffer of a map in batches.
"""

from collections import deque
from collections.abc import Collection
from typing import Any

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._request.numbers import is_whole, whole
from asyncinvoke._request.target import show_value
from asyncinvoke.errors import InvalidRequestError

READ_AHEAD = 16
"""How many items are read, beyond the concurrency, ahead of the consumer."""

SPARE = 8
"""A map with fewer than `MANY` workers reads one item ahead per this many of them."""

MANY = 32
"""The number of workers from which `READ_AHEAD` items wait for the next free one. Waking the reader
for every item would cost as much as the rest of the hand-over."""


class Buffer:
    """Counts items read, unfinished and consumed, and holds the outcomes not yet consumed.

    Reading is bounded in two ways. The number of unfinished items is at most the concurrency plus a
    small margin. The number of items not yet consumed, finished or not, is at most the concurrency
    plus `READ_AHEAD`. A waiting reader is woken once half of what it read ahead has been used.

    The counters are public attributes, updated directly: a method call for each would cost more
    than the update itself.

    Args:
        ordered: Whether outcomes are yielded in input order, or as they complete.
    """

    __slots__ = (
        "_due",
        "_early",
        "_most_ahead",
        "_most_unfinished",
        "_ordered",
        "_wake_below",
        "ahead",
        "concurrency",
        "held",
        "is_cut",
        "is_paused",
        "read",
        "ready",
        "taken",
        "unfinished",
    )

    def __init__(self, concurrency: int, *, ordered: bool) -> None:
        self.read: int = 0
        """Items that were read."""
        self.unfinished: int = 0
        """Items that were read and have no outcome yet."""
        self.held: int = 0
        """Outcomes waiting to be recorded; their items are no longer unfinished."""
        self.ahead: int | None = None
        """How many items are read ahead of the workers, if not the default."""
        self.taken: int = 0
        """Outcomes that the consumer has taken."""
        self.ready: deque[Any] = deque()
        """Outcomes available to the consumer."""
        self.is_cut: bool = False
        """Whether outcomes are discarded."""
        self.is_paused: bool = False
        """Whether reading is paused."""
        self._ordered = ordered
        self._due: deque[int] = deque()
        self._early: dict[int, Outcome[Any] | None] = {}
        self.size(concurrency)

    def size(self, concurrency: int) -> None:
        """Set the bounds for a concurrency.

        Raises:
            InvalidRequestError: The concurrency is not a whole number of at least 1.
        """
        if not is_whole(concurrency, 1):
            raise InvalidRequestError(
                f"concurrency {show_value(concurrency)} must be {whole(concurrency, 1)}"
            )
        spare = READ_AHEAD if concurrency >= MANY else concurrency // SPARE
        if self.ahead is not None:
            spare = self.ahead
        self.concurrency: int = concurrency
        self._most_ahead = concurrency + READ_AHEAD + (self.ahead or 0)
        self._most_unfinished = concurrency + spare
        # With `ahead` set, items are read in groups: wake the reader when a quarter has been used.
        self._wake_below = concurrency + (
            (spare + 1) // 2 if self.ahead is None else 3 * self.ahead // 4
        )

    def has_room(self) -> bool:
        """Return whether there is room for the outcome of another item."""
        return self.read - self.taken - self.held < self._most_ahead

    def may_read(self) -> bool:
        """Return whether another item may be read."""
        return (
            self.unfinished < self._most_unfinished
            and self.read - self.taken - self.held < self._most_ahead
            and not self.is_paused
        )

    def should_read_on(self) -> bool:
        """Return whether a waiting reader should be woken."""
        return (
            self.unfinished < self._wake_below
            and self.read - self.taken - self.held < self._most_ahead
            and not self.is_paused
        )

    def expect(self, index: int) -> None:
        """Record that an item was read; skipped positions belong to other shards."""
        self.read += 1
        self.unfinished += 1
        if self._ordered:
            self._due.append(index)

    @property
    def next_index(self) -> int | None:
        """The index of the next outcome to be yielded, if they are ordered."""
        return self._due[0] if self._due else None

    def put(self, index: int, outcome: Outcome[Any] | None) -> None:
        """Add an item's outcome; `None` if it has none, which closes its gap in the order."""
        self.unfinished -= 1
        if self._ordered or self.is_cut or outcome is None:
            self.hand_out(index, outcome)
        else:
            self.ready.append(outcome)  # `hand_out`, inlined to save a call

    def let_go(self, outcomes: Collection[Outcome[Any]]) -> None:
        """Release outcomes that were held."""
        self.held -= len(outcomes)
        if self._ordered or self.is_cut:
            for outcome in outcomes:
                self.hand_out(outcome.index, outcome)
        else:
            self.ready.extend(outcomes)

    def hand_out(self, index: int, outcome: Outcome[Any] | None) -> None:
        """Make an outcome available to the consumer, in order if required."""
        if self.is_cut:
            return
        if not self._ordered:
            if outcome is not None:
                self.ready.append(outcome)
            return
        self._early[index] = outcome
        due, early = self._due, self._early
        while due and due[0] in early:
            first = early.pop(due.popleft())
            if first is not None:
                self.ready.append(first)

    def cut(self) -> None:
        """Discard all outcomes, present and future."""
        self.is_cut = True
        self.ready.clear()
        self._early.clear()
        self._due.clear()

    def __len__(self) -> int:
        return len(self.ready) + len(self._early)


AHEAD = 2
"""How many batches are read, beyond the concurrency, ahead of the consumer."""


class BatchBuffer(Buffer):
    """A buffer bounded by the number of batches; outcomes are still counted per item.

    Closed, unfinished batches are counted separately, since a batch that is full by size may have
    few items. A reader waiting for the consumer resumes once there is room for an entire batch;
    otherwise a slow consumer would cause small batches.

    Args:
        items: The maximum number of items in a batch.
    """

    __slots__ = ("_items", "_most_batches", "batches", "inside")

    def __init__(self, concurrency: int, *, ordered: bool, items: int) -> None:
        self._items = items
        self.batches: int = 0
        """Closed batches that have no outcomes yet."""
        self.inside: int = 0
        """Items in batches, including open ones, that have no outcomes yet. Other unfinished items
        are waiting to be recorded."""
        super().__init__(concurrency, ordered=ordered)

    def size(self, concurrency: int) -> None:
        """Set the bounds for a number of concurrent batches.

        Raises:
            InvalidRequestError: The concurrency is not a whole number of at least 1.
        """
        super().size(concurrency)
        self._most_batches = concurrency + AHEAD
        self._most_ahead = (concurrency + AHEAD) * self._items + (self.ahead or 0)

    def may_read(self) -> bool:
        """Return whether another item may be read."""
        return (
            self.batches < self._most_batches
            and self.unfinished - self.inside < (self.ahead or 1)
            and self.has_room()
            and not self.is_paused
        )

    def should_read_on(self) -> bool:
        """Return whether a waiting reader should be woken."""
        return (
            self.batches < self._most_batches
            and self.unfinished - self.inside <= (self.ahead or 0) // 2
            and self.read - self.taken - self.held <= self._most_ahead - self._items
            and not self.is_paused
        )
