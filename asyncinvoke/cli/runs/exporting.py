"""Exports a recorded run: its outcomes as lines of JSON, in one file or split by result."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from asyncinvoke import InvocationError, Outcome, Shard
from asyncinvoke._outputs.parts import new_part, remove_abandoned
from asyncinvoke._report.standing import total_of
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.runs import RecordedItem, RecordedRun, RunSummary

MANIFEST = "manifest.json"
"""Written last: if it exists, the export is complete."""

NAMES = {
    "succeeded": "succeeded-0.jsonl",
    "failed": "failed-0.jsonl",
    "may_have_run": "may-have-run-0.jsonl",
    "settled": "settled-0.jsonl",
    "pending": "pending.jsonl",
}
"""The files of a split export."""


class _Part:
    """A file of an export, whose lines are counted and hashed as they are written.

    It has a temporary name until it is complete. What a killed process leaves can then be told from
    files of the user, and is removed by the next export to the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self._size = 0
        self._sum = hashlib.sha256()
        self._part, self._file = new_part(path)
        self.there = self._part
        """The path of the file at present; while it is renamed, the path that it will have."""

    def write(self, line: bytes) -> None:
        self._file.write(line)
        self._sum.update(line)
        self._size += len(line)
        self.lines += 1

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        # It stays locked until it is renamed: an unlocked part is an abandoned one to others.
        try:
            if os.name == "nt":  # an open file cannot be moved there
                self._file.close()
            self.there = self.path  # first: a signal may come just after it was renamed
            self._part.replace(self.path)
        finally:
            with contextlib.suppress(OSError):  # it was synced: closing it loses nothing
                self._file.close()

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        for path in {self._part, self.there}:
            with contextlib.suppress(OSError):
                path.unlink()

    def described(self) -> dict[str, object]:
        return {
            "name": self.path.name,
            "lines": self.lines,
            "bytes": self._size,
            "sha256": self._sum.hexdigest(),
        }


def split(run: RecordedRun, folder: Path) -> dict[str, int]:
    """Write one file for the items of each state, and a manifest.

    If that fails, none of these files is left.

    Args:
        run: The run.
        folder: The target folder; created if missing, and must be empty, except for what an export
            to it has left that was killed.

    Returns:
        The number of lines of each file.

    Raises:
        CommandError: The folder is not empty, or cannot be written.
    """
    summary = run.summary()
    total = total_of(summary)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _new_parts(folder) as (parts, manifest):
            _write(run, parts, summary)
            counts = {name: part.lines for name, part in parts.items()}
            about = {
                "run": {"id": summary.id, "path": summary.path},
                "function_name": summary.function_name,
                "qualifier": summary.qualifier,
                "running": summary.running,
                "total": total,
                "counts": counts,
                "files": [part.described() for part in parts.values()],
            }
            manifest.write(json.dumps(about, indent=2).encode() + b"\n")
            # Renaming takes no time, unlike syncing: a kill hardly ever comes between the files.
            for part in (*parts.values(), manifest):
                part.sync()
            for part in (*parts.values(), manifest):
                part.finish()
    except OSError as error:
        raise CommandError(f"cannot write {folder}: {error.strerror}", status=FAILED) from error
    return counts


@contextlib.contextmanager
def _new_parts(folder: Path) -> Iterator[tuple[dict[str, _Part], _Part]]:
    """Create the files of an export, and its manifest; remove them if the block fails."""
    files = (*NAMES.values(), MANIFEST)
    # The manifest first: as long as it is there, the files that it lists can be told from others.
    remove_abandoned(folder / MANIFEST, before=partial(_remove_listed, folder))
    for file in NAMES.values():
        remove_abandoned(folder / file)
    made: list[_Part] = []
    try:
        for file in files:
            made.append(_Part(folder / file))  # noqa: PERF401  # those before are removed if it fails
        # Only now: of two exports to one folder at the same time, each sees the files of the other.
        _check_empty(folder, but={part.there for part in made})
        yield dict(zip(NAMES, made, strict=False)), made[-1]
    except BaseException:
        is_complete = (folder / MANIFEST).exists()  # though a signal came just then
        for part in made:
            if part.there != part.path or not is_complete:
                part.remove()
        raise


def _remove_listed(folder: Path, manifest: BinaryIO) -> None:
    """Remove the files that an export had renamed when it was killed, if nobody has changed them."""
    if (folder / MANIFEST).exists():
        return
    # A manifest that is incomplete lists nothing: its export was killed before any file was renamed.
    with contextlib.suppress(ValueError, TypeError, KeyError):
        for listed in json.load(manifest)["files"]:
            path = folder / listed["name"]
            if listed["name"] in NAMES.values() and path.is_file():
                with path.open("rb") as file:
                    is_unchanged = (
                        hashlib.file_digest(file, "sha256").hexdigest() == listed["sha256"]
                    )
                if is_unchanged:
                    path.unlink()


def _check_empty(folder: Path, *, but: set[Path]) -> None:
    if not but.issuperset(folder.iterdir()):
        raise CommandError(f"{folder} is not empty: export to a new folder")


def may_have_run_line(item: RecordedItem) -> bytes:
    """Return the line for an item that may have run, with what identifies it in logs."""
    fields = asdict(item)
    for name in ("state", "cause", "earlier"):
        del fields[name]
    fields["index"] = fields.pop("position")
    return json.dumps(fields).encode() + b"\n"


def outcome_lines(run: RecordedRun) -> Iterator[bytes]:
    """Return all recorded outcomes in input order, each as a line of JSON."""
    return map(as_line, run.outcomes())


def _write(run: RecordedRun, parts: dict[str, _Part], summary: RunSummary) -> None:
    # Items that may have run and have no outcome are listed after those with one. A kill leaves as many
    # as were in progress; those with an outcome may be millions, and are not kept.
    doubtful = {item.position: item for item in run.unknown() if item.started is None}
    settled = (item.position for item in run.settled())  # in the order of outcomes
    next_settled = next(settled, None)
    shards = [Shard.parse(shard) for shard in summary.shards]
    of = shards[0].of if shards else 1  # of one division, or there are none
    numbers = {shard.number for shard in shards} or {1}
    following = 0

    def write_pending(end: int) -> None:
        """Write the items that were not started: those without a record that did not run."""
        for position in range(following, end):
            if position % of + 1 in numbers and position not in doubtful:
                parts["pending"].write(json.dumps({"index": position}).encode() + b"\n")

    for outcome in run.outcomes():
        if not summary.keyed:
            write_pending(outcome.index)
        following = outcome.index + 1
        while next_settled is not None and next_settled < outcome.index:
            next_settled = next(settled, None)
        part = _part_of(outcome, is_settled=outcome.index == next_settled)
        if outcome.index in doubtful:
            if part != "may_have_run":
                continue  # what it ended with before a redrive that may have run it again
            del doubtful[outcome.index]
        parts[part].write(as_line(outcome))
    for item in doubtful.values():
        parts["may_have_run"].write(may_have_run_line(item))
    total = total_of(summary)
    if total is not None and not summary.keyed:
        # It is that of the run's own shard; of a merge that lacks shards there is none.
        write_pending(total * of)


def _part_of(outcome: Outcome[Any], *, is_settled: bool) -> str:
    if is_settled:
        return "settled"  # recorded as a failure, but it ran, and must not run again
    if outcome.error is None:
        return "succeeded"
    is_known = not isinstance(outcome.error, InvocationError) or outcome.error.delivery != "unknown"
    return "failed" if is_known else "may_have_run"
