"""A bell: wakes all who listen, and costs next to nothing where nobody does."""

import anyio


class Bell:
    """Rings for those who listen at that moment; to hear it again they listen again."""

    __slots__ = ("_event", "_make")

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        self._make: type[anyio.Event] | None = None

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return self._event is not None

    def listen(self) -> anyio.Event:
        """Return the event that is set when the bell rings next."""
        if self._event is None:
            if self._make is None:
                # Finding the class for this event loop costs three times as much as an event.
                self._make = type(anyio.Event())
            self._event = self._make()
        return self._event

    def ring(self) -> None:
        """Wake those who listen."""
        event, self._event = self._event, None
        if event is not None:
            event.set()
