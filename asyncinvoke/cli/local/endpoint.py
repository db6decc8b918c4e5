"""The endpoint of `asyncinvoke local`, built from its options and its configuration file."""

import contextlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.local.settings import (
    FunctionSettings,
    SettingsFile,
    check_variables,
    parse_settings,
    read_env_file,
    read_file,
    retry_delays,
)
from asyncinvoke.cli.values import as_number, as_whole_number

if TYPE_CHECKING:
    from asyncinvoke.local import LocalLambda, Step

_T = TypeVar("_T")


class LocalOptions(TypedDict):
    """The options of the command, as click passes them."""

    functions: tuple[str, ...]
    config: str | None
    port: int | None
    host: str
    allow_remote: bool
    allowed_host: tuple[str, ...]
    allow_unsigned: bool
    account_concurrency: int
    reserved: tuple[str, ...]
    timeout: float | None
    memory_size: int | None
    env: tuple[str, ...]
    env_file: tuple[str, ...]
    set_: tuple[str, ...]
    event_retry_delay: str | None
    region: str | None
    account_id: str | None
    fault: tuple[str, ...]
    s3: str | None
    sandbox: bool
    freeze: bool
    quiet: bool


def make_endpoint(**options: Unpack[LocalOptions]) -> tuple["LocalLambda", list[str]]:
    """Return the endpoint that the options describe, and the names of its functions.

    Raises:
        CommandError: An option or the file is invalid.
    """
    from asyncinvoke.cli import open_files
    from asyncinvoke.cli.local.handlers import check_handler, check_runtime, handlers_in, served

    file = read_file(options["config"])
    handlers = handlers_in(file.handlers, options["config"])
    handlers |= served(options["functions"])
    settings = _settings(handlers, file, options)
    for handler in handlers.values():
        check_handler(handler)
    if handlers:
        check_runtime()
    open_files.raise_open_files()
    try:
        endpoint = _endpoint(file, options)
        for name, handler in handlers.items():
            _register(endpoint, name, handler, settings[name])
        for text in options["fault"]:
            inject(endpoint, text)
    except (ValueError, ModuleNotFoundError) as error:
        raise CommandError(str(error)) from error
    return endpoint, list(handlers)


def _settings(
    names: Collection[str], file: SettingsFile, options: LocalOptions
) -> dict[str, FunctionSettings]:
    """Return the settings of each function, from the options and the file.

    Raises:
        CommandError: A setting is invalid, or is for a function that does not exist.
    """
    reserved = {
        name: FunctionSettings(reserved=whole_number(name, number))
        for name, number in _pairs("--reserved", options["reserved"]).items()
    }
    _check_names(reserved, names, "--reserved {}")
    for_all = _for_all(options)
    for_one = parse_settings(options["set_"])
    _check_names([*for_one, *file.for_one], names, "settings for {}")
    none = FunctionSettings()
    return {
        name: reserved.get(name, none)
        .over(for_one.get(name, none))
        .over(for_all)
        .over(file.for_one.get(name, none))
        .over(file.for_all)
        for name in names
    }


def _for_all(options: LocalOptions) -> FunctionSettings:
    """Return the settings that the options give to all functions."""
    variables: dict[str, str] = {}
    for path in options["env_file"]:
        variables |= read_env_file(Path(path))
    given = _pairs("--env", options["env"])
    check_variables("--env", given)
    delays = options["event_retry_delay"]
    return FunctionSettings(
        timeout=options["timeout"],
        memory=options["memory_size"],
        retry_delays=None if delays is None else retry_delays(delays),
        env=variables | given,
    )


def _check_names(given: Iterable[str], names: Collection[str], what: str) -> None:
    for name in given:
        if name not in names:
            raise CommandError(f"{what.format(name)}: no such function")


def _endpoint(file: SettingsFile, options: LocalOptions) -> "LocalLambda":
    from asyncinvoke.cli.local import console
    from asyncinvoke.local import LocalLambda

    quiet = options["quiet"]
    return LocalLambda(
        account_concurrency=options["account_concurrency"],
        port=_first(options["port"], file.port, 9001),
        region_name=_first(options["region"], file.region, "us-east-1"),
        account_id=_first(options["account_id"], file.account_id, "123456789012"),
        s3=options["s3"],
        sandbox=options["sandbox"],
        freeze=options["freeze"],
        host=options["host"],
        allow_remote=options["allow_remote"],
        allowed_hosts=options["allowed_host"],
        allow_unsigned=options["allow_unsigned"],
        reload=True,
        on_invocation=None if quiet else console.print_invocation,
        on_log=None if quiet else console.print_log,
        on_event=None if quiet else console.print_event,
    )


def _register(endpoint: "LocalLambda", name: str, handler: str, settings: FunctionSettings) -> None:
    from asyncinvoke.local import EventConfig

    first, second = _first(settings.retry_delays, (60.0, 120.0))
    endpoint.function(
        name,
        handler,
        reserved_concurrency=settings.reserved,
        timeout=_first(settings.timeout, 3.0),
        memory_size=_first(settings.memory, 128),
        environment=settings.env,
        events=EventConfig(retry_delays=(first, second)),
    )


def _first(*values: _T | None) -> _T:
    """Return the first value that is not None, or else the last."""
    return next((value for value in values if value is not None), values[-1])  # type: ignore[return-value]  # the default


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    """Parse the values of an option, each `K=V`, into a dict.

    Raises:
        CommandError: A value has another form.
    """
    form = "NAME=N" if option == "--reserved" else "K=V"
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise CommandError(f"{option} {text!r} must be {form}")
        found[key] = value
    return found


def whole_number(name: str, text: str) -> int:
    """Parse the reserved concurrency of a function.

    Raises:
        CommandError: It is not a whole number.
    """
    with contextlib.suppress(ValueError):
        if (number := as_whole_number(text)) >= 0:
            return number
    raise CommandError(f"--reserved {name}={text[:40]} must be a whole number, 0 or more")


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

    steps: dict[str, Callable[[], Step]] = {
        "throttle": local.throttle,
        "error": lambda: local.error(500, "ServiceException", "an injected fault"),
        "function-error": lambda: local.function_error("Injected", "an injected fault"),
        "reset": local.Reset,
        "close": local.Close,
        "truncated": local.Truncated,
        "stall": local.Stall,
    }
    if kind not in steps:
        raise CommandError(f"--fault {text!r}: the kinds are {', '.join(steps)}")
    return steps[kind]()
