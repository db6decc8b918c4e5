"""`Journal`: where a map is recorded, what is kept, and which items run again."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Flag, StrEnum
from typing import Any, TypeAlias

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._request.target import show_value
from asyncinvoke.errors import InvalidRequestError


class Redrive(Flag):
    """Which of the items that failed in an earlier session are run again; joined by `|`."""

    NONE = 0
    """None of them."""

    NOT_RUN = 1
    """Those that surely did not run: throttled, rejected, not sent."""

    FAILED = 3
    """Those that surely did not run, and those that ran and said that they failed."""

    MAY_HAVE_RUN = 4
    """Those of which nobody knows whether they ran. Look before you do that."""


class Changed(StrEnum):
    """What happens to an item, in a run with keys, that is not what it was."""

    REFUSE = "refuse"
    """`JournalMismatchError`."""

    KEEP = "keep"
    """What is recorded stands, and the item is not sent."""

    AGAIN = "again"
    """It is run as it is now, as another take."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The file that a map is recorded in, so that the same call continues it.

    Raises:
        InvalidRequestError: One of the values is of a wrong kind.
    """

    path: str | os.PathLike[str]
    """The file, on a local disk; made if it is not there. Beside it lie, while it is open, files
    with `-wal`, `-shm` and `-marks` behind its name."""

    _: KW_ONLY

    results: bool = True
    """Whether what functions return is kept, and what they say about their errors."""

    replay: bool = True
    """Whether the loop is also handed what earlier sessions have recorded, as outcomes that are
    `replayed`; without results there is nothing to replay."""

    redrive: Redrive | Callable[[Outcome[Any]], bool] = Redrive.NONE
    """Which of the items that failed are run again. A function is asked about each of them."""

    changed: Changed = Changed.REFUSE
    """What happens, in a run with keys, to an item that is not what it was."""

    notes: Mapping[str, object] = field(default_factory=dict)
    """What is kept with the run for whoever reads it, by name: anything that JSON can hold."""

    def __post_init__(self) -> None:
        is_path = isinstance(self.path, str | os.PathLike)
        if not is_path or not isinstance(os.fspath(self.path), str) or not os.fspath(self.path):
            raise InvalidRequestError(f"journal {show_value(self.path)} must be a path")
        for name, given in (("results", self.results), ("replay", self.replay)):
            if not isinstance(given, bool):
                raise InvalidRequestError(f"{name} {show_value(given)} must be True or False")
        if not isinstance(self.redrive, Redrive) and not callable(self.redrive):
            raise InvalidRequestError(
                f"redrive {show_value(self.redrive)} must be a Redrive or a function of an outcome"
            )
        if self.changed not in tuple(Changed):
            raise InvalidRequestError(f"changed {show_value(self.changed)} must be a Changed")
        if not isinstance(self.notes, Mapping):
            raise InvalidRequestError(f"notes {show_value(self.notes)} must be a mapping")
        for name, note in self.notes.items():
            check_note(name, note)


def check_note(name: object, note: object) -> None:
    """Check what is to be kept as a note.

    Raises:
        InvalidRequestError: Its name is no text, or JSON cannot hold it.
    """
    if not isinstance(name, str):
        raise InvalidRequestError(f"a note's name must be a string, not {type(name).__name__}")
    try:
        json.dumps(note)
        name.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"note {name!r} is nothing that JSON can hold") from error


JournalOrPath: TypeAlias = Journal | str | os.PathLike[str]
"""A journal, or the path of one."""


def read_journal(journal: JournalOrPath) -> Journal:
    """Return what a caller gave as a journal.

    Raises:
        InvalidRequestError: It is neither a `Journal` nor a path.
    """
    return journal if isinstance(journal, Journal) else Journal(journal)
