"""Which of two records of the same item is kept when journals are merged: a decision on values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from asyncinvoke._journal.schema import State

PARTS = "parts"
"""The name of the note that says what a journal was merged from."""

NAMED = 20
"""How many items that ran twice are named."""

_RANK = {
    State.SUCCEEDED: 4,
    State.SETTLED: 3,
    State.FAILED: 2,
    State.MAY_HAVE_RUN: 1,
    State.NOT_RUN: 0,
}
"""What beats what: it has succeeded; it ran; it may have run; it surely did not."""


class Record(NamedTuple):
    """How an item ended, as far as it matters here."""

    state: int
    take: int
    began: float
    """When, in seconds since the epoch."""
    elapsed: int
    """How long it took, in microseconds."""
    request_id: Any

    @property
    def ended(self) -> float:
        """When it ended."""
        return self.began + self.elapsed / 1e6


def beats(new: Record, old: Record) -> bool:
    """Return whether a record stands against another one of the same item.

    What ended well beats what failed, and what is known of a run beats what may be; of two that are
    alike, the later one stands.
    """
    ranks = _RANK[State(new.state)], _RANK[State(old.state)]
    return ranks[0] > ranks[1] if ranks[0] != ranks[1] else new.ended > old.ended


def ran_twice(one: Record, other: Record) -> bool:
    """Return whether an item ran twice, or may have: neither of two records says it did not run."""
    return State.NOT_RUN not in (one.state, other.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What journals were merged into."""

    path: str
    """The file."""

    parts: int
    """How many journals there were."""

    items: int
    """How many items have ended, in all."""

    ran_twice: int
    """Items that ended in two of them, and ran, or may have run, in both."""

    twice: tuple[int | str, ...]
    """The first of those, by position or key."""

    missing: tuple[str, ...]
    """Shards of which there was no journal, such as `3/10`."""


def missing_shards(shards: Iterable[str | None]) -> tuple[str, ...]:
    """Return the shards that are not there; none where it cannot be told."""
    there = set(shards)
    if None in there or len({str(shard).partition("/")[2] for shard in there}) != 1:
        return ()
    of = int(str(next(iter(there))).partition("/")[2])
    return tuple(f"{number}/{of}" for number in range(1, of + 1) if f"{number}/{of}" not in there)


def comparable(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be the same of journals that are merged: all but the shard."""
    return {name: each for name, each in identity.items() if name != "shard"}


def common_notes(notes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the notes that are the same in all journals; others are of one process alone."""
    first, *others = notes
    return {
        name: each
        for name, each in first.items()
        if all(name in other and other[name] == each for other in others)
    }
