"""Which of two records of the same item is kept when journals are merged: a decision on values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from asyncinvoke._journal.schema import State

PARTS = "parts"
"""The name of the note that lists what a journal was merged from."""

SETTLED = "settled"
"""The name of what is said of each of them once an item was settled in the merged journal."""

NAMED = 20
"""The maximum number of items named as having run twice."""

_RANK = {
    State.SUCCEEDED: 4,
    State.SETTLED: 3,
    State.FAILED: 2,
    State.MAY_HAVE_RUN: 1,
    State.NOT_RUN: 0,
}
"""The order of precedence: succeeded, ran, may have run, certainly did not run."""


class Record(NamedTuple):
    """The part of an item's outcome that decides a merge."""

    state: int
    take: int
    began: float
    """When it began, in seconds since the epoch."""
    elapsed: int
    """How long it took, in microseconds."""
    request_id: Any

    @property
    def ended(self) -> float:
        """When it ended, in seconds since the epoch."""
        return self.began + self.elapsed / 1e6


def beats(new: Record, old: Record) -> bool:
    """Return whether a record takes precedence over another record of the same item.

    A success wins over a failure, and a known outcome over an unknown one; of two equal outcomes
    the later one wins.
    """
    ranks = _RANK[State(new.state)], _RANK[State(old.state)]
    return ranks[0] > ranks[1] if ranks[0] != ranks[1] else new.ended > old.ended


def ran_twice(one: Record, other: Record) -> bool:
    """Return whether an item ran, or may have run, according to both records."""
    return State.NOT_RUN not in (one.state, other.state)


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


def missing_shards(shards: Iterable[str | None]) -> tuple[str, ...]:
    """Return the missing shards; empty if that cannot be determined."""
    there = set(shards)
    if None in there or len({str(shard).partition("/")[2] for shard in there}) != 1:
        return ()
    of = int(str(next(iter(there))).partition("/")[2])
    return tuple(f"{number}/{of}" for number in range(1, of + 1) if f"{number}/{of}" not in there)


def total_of_parts(
    parts: Iterable[tuple[tuple[str, ...], int | None]], *, keyed: bool, shared: int = 0
) -> int | None:
    """Return how many items the inputs of merged journals have together; `None` if unknown.

    Args:
        parts: For each journal its shards, none if it has all of its input, and its total.
        keyed: Whether items have keys. Without them, journals of a whole input have the same
            positions; with them, they may be of different inputs.
        shared: How many items are recorded in more than one of them.
    """
    parts = list(parts)
    whole = [total for shards, total in parts if not shards]
    if whole and not keyed:
        return max((total for total in whole if total is not None), default=None)
    by_shards: dict[tuple[str, ...], int | None] = {}
    if not whole:
        for shards, total in parts:
            known = by_shards.get(shards)
            by_shards[shards] = total if known is None else max(known, total or 0)
        named = [shard for shards in by_shards for shard in shards]
        if len(set(named)) != len(named):
            return None
        shared = 0
    totals = list(by_shards.values()) or [total for _, total in parts]
    known_ones = [total for total in totals if total is not None]
    return sum(known_ones) - shared if len(known_ones) == len(totals) else None


def are_apart(shards: Sequence[str | None]) -> bool:
    """Return whether these are different shards of one number of them, which share no item."""
    of = {shard if shard is None else shard.partition("/")[2] for shard in shards}
    return None not in of and len(of) == 1 and len({*shards}) == len(shards)


def comparable(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that must match between merged journals: all but the shard."""
    return {name: each for name, each in identity.items() if name != "shard"}


def common_notes(notes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the notes that all journals share; other notes belong to a single process."""
    first, *others = notes
    return {
        name: each
        for name, each in first.items()
        if all(name in other and other[name] == each for other in others)
    }
