"""What workers know of a run: a plan when it starts, and a small file with later control settings."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SHARDS_PER_WORKER = 3
"""How many shards there are for each worker: a late one does not hold the run up for long, and each
has an input of its own to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every worker is told of a run."""

    id: str
    """What names it among the runs that a worker works on."""

    function_name: str
    """The function."""

    source: Any = field(repr=False)
    """The input: a path or a URL, something to iterate, or a function that returns it."""

    directory: str
    """Where the journals lie, as every worker sees it."""

    shards: int
    """How many shards there are."""

    workers: int
    """How many workers begin with one."""

    concurrency: int | None
    """How many items of a shard are worked on at once."""

    invoker: Mapping[str, Any] = field(repr=False)
    """What invokers are made with."""

    options: Mapping[str, Any] = field(repr=False)
    """The options of the map."""

    def journal(self, number: int) -> Path:
        """Return the journal of a shard."""
        return Path(self.directory) / f"{number}of{self.shards}.run"

    @property
    def merged(self) -> Path:
        """The journal of all of them."""
        return Path(self.directory) / "merged.run"

    @property
    def control(self) -> Path:
        """The file that says what is wished of all shards."""
        return Path(self.directory) / "control.json"

    @property
    def token(self) -> Path:
        """The file that a worker sees, if the directory is one that is shared.

        It has a byte for each worker that is about to begin.
        """
        return Path(self.directory) / f".{self.id}"


def shards_for(workers: int, shards: int | None) -> int:
    """Return how many shards a run has."""
    return max(workers, 1) * SHARDS_PER_WORKER if shards is None else shards


def share(concurrency: int | None, *, shards: int, slots: int) -> int | None:
    """Return how many items of one shard are worked on at once.

    Args:
        concurrency: How many are, of all shards that run at the same time.
        shards: How many shards there are.
        slots: How many can run at the same time.
    """
    return None if concurrency is None else max(concurrency // max(min(shards, slots), 1), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What is wished of each shard."""

    concurrency: int | None = None
    """How many of its items are to be worked on at once; `None` as it began."""

    paused: bool = False
    """Whether nothing is to start."""

    stopped: bool = False
    """Whether nothing is to start any more."""


def write_control(path: Path, control: Control) -> None:
    """Replace the file: whoever reads it meanwhile sees the old one or the new one."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    made.write_text(json.dumps(asdict(control)))
    made.replace(path)


def read_control(path: Path) -> Control | None:
    """Return what the file says; `None` where there is none, or none that can be read."""
    try:
        return Control(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
