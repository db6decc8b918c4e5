"""The parts of a run on several processes: found beside its journal, and read as one run."""

import contextlib
import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from asyncinvoke import JournalError, Outcome
from asyncinvoke._report.standing import TOTAL, UNRECORDED, key_of, total_of, unrecorded_note
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.runs.control_loop import ANSWER
from asyncinvoke.cli.runs.group import opened_run
from asyncinvoke.runs import (
    RecordedCause,
    RecordedItem,
    RecordedRun,
    RunSummary,
    Sample,
    is_begun,
    open_run,
)

_COUNTS = (
    *("succeeded", "failed", "not_run", "may_have_run"),
    *("settled", "in_flight", "attempts", "throttled"),
)
_PART = re.compile(r"\.([0-9]+)of([0-9]+)")


class ReadableRun(Protocol):
    """A recorded run, or the parts of one."""

    def summary(self) -> RunSummary:
        """Return the progress of the run."""

    def causes(self) -> Sequence[RecordedCause]:
        """Return the causes of failures, most frequent first."""

    def latest_sample(self) -> Sample | None:
        """Return the statistics of the last second."""

    def item(self, *, position: int | None = None, key: str | None = None) -> RecordedItem | None:
        """Return one item."""

    def outcome(
        self, *, position: int | None = None, key: str | None = None
    ) -> Outcome[Any] | None:
        """Return the outcome of one item."""

    def check(self) -> tuple[str, ...]:
        """Verify every page and count of the file; return what is damaged."""


@contextlib.contextmanager
def opened_whole(path: str) -> Iterator[ReadableRun]:
    """Open a run for the duration of the block, or its parts until they are merged.

    Once the parts have ended, they are merged into the journal of the run, which has more detail.

    Raises:
        JournalError: The file does not exist, or is not a journal.
    """
    parts = running_parts(path) or _unmerged(path)
    with contextlib.ExitStack() as stack:
        if not parts:
            yield stack.enter_context(opened_run(path))
            return
        yield Parts(path, [stack.enter_context(open_run(each)) for each in parts])


def running_parts(path: str) -> list[str]:
    """Return the journals of the parts of a run, if at least one of them is running.

    Return none if the run itself is running, as in a redrive, or has no parts.
    """
    found = found_parts(Path(path)) if path else []
    running = [is_running(f"{path}.{number}of{of}") for number, of in found]
    if True not in running or is_running(path):
        return []
    parts = zip(found, running, strict=True)
    return [
        f"{path}.{number}of{of}" for (number, of), is_running in parts if is_running is not None
    ]


def _unmerged(path: str) -> list[str]:
    """Return the journals of the parts of a run that has none itself, as all were killed."""
    if not path or is_begun(path):
        return []
    return [each for each in all_parts(path) if is_begun(each)]


def check_whole(path: str) -> None:
    """Check that no parts of a run are running or unmerged: the whole would run items again.

    Raises:
        CommandError: A part is running, and the message names its process; or the parts are not
            merged yet.
    """
    for part in running_parts(path):
        with open_run(part) as run:
            summary = run.summary()
        if summary.running:
            raise CommandError(
                f"{path}: its part {part} is running in {summary.holder or 'another process'}: "
                "wait until all --processes have ended"
            )
    parts = all_parts(path)
    if parts and not is_begun(path):
        raise CommandError(
            f"{path}: its --processes {len(parts)} were killed: continue it with the same number, "
            f"or merge {path}.*of{len(parts)} into it"
        )


def controlled_journals(path: str) -> list[str]:
    """Return the journals that a control request applies to: the parts of a run, or the run.

    Parts are returned even if they are not running, because the same command continues them.
    """
    if not running_parts(path) and is_running(path):
        return [path]
    return all_parts(path) or [path]


def all_parts(path: str) -> list[str]:
    """Return the journals of all parts of a run, including those that do not exist yet."""
    found = found_parts(Path(path)) if path else []
    of = max((of for _, of in found), default=0)
    return [f"{path}.{number}of{of}" for number in range(1, of + 1)]


def even_shares(number: int, among: int) -> list[int]:
    """Return a number divided into shares that are as even as possible."""
    each, more = divmod(number, among)
    return [each + (place < more) for place in range(among)]


def found_parts(journal: Path) -> list[tuple[int, int]]:
    """Return the numbers of the part journals in the directory of a run's journal."""
    found = []
    for path in journal.parent.glob(f"{glob.escape(journal.name)}.*of*"):
        match = _PART.fullmatch(path.name.removeprefix(journal.name))
        if match is not None:
            found.append((int(match[1]), int(match[2])))
    return sorted(found)


