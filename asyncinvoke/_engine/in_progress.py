"""The executions in progress, counted, so that leaving an invoker can wait until they have ended."""

import anyio


class InProgress:
    """Counts the executions in progress.

    A stream whose caller runs its own code, such as handling a chunk, is in progress too, but is
    lent to that caller: only that caller can end it.
    """

    __slots__ = ("active", "changed", "lent")

    def __init__(self) -> None:
        self.active: int = 0
        """The number of executions in progress; updated directly where a call would cost more."""
        self.lent: int = 0
        """How many of them are lent."""
        self.changed: anyio.Event | None = None
        """Set once none is left but those that are lent; `None` if nobody has ever waited."""

    def begin(self) -> None:
        """Count an execution that starts."""
        self.active += 1

    def end(self) -> None:
        """Count an execution that has ended."""
        self.active -= 1
        self.notify()

    def lend(self) -> None:
        """Note that the caller of a stream now runs its own code; `settled` does not wait for it."""
        self.lent += 1
        self.notify()

    def reclaim(self) -> None:
        """Note that the caller of a stream is back, waiting for a chunk or leaving the block."""
        self.lent -= 1

    def notify(self) -> None:
        """Wake those who wait, if none is left but those that are lent."""
        if self.changed is not None and self.active <= self.lent:
            self.changed.set()

    async def drained(self) -> None:
        """Wait until no execution is in progress."""
        while self.active:
            await self._next_change()

    async def settled(self) -> None:
        """Wait until no execution is in progress but those that are lent."""
        while self.active > self.lent:
            await self._next_change()

    async def _next_change(self) -> None:
        if self.changed is None or self.changed.is_set():
            self.changed = anyio.Event()
        await self.changed.wait()
