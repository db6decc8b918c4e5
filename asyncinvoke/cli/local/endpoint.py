"""The endpoint of `asyncinvoke local`, built from its options and its configuration file."""

from pathlib import Path
from typing import TYPE_CHECKING

from asyncinvoke.cli.errors import CommandError

if TYPE_CHECKING:
    from asyncinvoke.local import LocalLambda


def made(
    *,
    functions: tuple[str, ...],
    config: str | None,
    port: int | None,
    host: str,
    allow_remote: bool,
    allowed_host: tuple[str, ...],
    allow_unsigned: bool,
    account_concurrency: int,
    reserved: tuple[str, ...],
    timeout: float | None,
    memory_size: int | None,
    env: tuple[str, ...],
    env_file: tuple[str, ...],
    set_: tuple[str, ...],
    event_retry_delay: str | None,
    region: str | None,
    account_id: str | None,
    fault: tuple[str, ...],
    s3: str | None,
    sandbox: bool,
    freeze: bool,
    quiet: bool,
) -> tuple["LocalLambda", list[str]]:
    """Return the endpoint that the options describe, and the names of its functions.

    Raises:
        CommandError: An option or the file says what cannot be.
    """
    from asyncinvoke.cli import open_files
    from asyncinvoke.cli.local import console, named
    from asyncinvoke.cli.local.handlers import check_handler, check_runtime
    from asyncinvoke.cli.local.settings import (
        FunctionSettings,
        check_variables,
        of_options,
        read_env_file,
        read_file,
        retry_delays,
    )
    from asyncinvoke.local import EventConfig, LocalLambda

    said = read_file(config)
    handlers = named.handlers_in(said.handlers, config) | named.served(functions)
    reserves = {
        name: named.whole_number(name, n) for name, n in named.pairs("--reserved", reserved).items()
    }
    for name in reserves:
        if name not in handlers:
            raise CommandError(f"--reserved {name}: no such function")
    variables: dict[str, str] = {}
    for path in env_file:
        variables |= read_env_file(Path(path))
    given = named.pairs("--env", env)
    check_variables("--env", given)
    delays = None if event_retry_delay is None else retry_delays(event_retry_delay)
    for_all = FunctionSettings(
        timeout=timeout,
        memory=memory_size,
        retry_delays=delays,
        env=variables | given,
    )
    for_one = of_options(set_)
    for name in [*for_one, *said.for_one]:
        if name not in handlers:
            raise CommandError(f"settings for {name}: no such function")
    for handler in handlers.values():
        check_handler(handler)
    if handlers:
        check_runtime()
    open_files.raise_open_files()
    try:
        endpoint = LocalLambda(
            account_concurrency=account_concurrency,
            port=named.first(port, said.port, 9001),
            region_name=named.first(region, said.region, "us-east-1"),
            account_id=named.first(account_id, said.account_id, "123456789012"),
            s3=s3,
            sandbox=sandbox,
            freeze=freeze,
            host=host,
            allow_remote=allow_remote,
            allowed_hosts=allowed_host,
            allow_unsigned=allow_unsigned,
            reload=True,
            on_invocation=None if quiet else console.print_invocation,
            on_log=None if quiet else console.print_log,
            on_event=None if quiet else console.print_event,
        )
        for name, handler in handlers.items():
            in_file = said.for_one.get(name, FunctionSettings()).over(said.for_all)
            settings = for_one.get(name, FunctionSettings()).over(for_all.over(in_file))
            first, second = named.first(settings.retry_delays, (60.0, 120.0))
            endpoint.function(
                name,
                handler,
                reserved_concurrency=named.first(reserves.get(name), settings.reserved),
                timeout=named.first(settings.timeout, 3.0),
                memory_size=named.first(settings.memory, 128),
                environment=settings.env,
                events=EventConfig(retry_delays=(first, second)),
            )
        for text in fault:
            named.inject(endpoint, text)
    except (ValueError, ModuleNotFoundError) as error:
        raise CommandError(str(error)) from error
    return endpoint, list(handlers)
