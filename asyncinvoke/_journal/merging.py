"""Merges the journals of shards into one, as if one process had run all of them."""

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from asyncinvoke._engine.journal import check_note
from asyncinvoke._journal.copying import Copies
from asyncinvoke._journal.damage import damage_told
from asyncinvoke._journal.locked_file import LockedError
from asyncinvoke._journal.marks import Marks
from asyncinvoke._journal.merged import Part, about, check_parts, missing_of
from asyncinvoke._journal.opening import remove_log
from asyncinvoke._journal.paths import check_path
from asyncinvoke._journal.reading import RecordedRun
from asyncinvoke._journal.shards import are_apart
from asyncinvoke._outputs.parts import new_part, remove_abandoned
from asyncinvoke.errors import JournalError


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The result of a merge."""

    path: str
    """The path of the merged journal."""

    parts: int
    """The number of journals that were merged."""

    items: int
    """The total number of items that have ended."""

    ran_twice: int
    """The number of items that ran, or may have run, in more than one journal."""

    twice: tuple[int | str, ...]
    """The first of those, by position or key."""

    missing: tuple[str, ...]
    """Shards without a journal, such as `3/10`."""


def merge(
    out: str | os.PathLike[str],
    journals: Sequence[str | os.PathLike[str]],
    *,
    replace: bool = False,
    notes: Mapping[str, object] | None = None,
) -> Merged:
    """Merge the journals of shards, or of other parts of one run, into one.

    If an item is in several journals, a success takes precedence over a failure, an item that ended
    over one that may have run when its process died, and a later record over an earlier one. The
    other records are kept as earlier takes. The merged journal can be read, redriven and continued
    without a shard.

    Args:
        out: The path of the merged journal.
        journals: The journals to merge, at least one; they are not changed.
        replace: Whether to replace `out` if it exists.
        notes: Notes to store in the merged journal, beside those that all journals share.

    Returns:
        What was merged, which items ran twice, and which shards are missing.

    Raises:
        JournalError: A journal cannot be used (it is not a journal, a process is using it, or it
            is named twice), or `out` exists.
        JournalMismatchError: The journals belong to different runs; see its `differences`.
        InvalidRequestError: A note cannot be stored.
    """
    for name, note in (notes or {}).items():
        check_note(name, note)
    paths = [Path(each) for each in journals]
    if not paths:
        raise JournalError("nothing to merge: name at least one journal")
    _check_paths(Path(out), paths, replace=replace)
    with Merging(out) as merging:
        merging.add(paths)
        return merging.finish(notes)


class Merging:
    """A merge in progress: add journals in batches, then call `finish`.

    The merged journal is a temporary file beside the target until it is complete, so no reader sees
    a partial one. Leaving the block without `finish` removes it. Not thread-safe.

    Args:
        out: The path of the merged journal; an existing file is replaced.
    """

    def __init__(self, out: str | os.PathLike[str]) -> None:
        self._target = Path(out)
        # Links are resolved: the files beside a journal are named after the file itself.
        self._file = self._target.resolve()
        self._made: Path | None = None
        self._lock = contextlib.ExitStack()
        self._copies: Copies | None = None
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._copies is not None:
            self._copies.close()
        self._lock.close()
        if self._made is not None:
            self._made.unlink(missing_ok=True)

    def add(self, paths: Sequence[Path]) -> None:
        """Add journals; adding several at once is cheaper, as the rows of shards interleave.

        Raises:
            JournalError: A journal cannot be used.
            JournalMismatchError: The journals belong to different runs.
        """
        with self._explained():
            # One after the other: of thousands, not all can be open at once.
            parts = [_part_of(path) for path in paths]
            check_parts([*self._parts[:1], *parts])
            if self._copies is None:
                self._copies = self._begun(keyed=bool(parts[0].identity["key"]))
            shards = [part.shard for part in (*self._parts, *parts)]
            self._copies.add(paths, are_apart=are_apart(shards))
        self._parts += parts

    def finish(self, notes: Mapping[str, object] | None = None) -> Merged:
        """Move the merged journal to the target path; return what was merged.

        Raises:
            JournalError: Nothing was added, a process is using the target, or the target cannot be
                written.
        """
        copies, made = self._copies, self._made
        if copies is None or made is None:
            raise JournalError("nothing to merge: name at least one journal")
        with self._explained():
            items = copies.finish(
                lambda items: about(
                    self._parts, run_id=uuid.uuid4().hex, items=items, notes=notes or {}
                )
            )
            copies.close()
            _sync(made)
            with _locked(self._target, self._file) as marks:
                # A killed process may have left a WAL of the old file, which SQLite would silently
                # replay into the new one.
                remove_log(self._file)
                if os.name == "nt":  # an open file cannot be moved there
                    # Elsewhere it stays locked: an unlocked part is an abandoned one to others.
                    self._lock.close()
                made.replace(self._file)
                marks.remove()
        return Merged(
            path=str(self._target),
            parts=len(self._parts),
            items=items,
            ran_twice=copies.conflicts.ran_twice,
            twice=tuple(copies.conflicts.named),
            missing=missing_of(self._parts),
        )

    def _begun(self, *, keyed: bool) -> Copies:
        remove_abandoned(self._file)
        self._made, part = new_part(self._file, mode=0o600)
        self._lock.enter_context(part)
        copies = Copies(self._made, keyed=keyed)
        try:
            copies.begin()
        except BaseException:
            copies.close()
            raise
        return copies

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with damage_told(self._target):
                yield
        except OSError as error:
            raise JournalError(f"{self._target}: it cannot be written: {error.strerror}") from None


def _part_of(path: Path) -> Part:
    with RecordedRun(path) as run:
        return Part(path=str(path), summary=run.summary())


def _check_paths(target: Path, paths: list[Path], *, replace: bool) -> None:
    check_path(target, may_be_missing=True)
    if target.exists() and not replace:
        raise JournalError(f"{target}: it already exists")
    seen: dict[tuple[int, int], Path] = {}
    for path in paths:
        check_path(path)
        if target.exists() and target.samefile(path):
            raise JournalError(f"{path}: it is among those to merge, and cannot be made of them")
        found = path.stat()
        if (found.st_dev, found.st_ino) in seen:
            raise JournalError(f"{path}: it is given twice")
        seen[found.st_dev, found.st_ino] = path


@contextlib.contextmanager
def _locked(target: Path, file: Path) -> Iterator[Marks]:
    """Lock a journal while it is replaced."""
    try:
        marks = Marks.locked(file)
    except LockedError:
        raise JournalError(
            f"{target}: another process is using it; merge into it when that process has ended"
        ) from None
    with contextlib.closing(marks):
        try:
            yield marks
        except BaseException:
            if marks.is_new:
                marks.remove()
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
