"""Temporary files that become an output when they are complete, and are removed after a kill."""

import contextlib
import os
import re
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from asyncinvoke._outputs import locks

PART = ".part"
"""The suffix of a file that is not complete yet."""

_KEPT = 40
"""How many characters of a name are used in that of its part: names have at most 255 bytes."""


def new_part(path: Path, *, mode: int = 0o666) -> tuple[Path, BinaryIO]:
    """Create and lock the part of a file, in the same folder, so that renaming it copies nothing.

    Args:
        path: The path of the output.
        mode: The permissions, before the umask.

    Returns:
        The path of the part, and the open file, which holds the lock until it is closed.
    """
    while True:
        part = path.with_name(f".{path.name[:_KEPT]}.{uuid.uuid4().hex}{PART}")
        opener = partial(os.open, mode=mode)
        try:
            with contextlib.ExitStack() as closing:
                file = closing.enter_context(open(part, "xb", 1 << 20, opener=opener))
                locks.lock(file)
                # Before it was locked, another process may have removed it as an abandoned part.
                if part.exists():
                    closing.pop_all()  # for the caller to close
                    return part, file
        except BaseException:  # a signal may come just after it was created
            with contextlib.suppress(OSError):
                part.unlink()
            raise


def remove_abandoned(path: Path, *, before: Callable[[BinaryIO], None] = lambda _: None) -> None:
    """Remove the parts of a file that killed processes have left: those that are not locked.

    Args:
        path: The path of the output.
        before: Called with each such part, open and locked, before it is removed.
    """
    prefix = f".{path.name[:_KEPT]}."
    with contextlib.suppress(OSError):
        for part in path.absolute().parent.iterdir():
            if _is_part(part.name, prefix) and part.is_file():
                with part.open("rb") as file:
                    if locks.lock(file):
                        before(file)
                        part.unlink(missing_ok=True)


def _is_part(name: str, prefix: str) -> bool:
    unique = name.removeprefix(prefix).removesuffix(PART)
    return name == f"{prefix}{unique}{PART}" and _UNIQUE.fullmatch(unique) is not None


_UNIQUE = re.compile("[0-9a-f]{32}")
