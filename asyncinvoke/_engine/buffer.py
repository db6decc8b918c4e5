"""What lies between the input of a map and its consumer: how far is read, which outcome is next."""

from collections import deque
from typing import Any

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke.errors import InvalidRequestError

READ_AHEAD = 16
"""How many items are read, beyond the concurrency, ahead of the consumer."""

SPARE = 8
"""For so many workers, one item is read before one of them is free for it; `READ_AHEAD` at most.
Waking the reader for each item costs as much as all the rest of the hand-over."""


class Buffer:
    """Counts what was read, is unfinished and was taken; holds the outcomes that wait to be taken.

    Two bounds hold for reading. Of what is unfinished there is as much as can be worked upon, and a
    little more; of what the consumer has not taken there is `READ_AHEAD` more than that, finished
    or not. A reader that waits is woken once most of what it read ahead is used up.

    The members are there to be counted on directly: a call for each would cost more than they do.

    Args:
        ordered: Whether outcomes come in the order of the input, or as they end.
    """

    __slots__ = (
        "_early",
        "_most_ahead",
        "_most_unfinished",
        "_ordered",
        "_wake_below",
        "concurrency",
        "is_cut",
        "next_index",
        "read",
        "ready",
        "taken",
        "unfinished",
    )

    def __init__(self, concurrency: int, *, ordered: bool) -> None:
        self.read = 0
        """Items that were read."""
        self.unfinished = 0
        """Items that were read and have no outcome yet."""
        self.taken = 0
        """Outcomes that the consumer has taken."""
        self.ready: deque[Any] = deque()
        """Outcomes that it may take."""
        self.next_index = 0
        """The item whose outcome is due next, if they are ordered."""
        self.is_cut = False
        """Whether it gives no outcomes any more."""
        self._ordered = ordered
        self._early: dict[int, Outcome[Any] | None] = {}
        self.size(concurrency)

    def size(self, concurrency: int) -> None:
        """Set the bounds for so many workers.

        Raises:
            InvalidRequestError: It is not a whole number from 1.
        """
        if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
            raise InvalidRequestError(f"concurrency {concurrency!r} must be a whole number from 1")
        spare = min(READ_AHEAD, concurrency // SPARE)
        self.concurrency = concurrency
        self._most_ahead = concurrency + READ_AHEAD
        self._most_unfinished = concurrency + spare
        self._wake_below = concurrency + (spare + 3) // 4

    def has_room(self) -> bool:
        """Return whether the consumer has made room for the outcome of another item."""
        return self.read - self.taken < self._most_ahead

    def may_read(self) -> bool:
        """Return whether another item may be read."""
        return self.unfinished < self._most_unfinished and self.read - self.taken < self._most_ahead

    def should_read_on(self) -> bool:
        """Return whether a reader that waits is to be woken."""
        return self.unfinished < self._wake_below and self.read - self.taken < self._most_ahead

    def put(self, index: int, outcome: Outcome[Any] | None) -> None:
        """Take an item's outcome, or close its gap in the order if there is none."""
        self.unfinished -= 1
        if self.is_cut:
            return
        if not self._ordered:
            if outcome is not None:
                self.ready.append(outcome)
            return
        self._early[index] = outcome
        while self.next_index in self._early:
            due = self._early.pop(self.next_index)
            if due is not None:
                self.ready.append(due)
            self.next_index += 1

    def cut(self) -> None:
        """Give no outcomes any more."""
        self.is_cut = True
        self.ready.clear()
        self._early.clear()

    def __len__(self) -> int:
        return len(self.ready) + len(self._early)
