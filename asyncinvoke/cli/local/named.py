"""The functions that `asyncinvoke local` serves, and the options that name one of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.values import as_number, as_whole_number

if TYPE_CHECKING:
    from asyncinvoke.local import LocalLambda, Step


_T = TypeVar("_T")

_NAMED = re.compile(r"(?:(?P<name>[a-zA-Z0-9-_]+)=)?(?P<handler>.+)", re.DOTALL)


def served(functions: tuple[str, ...]) -> dict[str, str]:
    """Return handlers by name, from `NAME=HANDLER` or `HANDLER`, which uses the function's name.

    Raises:
        CommandError: Two functions have the same name.
    """
    handlers: dict[str, str] = {}
    for text in functions:
        match = _NAMED.fullmatch(text)
        handler = match["handler"] if match else text
        name = match["name"] if match and match["name"] else handler.rpartition(":")[2]
        if name in handlers:
            raise CommandError(f"two functions are named {name}: rename one with NAME={handler}")
        handlers[name] = handler
    return handlers


def handlers_in(handlers: Mapping[str, str], config: str | None) -> dict[str, str]:
    """Return the handlers in a configuration file, with paths relative to the current directory."""
    folder = Path(config or "").parent
    return {
        name: str(folder / handler) if handler.rpartition(":")[0].endswith(".py") else handler
        for name, handler in handlers.items()
    }


def first(*values: _T | None) -> _T:
    """Return the first value that is not None, or else the last."""
    given = (value for value in values if value is not None)
    return next(given, values[-1])  # type: ignore[return-value]  # the last is the default


def pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    """Parse the values of an option, each `K=V`, into a dict.

    Raises:
        CommandError: A value has another form.
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
    """Parse the reserved concurrency of a function.

    Raises:
        CommandError: It is not a whole number.
    """
    try:
        number = as_whole_number(text)
    except ValueError:
        number = -1
    if number < 0:
        raise CommandError(f"--reserved {name}={text[:40]} must be a whole number, 0 or more")
    return number


KINDS = ("throttle", "error", "function-error", "reset", "close", "truncated", "stall")


def inject(endpoint: "LocalLambda", text: str) -> None:
    """Inject a fault: `KIND[,function=NAME][,count=N][,probability=P][,seed=N][,after-run]`.

    Raises:
        CommandError: The text has another form, or a value is out of range.
    """
    kind, *words = text.split(",")
    options: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        try:
            match key:
                case "function":
                    options["function_name"] = value
                case "count" | "seed":
                    options[key] = as_whole_number(value)
                case "probability":
                    options[key] = as_number(value)
                case "after-run" if not value:
                    options["after_run"] = True
                case _:
                    raise CommandError(
                        f"--fault {text!r}: {word!r} must be function=, count=, probability=, "
                        "seed= or after-run"
                    )
        except ValueError:
            raise CommandError(f"--fault {text!r}: {word!r} must hold a number") from None
    try:
        endpoint.fault(_step(kind, text), **options)
    except ValueError as error:
        raise CommandError(f"--fault {text!r}: {error}") from error


def _step(kind: str, text: str) -> "Step":
    from asyncinvoke import local

    match kind:
        case "throttle":
            return local.throttle()
        case "error":
            return local.error(500, "ServiceException", "an injected fault")
        case "function-error":
            return local.function_error("Injected", "an injected fault")
        case "reset":
            return local.Reset()
        case "close":
            return local.Close()
        case "truncated":
            return local.Truncated()
        case "stall":
            return local.Stall()
        case _:
            raise CommandError(f"--fault {text!r}: the kinds are {', '.join(KINDS)}")
