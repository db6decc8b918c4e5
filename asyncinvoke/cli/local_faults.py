"""The faults of `asyncinvoke local --fault`: a kind, and which requests meet it."""

from typing import TYPE_CHECKING, Any

from asyncinvoke.cli.errors import CommandError

if TYPE_CHECKING:
    from asyncinvoke.local import LocalLambda, Step

KINDS = ("throttle", "error", "function-error", "reset", "close", "truncated", "stall")


def inject(endpoint: "LocalLambda", text: str) -> None:
    """Set a fault, written `KIND[,function=NAME][,count=N][,probability=P][,seed=N][,after-run]`.

    Raises:
        CommandError: It is not of that form.
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
                    options[key] = int(value)
                case "probability":
                    options[key] = float(value)
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
