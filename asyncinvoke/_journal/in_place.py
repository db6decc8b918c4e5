"""Whether the files of an open journal are still those that were opened."""

from pathlib import Path

from asyncinvoke._journal.marks import path_of
from asyncinvoke._journal.opening import SIDES
from asyncinvoke.errors import JournalError


def identity_of_file(path: Path) -> tuple[int, int]:
    """Return what distinguishes a file from another one at the same path."""
    found = path.stat()
    return found.st_dev, found.st_ino


class OpenFiles:
    """The files of an open journal, as they were when it was opened.

    SQLite does not notice if one of them is deleted or replaced: it keeps using the open file, which
    nobody else can see.

    Args:
        path: The path of the journal, as shown in messages.
        real: The resolved path.
    """

    def __init__(self, path: Path, real: Path) -> None:
        self._path = path
        self._real = real
        self._identity = identity_of_file(real)
        self._size = 0
        self._beside: dict[Path, tuple[int, int]] = {}

    def add_beside(self) -> None:
        """Add the files beside the journal, which exist once a session has begun."""
        names = (*(Path(f"{self._real}{side}") for side in SIDES), path_of(self._real))
        self._beside = {name: identity_of_file(name) for name in names if name.exists()}

    def check(self) -> None:
        """Check the file of the journal itself, before more is recorded in it.

        Raises:
            JournalError: It was deleted, replaced or truncated.
        """
        try:
            found = self._real.stat()
        except OSError:
            raise JournalError(
                f"{self._path}: it was deleted while the run was under way"
            ) from None
        if (found.st_dev, found.st_ino) != self._identity:
            raise JournalError(f"{self._path}: another file was put in its place")
        if found.st_size < self._size:  # a journal does not shrink
            raise JournalError(f"{self._path}: it was truncated while the run was under way")
        self._size = found.st_size

    def error_beside(self) -> JournalError | None:
        """Return the error if a file beside the journal was deleted or replaced."""
        for beside, identity in self._beside.items():
            try:
                is_there = identity_of_file(beside) == identity
            except OSError:
                is_there = False
            if not is_there:
                return JournalError(
                    f"{self._path}: {beside.name} beside it was deleted or replaced while the run "
                    "was under way"
                )
        return None
