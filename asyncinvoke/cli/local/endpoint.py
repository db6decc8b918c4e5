"""The endpoint of `asyncinvoke local`, built from its options and its configuration file."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.local import named
from asyncinvoke.cli.local.settings import (
    FunctionSettings,
    SettingsFile,
    check_variables,
    parse_settings,
    read_env_file,
    read_file,
    retry_delays,
)

if TYPE_CHECKING:
    from asyncinvoke.local import LocalLambda


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
    from asyncinvoke.cli.local.handlers import check_handler, check_runtime

    file = read_file(options["config"])
    handlers = named.handlers_in(file.handlers, options["config"])
    handlers |= named.served(options["functions"])
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
            named.inject(endpoint, text)
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
        name: FunctionSettings(reserved=named.whole_number(name, number))
        for name, number in named.pairs("--reserved", options["reserved"]).items()
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
    given = named.pairs("--env", options["env"])
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
        port=named.first(options["port"], file.port, 9001),
        region_name=named.first(options["region"], file.region, "us-east-1"),
        account_id=named.first(options["account_id"], file.account_id, "123456789012"),
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

    first, second = named.first(settings.retry_delays, (60.0, 120.0))
    endpoint.function(
        name,
        handler,
        reserved_concurrency=settings.reserved,
        timeout=named.first(settings.timeout, 3.0),
        memory_size=named.first(settings.memory, 128),
        environment=settings.env,
        events=EventConfig(retry_delays=(first, second)),
    )
