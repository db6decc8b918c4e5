"""Control requests to a recorded run: a small file beside its journal, replaced as a whole.

It works before, during and between the sessions of a run, because it is state rather than a
message: the process that runs the run checks the file twice a second, and replies in the journal.
The journal itself has only one writer.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TextIO

from asyncinvoke._outputs import beside, locks
from asyncinvoke.cli.map.settings import parse_tolerance

STOPS = ("drain", "now")
"""How a session is stopped: calls in flight finish, or are abandoned."""

_CONTROL = "-control"
_NEW = ".new"

_LONGEST = 65_536
"""The maximum size of a control file in bytes. A request has about a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRequest:
    """The requested settings of a run; `None` where nothing is requested."""

    number: int = 0
    """The number of requests made so far; the run replies with this number."""

    concurrency: int | None = None
    """The number of items in progress at once."""

    tolerate: str | None = None
    """The tolerance for failures, in the syntax of `--tolerate`."""

    paused: bool = False
    """Whether no more items are to start."""

    stop: str | None = None
    """How to stop the session `stop_session`; one of `STOPS`."""

    stop_session: int | None = None
    """The session to stop; later sessions are not affected."""


class ControlFileError(ValueError):
    """The file does not hold a control request; the message says why."""


def control_path(run: str | os.PathLike[str]) -> Path:
    """Return the path of a run's control file, which is the same for every link to the run."""
    return Path(f"{Path(run).resolve()}{_CONTROL}")


def parse_request(text: str) -> ControlRequest:
    """Parse a control request.

    Raises:
        ControlFileError: The text is not a control request.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise ControlFileError("it is not JSON") from None
    if not isinstance(said, dict):
        raise ControlFileError("it is not a JSON object")
    known = {name: said[name] for name in ControlRequest.__dataclass_fields__ if name in said}
    for name, value in known.items():
        if not _is_right(name, value):
            raise ControlFileError(f"{name} cannot be {str(value)[:40]!r}")
    return ControlRequest(**known)


def read_request(path: Path) -> ControlRequest:
    """Return the control request in a file; an empty one if the file does not exist.

    Raises:
        ControlFileError: The file holds something else.
        OSError: The file cannot be read.
    """
    try:
        with open(path, "rb", opener=partial(_opened, journal=_journal_of(path))) as file:
            text = file.read(_LONGEST + 1)
    except FileNotFoundError:
        return ControlRequest()
    if len(text) > _LONGEST:
        raise ControlFileError(f"it has more than {_LONGEST:,} bytes")
    try:
        return parse_request(text.decode())
    except UnicodeDecodeError:
        raise ControlFileError("it is not JSON") from None


def change_request(
    path: Path, change: Callable[[ControlRequest], ControlRequest]
) -> ControlRequest:
    """Change the control request in a file; return the new one.

    The file is replaced atomically. Processes that change it at the same time take turns, so no
    request is lost; except on Windows and on file systems without locks, where the last one to
    change it wins.

    Raises:
        ControlFileError: The file holds something else.
        OSError: The file cannot be written.
    """
    # A fixed name: the next change uses the file that a killed process has left.
    new = path.with_name(f"{path.name}{_NEW}")
    with _locked(new) as file:
        try:
            request = change(read_request(path))
            said = {
                name: value for name, value in asdict(request).items() if value not in (None, False)
            }
            file.truncate(0)
            file.write(json.dumps(said) + "\n")
            file.flush()
            if os.name == "nt":  # an open file cannot be moved there; nor are there locks to keep
                file.close()
            new.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
    return request


def drop_settings(
    path: Path, *, concurrency: bool, tolerate: bool, answered: int | None = None
) -> None:
    """Drop requested settings that a newer command replaces.

    Args:
        path: The control file, which need not exist. What is wrong with it is reported by the run.
        concurrency: Whether to drop the concurrency.
        tolerate: Whether to drop the tolerance.
        answered: The number of the last request that an earlier session has applied: settings
            that are newer are kept. `None` to drop them as well.
    """

    def changed(request: ControlRequest) -> ControlRequest:
        if answered is not None and request.number > answered:
            return request
        return replace(
            request,
            concurrency=None if concurrency else request.concurrency,
            tolerate=None if tolerate else request.tolerate,
        )

    with contextlib.suppress(ControlFileError, OSError):
        request = read_request(path)
        if changed(request) != request:
            change_request(path, changed)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[TextIO]:
    """Open a file that becomes another one at the end of the block, alone among all processes."""
    while True:
        opener = partial(_opened, journal=_journal_of(path))
        with open(path, "a", encoding="utf-8", opener=opener) as file:
            locks.wait(file)
            # The process that had the lock has moved the file, and what it wrote is in place.
            if _is_at(path, file):
                yield file
                return


def _opened(path: str, flags: int, *, journal: Path) -> int:
    return beside.opened(path, flags, journal=journal)


def _journal_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(_NEW).removesuffix(_CONTROL))


def _is_at(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _is_right(name: str, value: object) -> bool:
    if value is None:
        return name not in ("number", "paused")
    if name == "paused":
        return isinstance(value, bool)
    if name == "stop":
        return value in STOPS
    if name == "tolerate":
        return isinstance(value, str) and _is_tolerance(value)
    least = 0 if name == "number" else 1
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return least <= value <= sys.maxsize  # as for the options that it sets


def _is_tolerance(text: str) -> bool:
    try:
        parse_tolerance(text)
    except ValueError:
        return False
    return True