def is_running(path: str) -> bool | None:
    """Return whether a process is running a journal; `None` if it cannot be opened yet."""
    try:
        with open_run(path) as run:
            return run.summary().running
    except JournalError:
        return None


class Parts:
    """The parts of one run, combined.

    Args:
        path: The journal of the run.
        runs: Its parts.
    """

    def __init__(self, path: str, runs: list[RecordedRun]) -> None:
        self._path = path
        self._runs = runs

    def summary(self) -> RunSummary:
        """Return the progress of all parts."""
        each = [run.summary() for run in self._runs]
        versions: dict[str, int] = {}
        for one in each:
            for name, count in one.versions.items():
                versions[name] = versions.get(name, 0) + count
        totals = [total_of(one) for one in each]
        sums: dict[str, Any] = {name: sum(getattr(one, name) for one in each) for name in _COUNTS}
        sessions = tuple(sorted((s for one in each for s in one.sessions), key=_order))
        return replace(
            each[0],
            path=self._path,
            running=any(one.running for one in each),
            # Of the part whose session is shown: another holder would be one that has not begun.
            holder=next((one.holder for one in each if {*sessions[-1:]} & {*one.sessions}), None),
            total=None if None in totals else sum(total or 0 for total in totals),
            versions=versions,
            sessions=sessions,
            notes=_joined_notes(each),
            **sums,
        )

    def causes(self) -> list[RecordedCause]:
        """Return the causes of failures, with equal causes combined, most frequent first."""
        found: dict[tuple[str | None, ...], RecordedCause] = {}
        for cause in (cause for run in self._runs for cause in run.causes()):
            key = key_of(cause)
            count = found[key].count if key in found else 0
            found[key] = replace(found.get(key, cause), count=count + cause.count)
        ordered = sorted(found.values(), key=lambda cause: -cause.count)
        return [replace(cause, number=number) for number, cause in enumerate(ordered, 1)]

    def latest_sample(self) -> Sample | None:
        """Return the statistics of the last second, summed over the running parts."""
        samples = [
            sample
            for run in self._runs
            if run.summary().running and (sample := run.latest_sample()) is not None
        ]
        if not samples:
            return None
        throttles: dict[str, int] = {}
        for sample in samples:
            for reason, count in sample.throttles.items():
                throttles[reason] = throttles.get(reason, 0) + count
        counts = ("succeeded", "failed", "in_flight", "waiting", "limit")
        sums: dict[str, Any] = {name: sum(getattr(one, name) for one in samples) for name in counts}
        return replace(samples[0], throttles=throttles, **sums)

    def item(self, *, position: int | None = None, key: str | None = None) -> RecordedItem | None:
        """Return one item, from the part that has it."""
        for run in self._runs:
            item = run.item(position=position, key=key)
            if item is not None:
                return self._renumbered(item, run)
        return None

    def _renumbered(self, item: RecordedItem, run: RecordedRun) -> RecordedItem:
        """Return an item of a part with the numbers that `causes` gives to its causes."""
        numbers = {key_of(cause): cause.number for cause in self.causes()}
        new = {cause.number: numbers.get(key_of(cause)) for cause in run.causes()}
        earlier = tuple(replace(take, cause=new.get(take.cause or 0)) for take in item.earlier)
        return replace(item, cause=new.get(item.cause or 0), earlier=earlier)

    def outcome(
        self, *, position: int | None = None, key: str | None = None
    ) -> Outcome[Any] | None:
        """Return the outcome of one item."""
        found = (run.outcome(position=position, key=key) for run in self._runs)
        return next((outcome for outcome in found if outcome is not None), None)

    def check(self) -> tuple[str, ...]:
        """Return what is damaged in any part."""
        return tuple(found for run in self._runs for found in run.check())


def _order(session: Any) -> tuple[bool, float]:
    """Sort running sessions last."""
    return session.ended is None, session.started


def _joined_notes(each: list[RunSummary]) -> dict[str, object]:
    notes = {**each[0].notes, UNRECORDED: 0, **unrecorded_note(each)}
    answers = [one.notes.get(ANSWER) for one in each if one.running]
    paused = [isinstance(answer, dict) and answer.get("paused") is True for answer in answers]
    notes[ANSWER] = {"paused": all(paused)} if paused else None
    notes.pop(TOTAL, None)
    return notes
