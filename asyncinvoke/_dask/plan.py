"""What workers know of a run: its plan, and a small file with settings that change while it runs."""

import contextlib
import errno
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from asyncinvoke._outputs.parts import new_part, remove_abandoned
from asyncinvoke._request.numbers import is_whole, whole
from asyncinvoke._request.target import show_value
from asyncinvoke.errors import ConfigurationError, InvalidRequestError

MERGED = "merged.run"
"""The name of the merged journal in the directory of a run."""

SHARDS_PER_WORKER = 3
"""The number of shards per worker: enough that a slow shard does not delay the run for long, few
enough that reading the whole input for each shard stays cheap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The description of a run that is sent to every worker."""

    id: str
    """The ID of the run, unique among the runs of a worker."""

    function_name: str
    """The name of the function."""

    source: Any = field(repr=False)
    """The input: a path or URL, an iterable, or a function that returns it."""

    directory: str
    """The directory of the journals, as every worker sees it."""

    shards: int
    """The number of shards."""

    workers: int
    """The number of workers that start with a shard."""

    concurrency: int | None
    """The number of items of a shard in progress at once."""

    invoker: Mapping[str, Any] = field(repr=False)
    """The arguments of each worker's invoker."""

    options: Mapping[str, Any] = field(repr=False)
    """The options of the map."""

    def journal(self, number: int) -> Path:
        """Return the path of a shard's journal."""
        return Path(self.directory) / f"{number}of{self.shards}.run"

    @property
    def merged(self) -> Path:
        """The path of the merged journal."""
        return Path(self.directory) / MERGED

    @property
    def control(self) -> Path:
        """The path of the file with the settings that all shards follow."""
        return Path(self.directory) / "control.json"

    @property
    def token(self) -> Path:
        """The path of a file that a worker can see only if the directory is shared.

        It has one byte for each worker that is ready to start.
        """
        return Path(self.directory) / f".{self.id}"


def shards_for(workers: int, shards: int | None) -> int:
    """Return the number of shards of a run."""
    return max(workers, 1) * SHARDS_PER_WORKER if shards is None else shards


def share(concurrency: int | None, *, shards: int, slots: int) -> int | None:
    """Return the concurrency of one shard.

    Args:
        concurrency: The total concurrency of all shards that run at the same time.
        shards: The number of shards.
        slots: The number of shards that can run at the same time.
    """
    return None if concurrency is None else max(concurrency // max(min(shards, slots), 1), 1)


def checked_concurrency(concurrency: Any) -> int:
    """Return the total concurrency that was asked for.

    Raises:
        InvalidRequestError: It is not a positive integer.
    """
    if not is_whole(concurrency, 1):
        raise InvalidRequestError(
            f"concurrency {show_value(concurrency)} must be {whole(concurrency, 1)}"
        )
    return int(concurrency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The settings that each shard should follow."""

    concurrency: int | None = None
    """The concurrency of the shard; `None` to keep its initial value."""

    paused: bool = False
    """Whether new items should wait."""

    stopped: bool = False
    """Whether the shard should end without starting new items."""


def write_control(path: Path, control: Control) -> None:
    """Replace the file atomically: a concurrent reader sees either the old or the new one.

    Raises:
        ConfigurationError: It cannot be written, and is as before.
    """
    try:
        remove_abandoned(path)
        part, opened = new_part(path)  # a name that nobody can have taken before
        try:
            with opened as file:
                file.write(json.dumps(asdict(control)).encode())
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be written: {error.strerror}") from None


def read_control(path: Path) -> Control | None:
    """Return the contents of the file; `None` if it is missing or unreadable."""
    try:
        with open(path, opener=_open_regular) as file:
            return Control(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file only: opening a pipe would wait for its other end, which may never come."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return descriptor
