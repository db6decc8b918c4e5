"""The parts of a merged journal: whether they are of one run, and what it says of itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asyncinvoke._journal.identity import differences
from asyncinvoke._journal.shards import (
    PARTS,
    common_notes,
    comparable,
    missing_shards,
    total_of_parts,
)
from asyncinvoke._journal.values import RunSummary
from asyncinvoke.errors import JournalError, JournalMismatchError


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the journals to merge."""

    path: str
    """Its path."""

    summary: RunSummary
    """What it says of its run."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """The settings of its run."""
        return self.summary.identity

    @property
    def shard(self) -> str | None:
        """Its shard, such as `3/10`; `None` if it has all of its input, or several shards."""
        return self.identity.get("shard")


def check_parts(parts: list[Part]) -> None:
    """Check that no part is in use, and that all are of one run.

    Raises:
        JournalError: A process is using a part.
        JournalMismatchError: The journals belong to different runs.
    """
    for part in parts:
        if part.summary.running:
            raise JournalError(
                f"{part.path}: another process is using it; merge it when that process has ended"
            )
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


def missing_of(parts: list[Part]) -> tuple[str, ...]:
    """Return the shards that are in none of the parts."""
    return missing_shards(shard for part in parts for shard in part.summary.shards or (None,))


def about(
    parts: list[Part], *, run_id: str, items: int, notes: Mapping[str, object]
) -> dict[str, Any]:
    """Return the metadata of the merged journal.

    Args:
        parts: What it is made of.
        run_id: Its ID.
        items: The number of its items.
        notes: Notes to store beside those that all parts share.
    """
    shared = common_notes([dict(part.summary.notes) for part in parts])
    shared[PARTS] = [
        {
            "path": part.path,
            "shard": part.shard,
            "shards": list(part.summary.shards),
            "id": part.summary.id,
            "sessions": len(part.summary.sessions),
            "complete": part.summary.complete,
        }
        for part in parts
    ]
    said: dict[str, Any] = {
        "id": run_id,
        "identity": json.dumps(comparable(parts[0].identity)),
    }
    total = total_of_parts(
        [(part.summary.shards, part.summary.total) for part in parts],
        keyed=bool(parts[0].identity["key"]),
        shared=sum(part.summary.ended for part in parts) - items,
    )
    if total is not None and not missing_of(parts):
        said["total"] = total
    return said | {f"note:{name}": json.dumps(each) for name, each in {**shared, **notes}.items()}
