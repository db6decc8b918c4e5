"""Control requests to a recorded run: a small file beside its journal, replaced as a whole.

It works before, during and between the sessions of a run, because it is state rather than a
message: the process that runs the run checks the file twice a second, and replies in the journal.
The journal itself has only one writer.
"""

import contextlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from asyncinvoke.cli.map.settings import parse_tolerance

STOPS = ("drain", "now")
"""How a session is stopped: calls in flight finish, or are abandoned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
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


class WishesError(ValueError):
    """The file does not hold a control request; the message says why."""


def wishes_path(run: str | os.PathLike[str]) -> Path:
    """Return the path of a run's control file."""
    return Path(f"{os.fspath(run)}-control")


def parse_wishes(text: str) -> Wishes:
    """Parse a control request.

    Raises:
        WishesError: The text is not a control request.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise WishesError("it is not JSON") from None
    if not isinstance(said, dict):
        raise WishesError("it is not a JSON object")
    known = {name: said[name] for name in Wishes.__dataclass_fields__ if name in said}
    for name, value in known.items():
        if not _is_right(name, value):
            raise WishesError(f"{name} cannot be {str(value)[:40]!r}")
    return Wishes(**known)


def read_wishes(path: Path) -> Wishes:
    """Return the control request in a file; an empty one if the file does not exist.

    Raises:
        WishesError: The file holds something else.
        OSError: The file cannot be read.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Wishes()
    except UnicodeDecodeError:
        raise WishesError("it is not JSON") from None
    return parse_wishes(text)


def write_wishes(path: Path, wishes: Wishes) -> None:
    """Replace the control request in a file atomically.

    Raises:
        OSError: The file cannot be written.
    """
    said = {name: value for name, value in asdict(wishes).items() if value not in (None, False)}
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


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
