"""The parts of files: what is written before a file is whole, and removed if its process was killed."""

import contextlib
import os
import re
import uuid
from functools import partial
from pathlib import Path
from typing import BinaryIO

from asyncinvoke._outputs import locks

PART = ".part"
"""The suffix of a file that is not whole yet."""

_KEPT = 40
"""How much of a name is kept in that of its part: names have at most 255 bytes."""


def new_part(path: Path, *, mode: int = 0o666) -> tuple[Path, BinaryIO]:
    """Create the part of a file: beside it, so that renaming it moves nothing, and locked.

    Args:
        path: The file.
        mode: The permissions, before the umask.

    Returns:
        The path of the part, and the open file, which holds the lock until it is closed.
    """
    while True:
        part = path.with_name(f".{path.name[:_KEPT]}.{uuid.uuid4().hex}{PART}")
        opener = partial(os.open, mode=mode)
        file = open(part, "xb", 1 << 20, opener=opener)  # noqa: SIM115  # for the caller to close
        try:
            locks.lock(file.fileno())
            # Until it is locked, another process may take it for an abandoned one.
            if part.exists():
                return part, file
        except BaseException:
            file.close()
            raise
        file.close()


def remove_abandoned(path: Path) -> None:
    """Remove the parts of a file that killed processes have left: those that nobody has locked."""
    prefix = f".{path.name[:_KEPT]}."
    with contextlib.suppress(OSError):
        for part in path.absolute().parent.iterdir():
            if _is_part(part.name, prefix) and part.is_file():
                with part.open("rb") as file:
                    if locks.lock(file.fileno()):
                        part.unlink(missing_ok=True)


def _is_part(name: str, prefix: str) -> bool:
    unique = name.removeprefix(prefix).removesuffix(PART)
    return name == f"{prefix}{unique}{PART}" and _UNIQUE.fullmatch(unique) is not None


_UNIQUE = re.compile("[0-9a-f]{32}")
