"""The input of a recorded run as the map takes it, and once more where it may be another by now."""

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable

from asyncinvoke.inputs import Item

FILE = "file"
"""The name of the note that says what the file of the input was like."""


class Reading:
    """The items of an input, and the same items again, to be compared before anything is sent.

    Args:
        items: Reads for the map.
        again: Reads once more; gives `None` where the input is what it was, or can be read once only.
    """

    def __init__(
        self,
        items: Callable[[], AsyncIterator[Item]],
        again: Callable[[], AsyncIterable[Item] | None],
    ) -> None:
        self._items = items
        self._again = again

    def __aiter__(self) -> AsyncIterator[Item]:
        return self._items()

    def read_again(self) -> AsyncIterable[Item] | None:
        """Return the items once more, where they have to be compared."""
        return self._again()


def file_note(status: os.stat_result) -> dict[str, int]:
    """Return what the journal keeps of an input's file: another size or time is another file."""
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def is_same_file(note: object, status: os.stat_result) -> bool:
    """Return whether an input's file is what the journal has noted."""
    return note == file_note(status)
