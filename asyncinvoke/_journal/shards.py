"""Combines the shards, totals, settings and notes of journals to merge: decisions on values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asyncinvoke._engine.shard import MOST_SHARDS

PARTS = "parts"
"""The name of the note that lists what a journal was merged from."""

SETTLED = "settled"
"""Set for each part in that note once an item was settled in the merged journal."""


def is_of_merge(note: object) -> bool:
    """Return whether a note named `PARTS` was stored by a merge, and not by the program."""
    return isinstance(note, list) and all(
        isinstance(part, dict) and isinstance(part.get("sessions"), int) for part in note
    )


def missing_shards(shards: Iterable[str | None]) -> tuple[str, ...]:
    """Return the missing shards; empty if there are none, or if that cannot be determined."""
    there = set(shards)
    if None in there or len({str(shard).partition("/")[2] for shard in there}) != 1:
        return ()
    of = int(str(next(iter(there))).partition("/")[2])
    if of > MOST_SHARDS:  # no map has recorded that
        return ()
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
    """Return whether these are different shards of the same division, which have no item in common."""
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
