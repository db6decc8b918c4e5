"""A run to be read as one, whether it is in one journal or in the parts of several processes."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from asyncinvoke import Outcome
from asyncinvoke._report.standing import TOTAL, UNRECORDED, key_of, total_of, unrecorded_note
from asyncinvoke.cli.runs.control_loop import ANSWER
from asyncinvoke.cli.runs.group import opened_run
from asyncinvoke.cli.runs.parts import running_parts, unmerged
from asyncinvoke.runs import (
    RecordedCause,
    RecordedItem,
    RecordedRun,
    RunSummary,
    Sample,
    open_run,
)

_COUNTS = (
    *("succeeded", "failed", "not_run", "may_have_run"),
    *("settled", "in_flight", "attempts", "throttled"),
)


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
    parts = running_parts(path) or unmerged(path)
    with contextlib.ExitStack() as stack:
        if not parts:
            yield stack.enter_context(opened_run(path))
            return
        yield Parts(path, [stack.enter_context(open_run(each)) for each in parts])


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
