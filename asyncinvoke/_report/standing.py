"""The progress of a run: its counts, and what the command line noted of its input. Does no I/O."""

from collections.abc import Sequence
from typing import Any

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._journal.shards import (
    PARTS,
    SETTLED,
    is_of_merge,
    missing_shards,
    total_of_parts,
)
from asyncinvoke._journal.values import RunSummary
from asyncinvoke.errors import InvalidRequestError

TOTAL = "total"
"""The name of the note that says how many items the input has."""

UNRECORDED = "unrecorded"
"""The name of the note that says how many items have no name that the journal could keep."""


def total_of(summary: RunSummary) -> int | None:
    """Return how many items the input has, if that is known."""
    noted = summary.notes.get(TOTAL)
    return noted if summary.total is None and isinstance(noted, int) else summary.total


def unrecorded_of(summary: RunSummary) -> int:
    """Return how many items failed that the journal does not have: without a key, or with another's."""
    noted = summary.notes.get(UNRECORDED)
    return noted if isinstance(noted, int) else 0


def pending_of(summary: RunSummary) -> int | None:
    """Return how many items have not been started, if that is known."""
    total = total_of(summary)
    if total is None:
        return None
    in_flight = summary.in_flight if summary.running else 0
    return max(total - summary.ended - in_flight - unrecorded_of(summary), 0)


def total_of_all(summaries: Sequence[RunSummary]) -> int | None:
    """Return how many items these runs have together, as noted; `None` if a shard is missing."""
    keyed = any(summary.keyed for summary in summaries)
    if missing_shards(shard for summary in summaries for shard in summary.shards or (None,)):
        return None
    if keyed and any(not summary.shards for summary in summaries):
        return None  # their inputs may have keys in common
    return total_of_parts(
        [(summary.shards, total_of(summary)) for summary in summaries], keyed=keyed
    )


def has_changed_since_merge(summary: RunSummary) -> bool:
    """Return whether a journal has what its parts lack: to merge them again would lose that.

    It has if it was run by itself, or if an item was settled in it.
    """
    parts: Any = summary.notes.get(PARTS)
    if not is_of_merge(parts):
        return True
    sessions = sum(part["sessions"] for part in parts)
    return sessions != len(summary.sessions) or any(SETTLED in part for part in parts)


def is_recorded(outcome: Outcome, *, keyed: bool) -> bool:
    """Return whether the journal has an item: not if its key is missing, or is another item's."""
    if not keyed or not isinstance(outcome.error, InvalidRequestError):
        return True
    return outcome.key is not None and outcome.take > 0
