"""`asyncinvoke local`: serves handlers over Lambda's wire protocol until Ctrl-C."""

import contextlib
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.values import Duration, FileName, WholeNumber

if TYPE_CHECKING:
    from asyncinvoke.cli.running import Interrupt
    from asyncinvoke.local import LocalLambda


EXAMPLES = """\b
Examples:
  asyncinvoke local handlers.py:resize
  asyncinvoke local handlers.py:resize --reserved resize=10 --timeout 30
  asyncinvoke local --config endpoint.toml --set resize:memory=256
  asyncinvoke local handlers.py:charge --fault throttle,count=2
"""


@click.command(short_help="Serve functions on this machine to any AWS SDK.", epilog=EXAMPLES)
@click.argument("functions", metavar="[NAME=]FILE_OR_MODULE:FUNCTION...", nargs=-1, type=FileName())
@click.option(
    "--config",
    type=FileName(),
    metavar="FILE",
    help="A TOML file with these settings, and a table [functions.NAME] for each function.",
)
@click.option(
    "--port",
    type=WholeNumber(0, 65535),
    metavar="PORT",
    help="The port to listen on; 0 is any that is free.  [default: 9001]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="The address to listen on.",
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
    help="Answer unsigned requests, such as curl's. Others get AWS's 403.",
)
@click.option(
    "--account-concurrency",
    type=WholeNumber(1),
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
    type=Duration(maximum=900),
    metavar="TIME",
    help="How long an execution may take: 30, 500ms, 5m.  [default: 3]",
)
@click.option(
    "--memory-size",
    type=WholeNumber(128, 10240),
    metavar="MB",
    help="Memory of a function; one that uses more is killed.  [default: 128]",
)
@click.option(
    "--env",
    multiple=True,
    metavar="K=V",
    help="An environment variable of the functions; for several, give it again.",
)
@click.option(
    "--env-file",
    type=FileName(),
    multiple=True,
    metavar="FILE",
    help="A file of lines K=V; for several, give it again.",
)
@click.option(
    "--set",
    "set_",
    multiple=True,
    metavar="NAME:SETTING=VALUE",
    help="Set one function: timeout, memory, reserved, event-retry-delay, env.K, env-file. Such as "
    "resize:memory=256; for several, give it again.",
)
@click.option(
    "--event-retry-delay",
    metavar="SECONDS[,SECONDS]",
    help="When an Event that failed runs again.  [default: 60,120]",
)
@click.option(
    "--region", metavar="REGION", help="The region that it says it is in.  [default: us-east-1]"
)
@click.option(
    "--account-id",
    metavar="DIGITS",
    help="The account that it says it is, twelve digits.  [default: 123456789012]",
)
@click.option(
    "--fault",
    multiple=True,
    metavar="KIND[,OPTION...]",
    help="Let requests meet a fault: throttle, error, function-error, reset, close, truncated or "
    "stall, with function=, count=, probability=, seed=, after-run. For several, give it again.",
)
@click.option(
    "--s3",
    type=FileName(),
    metavar="DIR_OR_URL",
    help="Where code is found that functions are created from in S3.",
)
@click.option(
    "--sandbox",
    is_flag=True,
    help="Give each process a /tmp of its own, and code that is read-only.",
)
@click.option("--freeze", is_flag=True, help="Stop processes between invocations, as AWS does.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing of invocations and functions.")
def local(**options: Any) -> int:
    """Serve functions on this machine, to any AWS SDK, until Ctrl-C.

    It runs the code that it is given, in AWS's own Python runtime (awslambdaric); when a file
    changes, or one that it imports from its folder, later invocations run the new code. Functions
    can also be created while it runs, by any AWS SDK; without any here it starts empty.

    Any credentials will do: whoever can use this machine can invoke and create functions. No web
    page can: what a browser sends for one is refused. It listens on loopback, and elsewhere only
    with both --host and --allow-remote.

    It prints what functions write as it comes, with the time and the name, and for each invocation
    the request id, the answer's status, how long it took, and what went wrong; of Events how they
    ended, and when they run again.
    """
    from asyncinvoke.cli.local import console
    from asyncinvoke.cli.local.endpoint import made
    from asyncinvoke.cli.running import run
    from asyncinvoke.local.http.access import is_remote

    endpoint, names = made(**options)

    async def main(interrupt: "Interrupt") -> int:
        greeting = functools.partial(
            console.greeting,
            names,
            remote=is_remote(options["host"]),
            region=endpoint.region_name,
        )
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
