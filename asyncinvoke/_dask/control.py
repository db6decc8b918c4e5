"""What is wished of the shards that run: a small file that is replaced as a whole."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What is wished of each shard."""

    concurrency: int | None = None
    """How many of its items are to be worked upon at once; `None` as it began."""

    paused: bool = False
    """Whether nothing is to start."""

    stopped: bool = False
    """Whether nothing is to start any more."""


def write(path: Path, control: Control) -> None:
    """Replace the file: whoever reads it meanwhile sees the old one or the new one."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    made.write_text(json.dumps(asdict(control)))
    made.replace(path)


def read(path: Path) -> Control | None:
    """Return what the file says; `None` where there is none, or none that can be read."""
    try:
        return Control(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
