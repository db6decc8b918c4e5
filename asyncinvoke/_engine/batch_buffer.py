"""What lies between the input of a map in batches and its consumer: how far is read."""

from asyncinvoke._engine.buffer import Buffer

AHEAD = 2
"""How many batches are read, beyond the concurrency, ahead of the consumer."""


class BatchBuffer(Buffer):
    """A buffer whose bounds are those of batches: outcomes are counted as ever, by the item.

    Closed batches that are unfinished are counted by themselves: a batch that is full of bytes may
    have few items. A reader that waits for the consumer goes on once there is room for a whole
    batch, or a slow consumer would make small ones.

    Args:
        items: How many items a batch has at most.
    """

    __slots__ = ("_items", "_most_batches", "batches", "inside")

    def __init__(self, concurrency: int, *, ordered: bool, items: int) -> None:
        self._items = items
        self.batches: int = 0
        """Batches that are closed and have no outcomes yet."""
        self.inside: int = 0
        """Items in batches, open ones too, that have no outcomes yet. What else is unfinished waits
        to be recorded."""
        super().__init__(concurrency, ordered=ordered)

    def size(self, concurrency: int) -> None:
        """Set the bounds for so many workers, each with a batch.

        Raises:
            InvalidRequestError: It is not a whole number from 1.
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
            and not self.is_held
        )

    def should_read_on(self) -> bool:
        """Return whether a reader that waits is to be woken."""
        return (
            self.batches < self._most_batches
            and self.unfinished - self.inside <= (self.ahead or 0) // 2
            and self.read - self.taken - self.held <= self._most_ahead - self._items
            and not self.is_held
        )
