"""Merges the journals of shards into one, as if one process had run all of them."""

import contextlib
import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncinvoke._journal.damage import damage_told
from asyncinvoke._journal.identity import differences
from asyncinvoke._journal.joined import Joined
from asyncinvoke._journal.marks import path_of
from asyncinvoke._journal.merged import Merged, common_notes, comparable, missing_shards
from asyncinvoke._journal.opening import check_path
from asyncinvoke._journal.reading import RecordedRun
from asyncinvoke.errors import JournalError, JournalMismatchError


def merge(
    out: str | os.PathLike[str],
    journals: Sequence[str | os.PathLike[str]],
    *,
    replace: bool = False,
    notes: Mapping[str, object] | None = None,
) -> Merged:
    """Merge the journals of shards, or of other parts of one run, into one.

    Of an item that is in two of them, what has succeeded beats what has failed, what has ended
    beats what may have run when its process died, and the later beats the earlier. The other one
    is kept as an earlier take. The journal that is made can be read, redriven and continued
    without a shard.

    Args:
        out: The file to make.
        journals: The files to merge, one at least; they stay as they are.
        replace: Whether a file `out` that is there is replaced.
        notes: Kept in the journal, with those that are the same in all that are merged.

    Returns:
        What was merged, which items ran twice, and which shards are missing.

    Raises:
        JournalError: One of them cannot be used: it is not a journal, a process is at work on it,
            it is given twice, or `out` is there.
        JournalMismatchError: They are of different runs; `differences` has all of them.
    """
    paths, target = [Path(each) for each in journals], Path(out)
    if not paths:
        raise JournalError("there is nothing to merge: name one journal at least")
    _check_paths(target, paths, replace=replace)
    with damage_told(target), contextlib.ExitStack() as stack:
        parts = [_Part(path, stack.enter_context(RecordedRun(path))) for path in paths]
        _check_identities(parts)
        # Beside the other, and put in its place when it is whole: nobody sees half of it.
        made = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        missing = missing_shards(part.shard for part in parts)
        try:
            os.close(os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with Joined(made, keyed=bool(parts[0].identity["key"])) as joined:
                joined.begin(_about(parts, missing, notes or {}))
                joined.add([(part.path, part.run) for part in parts])
                items = joined.finish()
            _sync(made)
            path_of(target).unlink(missing_ok=True)
            made.replace(target)
        except OSError as error:
            raise JournalError(f"{target}: it cannot be written: {error.strerror}") from None
        finally:
            made.unlink(missing_ok=True)
    return Merged(
        path=str(target),
        parts=len(parts),
        items=items,
        ran_twice=joined.ran_twice,
        twice=tuple(joined.named),
        missing=missing,
    )


def _check_paths(target: Path, paths: list[Path], *, replace: bool) -> None:
    check_path(target, may_be_missing=True)
    if target.exists() and not replace:
        raise JournalError(f"{target}: it is there already")
    seen: dict[tuple[int, int], Path] = {}
    for path in paths:
        check_path(path)
        if target.exists() and target.samefile(path):
            raise JournalError(f"{path}: it is among those to merge, and cannot be made of them")
        found = path.stat()
        if (found.st_dev, found.st_ino) in seen:
            raise JournalError(f"{path}: it is given twice")
        seen[found.st_dev, found.st_ino] = path


class _Part:
    """One of the journals that are merged."""

    def __init__(self, path: Path, run: RecordedRun) -> None:
        self.path = path
        self.run = run
        self.summary = run.summary()
        if self.summary.running:
            raise JournalError(f"{path}: a process is at work on it; merge it when that has ended")
        self.identity: Mapping[str, Any] = dict(self.summary.identity)
        self.shard: str | None = self.identity.get("shard")


def _check_identities(parts: list[_Part]) -> None:
    first, *others = parts
    found = [
        f"{part.path}: {difference}"
        for part in others
        for difference in differences(comparable(first.identity), comparable(part.identity))
    ]
    if found:
        raise JournalMismatchError(
            f"these are journals of different runs, compared with {first.path}: {'; '.join(found)}",
            differences=tuple(found),
        )


def _about(
    parts: list[_Part], missing: tuple[str, ...], more: Mapping[str, object]
) -> dict[str, Any]:
    """Return what the journal that is made says of itself."""
    totals = [part.summary.total for part in parts]
    notes = common_notes([dict(part.summary.notes) for part in parts])
    notes["parts"] = [
        {
            "path": str(part.path),
            "shard": part.shard,
            "id": part.summary.id,
            "sessions": len(part.summary.sessions),
        }
        for part in parts
    ]
    about: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "created": time.time(),
        "identity": json.dumps(comparable(parts[0].identity)),
    }
    if not missing and None not in totals:
        about["total"] = sum(total or 0 for total in totals)
    return about | {f"note:{name}": json.dumps(each) for name, each in {**notes, **more}.items()}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
