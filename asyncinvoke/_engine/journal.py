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
    """Which items that failed in an earlier session to run again; combine them with `|`."""

    NONE = 0
    """No items."""

    NOT_RUN = 1
    """Items that certainly did not run: throttled, rejected or never sent."""

    FAILED = 3
    """Items that certainly did not run, and items that ran and reported a failure."""

    MAY_HAVE_RUN = 4
    """Items that may or may not have run. Check first whether running them again is safe."""


class Changed(StrEnum):
    """What to do with an item whose payload changed since it was recorded, in a run with keys."""

    REFUSE = "refuse"
    """Raise `JournalMismatchError`."""

    KEEP = "keep"
    """Keep the recorded outcome and do not send the item."""

    AGAIN = "again"
    """Run the item again with its new payload, as another take."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The file that records a map, so that repeating the call continues it.

    Raises:
        InvalidRequestError: A value has the wrong type.
    """

    path: str | os.PathLike[str]
    """The file, on a local disk; created if it does not exist. While it is open, files with the
    suffixes `-wal`, `-shm` and `-marks` exist next to it."""

    _: KW_ONLY

    results: bool = True
    """Whether to store the functions' results and error details."""

    replay: bool = True
    """Whether to also yield the outcomes recorded by earlier sessions, with `replayed` set. Nothing
    can be replayed without `results`."""

    redrive: Redrive | Callable[[Outcome[Any]], bool] = Redrive.NONE
    """Which failed items to run again; a function is called with each failed outcome."""

    changed: Changed = Changed.REFUSE
    """What to do, in a run with keys, with an item whose payload has changed."""

    notes: Mapping[str, object] = field(default_factory=dict, repr=False)
    """Notes to store with the run, by name: any JSON-serializable values."""

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
    """Validate a note.

    Raises:
        InvalidRequestError: Its name is not a string, or its value is not JSON-serializable.
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
    """Return the journal for what the caller passed.

    Raises:
        InvalidRequestError: It is neither a `Journal` nor a path.
    """
    return journal if isinstance(journal, Journal) else Journal(journal)
