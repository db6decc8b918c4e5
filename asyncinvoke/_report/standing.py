"""The progress of a run, from its counts and the notes of the command line. Does no I/O."""

from collections.abc import Container, Iterable, Sequence, Sized
from typing import Any

from asyncinvoke._engine.causes import OTHERS
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._journal.in_doubt import LOST, LOST_CAUSE
from asyncinvoke._journal.rows import CauseKey, cause_of
from asyncinvoke._journal.shards import (
    PARTS,
    SETTLED,
    is_of_merge,
    missing_shards,
    total_of_parts,
)
from asyncinvoke._journal.values import RecordedCause, RunSummary
from asyncinvoke.errors import AsyncInvokeError, InvalidRequestError

TOTAL = "total"
"""The name of the note with the number of items in the input."""

UNRECORDED = "unrecorded"
"""The name of the note with the number of items that the journal cannot record."""


NO_CAUSE = 0
"""The number, in place of that of a cause, for items that have no outcome yet."""


def total_of(summary: RunSummary) -> int | None:
    """Return the number of items in the input, if known."""
    noted = summary.notes.get(TOTAL)
    return noted if summary.total is None and isinstance(noted, int) else summary.total


def unrecorded_of(summary: RunSummary) -> int:
    """Return the number of failed items that are not recorded: their keys are missing or duplicate."""
    noted = summary.notes.get(UNRECORDED)
    return noted if isinstance(noted, int) else 0


def unrecorded_note(summaries: Iterable[RunSummary]) -> dict[str, object]:
    """Return the note that says how many items these runs together could not record, if any."""
    unrecorded = sum(map(unrecorded_of, summaries))
    return {UNRECORDED: unrecorded} if unrecorded else {}


def pending_of(summary: RunSummary) -> int | None:
    """Return the number of items that were not started, if known."""
    total = total_of(summary)
    if total is None:
        return None
    in_flight = summary.in_flight if summary.running else 0
    return max(total - summary.ended - in_flight - unrecorded_of(summary), 0)


def total_of_all(summaries: Sequence[RunSummary]) -> int | None:
    """Return the number of items of all these runs; `None` if unknown, as when a shard is missing."""
    keyed = any(summary.keyed for summary in summaries)
    if missing_shards(shard for summary in summaries for shard in summary.shards or (None,)):
        return None
    if keyed and any(not summary.shards for summary in summaries):
        return None  # their inputs may have keys in common
    return total_of_parts(
        [(summary.shards, total_of(summary)) for summary in summaries], keyed=keyed
    )


def has_changed_since_merge(summary: RunSummary) -> bool:
    """Return whether a merged journal has changed, so that merging its parts again would lose records.

    It has changed if it was run itself, or if an item was settled in it.
    """
    parts: Any = summary.notes.get(PARTS)
    if not is_of_merge(parts):
        return True
    sessions = sum(part["sessions"] for part in parts)
    return sessions != len(summary.sessions) or any(SETTLED in part for part in parts)


def is_part_of(merged: RunSummary, part: RunSummary) -> bool:
    """Return whether a journal was merged into another one."""
    noted: Any = merged.notes.get(PARTS)
    return is_of_merge(noted) and any(each.get("id") == part.id for each in noted)


def has_run_since_merge(merged: RunSummary, parts: Iterable[RunSummary]) -> bool:
    """Return whether parts of a merged journal have run since, so that it lacks what they did.

    Not if the merged journal has since gone on by itself: its parts are then the past.
    """
    if has_changed_since_merge(merged):
        return False
    noted: Any = merged.notes[PARTS]
    known = {part.get("id"): part["sessions"] for part in noted}
    return any(len(part.sessions) > known.get(part.id, 0) for part in parts)


def idempotent_of(summary: RunSummary) -> bool | None:
    """Return whether the map is idempotent; `None` if unknown: only the command line notes it."""
    match summary.notes.get("command"):
        case {"shared": {"idempotent": bool(is_idempotent)}}:
            return is_idempotent
    return None


def causes_of_lost(lost: Sized) -> tuple[RecordedCause, ...]:
    """Return the cause that the next session records for items that were in progress at a kill."""
    cause = RecordedCause(number=NO_CAUSE, **LOST_CAUSE._asdict(), example=LOST, count=len(lost))
    return (cause,) if lost else ()


def key_of(cause: RecordedCause) -> CauseKey:
    """Return what identifies a cause in every journal; its number differs between journals."""
    return CauseKey(cause.error, cause.code, cause.error_type, cause.delivery, cause.gave_up)


def cause_among(error: AsyncInvokeError, known: Container[CauseKey]) -> CauseKey:
    """Return the cause under which an error is recorded, if the journal has these causes.

    See `kept_cause` for what it records of others.
    """
    key = cause_of(error)
    others = key._replace(error_type=OTHERS)
    wider = (key, others, others._replace(code=None))
    return next((each for each in wider if each in known), others)


def is_recorded(outcome: Outcome, *, keyed: bool) -> bool:
    """Return whether the journal records an item: not if its key is missing or duplicate."""
    if not keyed or not isinstance(outcome.error, InvalidRequestError):
        return True
    return outcome.key is not None and outcome.take > 0
