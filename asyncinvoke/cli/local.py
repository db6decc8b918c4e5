"""`asyncinvoke local`: serves handlers over Lambda's wire protocol until Ctrl-C."""

import contextlib
import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from asyncinvoke.cli.errors import CommandError

if TYPE_CHECKING:
    from asyncinvoke.cli.running import Interrupt
    from asyncinvoke.local import AnsweredInvocation, LocalLambda

_NAMED = re.compile(r"(?:(?P<name>[a-zA-Z0-9-_]+)=)?(?P<handler>.+)", re.DOTALL)


@click.command(short_help="Serve functions on this machine to any AWS SDK.")
@click.argument("functions", metavar="[NAME=]FILE_OR_MODULE:FUNCTION...", nargs=-1)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9001, show_default=True, help="0: any free."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen."
)
@click.option(
    "--allow-remote",
    is_flag=True,
    help="Let --host be an address that other machines reach: they can run any code here.",
)
@click.option(
    "--allowed-host",
    multiple=True,
    metavar="NAME",
    help="A name by which other machines call this one; for several, give it again.",
)
@click.option(
    "--allow-unsigned",
    is_flag=True,
    help="Answer requests that nobody signed, such as curl's. Others get AWS's 403.",
)
@click.option(
    "--account-concurrency",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="Executions at once; each is a process. Beyond it callers are throttled.",
)
@click.option(
    "--reserved",
    multiple=True,
    metavar="NAME=N",
    help="Reserved concurrency of a function; for several, give it again.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=900),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="How long an execution may take.",
)
@click.option(
    "--env",
    multiple=True,
    metavar="K=V",
    help="An environment variable of the functions; for several, give it again.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print no line for each invocation.")
def local(
    functions: tuple[str, ...],
    port: int,
    host: str,
    allow_remote: bool,
    allowed_host: tuple[str, ...],
    allow_unsigned: bool,
    account_concurrency: int,
    reserved: tuple[str, ...],
    timeout: float,
    env: tuple[str, ...],
    quiet: bool,
) -> int:
    """Serve functions on this machine, to any AWS SDK, until Ctrl-C.

    Such as: asyncinvoke local handlers.py:resize --reserved resize=10

    This runs the code that it is given, in AWS's own Python runtime (awslambdaric); when a file
    changes, later invocations run the new code. Functions can also be created while it runs, by
    any AWS SDK; without any here it starts empty. Any credentials will do: whoever can use this
    machine can invoke and create functions. No web page can: what a browser sends for one is
    refused. It listens on loopback, and elsewhere only with both --host and --allow-remote. For each invocation it prints the request id, the function, the
    answer's status, how long it took, and what went wrong.
    """
    from asyncinvoke.cli import files
    from asyncinvoke.cli.handlers import check_handler, check_runtime
    from asyncinvoke.cli.running import run
    from asyncinvoke.local import LocalLambda
    from asyncinvoke.local.http.addresses import is_remote

    handlers = _named(functions)
    reserves = {name: _whole_number(name, n) for name, n in _pairs("--reserved", reserved).items()}
    for name in reserves:
        if name not in handlers:
            raise CommandError(f"--reserved {name}: no such function is served")
    environment = _pairs("--env", env)
    for handler in handlers.values():
        check_handler(handler)
    if handlers:
        check_runtime()
    files.raise_open_files()
    try:
        endpoint = LocalLambda(
            account_concurrency=account_concurrency,
            port=port,
            host=host,
            allow_remote=allow_remote,
            allowed_hosts=allowed_host,
            allow_unsigned=allow_unsigned,
            reload=True,
            on_invocation=None if quiet else _print_invocation,
        )
        for name, handler in handlers.items():
            endpoint.function(
                name,
                handler,
                reserved_concurrency=reserves.get(name),
                timeout=timeout,
                environment=environment,
            )
    except (ValueError, ModuleNotFoundError) as error:
        raise CommandError(str(error)) from error

    async def main(interrupt: "Interrupt") -> int:
        greeting = functools.partial(_greeting, list(handlers), remote=is_remote(host))
        return await _serve(endpoint, greeting, interrupt)

    return run(main)


async def _serve(
    endpoint: "LocalLambda", greeting: Callable[[str], str], interrupt: "Interrupt"
) -> int:
    import anyio

    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(endpoint)
        except OSError as error:
            raise CommandError(error.strerror or str(error)) from error
        click.echo(greeting(endpoint.url), err=True)
        with interrupt.block():
            await anyio.sleep_forever()
    statistics = endpoint.statistics()
    click.echo(
        f"{statistics.invocations:,} invocations, {sum(statistics.throttles.values()):,} throttled, "
        f"{statistics.function_errors:,} function errors, {statistics.cold_starts:,} cold starts",
        err=True,
    )
    return 0


def _print_invocation(answered: "AnsweredInvocation") -> None:
    name = answered.function_name
    line = (
        # Whoever can reach the port chooses the name: nothing of it may steer the terminal.
        f"{answered.request_id} {name if name.isprintable() else ascii(name)} "
        f"{answered.status_code} {answered.duration * 1000:,.0f} ms"
    )
    if answered.invocation_type != "RequestResponse":
        line += f" {answered.invocation_type}"
    if answered.function_error is not None:
        line += f" function error: {answered.function_error}"
    if answered.reason is not None:
        line += f" throttled: {answered.reason}"
    with contextlib.suppress(OSError):  # nobody may be reading any more
        click.echo(line, err=True)


def _greeting(names: list[str], url: str, *, remote: bool) -> str:
    name = names[0] if names else "NAME"
    what = f"Serving {', '.join(names)}" if names else "Serving no function yet"
    callers = (
        "WARNING: other machines reach it, and whoever does can run any code here."
        if remote
        else "It runs the code you gave it, for every caller on this machine."
    )
    return f"""\
{what} at {url}
{callers} Ctrl-C ends it.

To call it, any credentials and region will do:

  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-east-1
  asyncinvoke invoke {name} --payload '{{}}' --endpoint-url {url}
  aws lambda invoke --function-name {name} --endpoint-url {url} answer.json

or in Python, also to create functions:

  boto3.client("lambda", endpoint_url="{url}").invoke(FunctionName="{name}")
"""


def _named(functions: tuple[str, ...]) -> dict[str, str]:
    handlers: dict[str, str] = {}
    for text in functions:
        match = _NAMED.fullmatch(text)
        handler = match["handler"] if match else text
        name = match["name"] if match and match["name"] else handler.rpartition(":")[2]
        if name in handlers:
            raise CommandError(f"two functions are called {name}: give one as NAME={handler}")
        handlers[name] = handler
    return handlers


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise CommandError(
                f"{option} {text!r} must be {'NAME=N' if option == '--reserved' else 'K=V'}"
            )
        pairs[key] = value
    return pairs


def _whole_number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise CommandError(f"--reserved {name}={text} must be a whole number, 0 or more")
    return int(text)
