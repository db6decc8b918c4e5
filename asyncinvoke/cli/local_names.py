"""The functions that `asyncinvoke local` is told to serve, and the options that name one of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from asyncinvoke.cli.errors import CommandError

_T = TypeVar("_T")

_NAMED = re.compile(r"(?:(?P<name>[a-zA-Z0-9-_]+)=)?(?P<handler>.+)", re.DOTALL)


def named(functions: tuple[str, ...]) -> dict[str, str]:
    """Return handlers by name, of `NAME=HANDLER` or of `HANDLER`, called as its function is.

    Raises:
        CommandError: Two have one name.
    """
    handlers: dict[str, str] = {}
    for text in functions:
        match = _NAMED.fullmatch(text)
        handler = match["handler"] if match else text
        name = match["name"] if match and match["name"] else handler.rpartition(":")[2]
        if name in handlers:
            raise CommandError(f"two functions are called {name}: give one as NAME={handler}")
        handlers[name] = handler
    return handlers


def handlers_in(handlers: Mapping[str, str], config: str | None) -> dict[str, str]:
    """Return the handlers that a file names, as seen from the current directory."""
    folder = Path(config or "").parent
    return {
        name: str(folder / handler) if handler.rpartition(":")[0].endswith(".py") else handler
        for name, handler in handlers.items()
    }


def first(*values: _T | None) -> _T:
    """Return the first value that is given; the last, if none is."""
    given = (value for value in values if value is not None)
    return next(given, values[-1])  # type: ignore[return-value]  # the last is the default


def pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    """Return what an option says of each name.

    Raises:
        CommandError: A text is no `K=V`.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise CommandError(
                f"{option} {text!r} must be {'NAME=N' if option == '--reserved' else 'K=V'}"
            )
        found[key] = value
    return found


def whole_number(name: str, text: str) -> int:
    """Return the reserved concurrency of a function.

    Raises:
        CommandError: It is no whole number.
    """
    if not (text.isascii() and text.isdigit()):
        raise CommandError(f"--reserved {name}={text} must be a whole number, 0 or more")
    return int(text)
