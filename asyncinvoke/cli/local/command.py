"""`asyncinvoke local`: serves handlers over Lambda's wire protocol until Ctrl-C."""

import contextlib
import functools
import signal
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


@click.command(short_help="Serve Lambda functions locally to any AWS SDK.", epilog=EXAMPLES)
@click.argument("functions", metavar="[NAME=]FILE_OR_MODULE:FUNCTION...", nargs=-1, type=FileName())
@click.option(
    "--config",
    type=FileName(),
    metavar="FILE",
    help="Read settings from a TOML file, with a [functions.NAME] table per function.",
)
@click.option(
    "--port",
    type=WholeNumber(0, 65535),
    metavar="PORT",
    help="Port to listen on; 0 picks a free one.  [default: 9001]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on.",
)
@click.option(
    "--allow-remote",
    is_flag=True,
    help="Allow a --host that other machines can reach. They can then run any code on this one.",
)
@click.option(
    "--allowed-host",
    multiple=True,
    metavar="NAME",
    help="Host name by which other machines address this one. Repeatable.",
)
@click.option(
    "--allow-unsigned",
    is_flag=True,
    help="Accept unsigned requests, such as curl's; without it they get a 403, as from AWS.",
)
@click.option(
    "--account-concurrency",
    type=WholeNumber(1),
    default=50,
    show_default=True,
    metavar="N",
    help="Maximum number of concurrent executions, each in its own process; further calls are "
    "throttled.",
)
@click.option(
    "--reserved",
    multiple=True,
    metavar="NAME=N",
    help="Reserved concurrency of a function. Repeatable.",
)
@click.option(
    "--timeout",
    type=Duration(maximum=900),
    metavar="TIME",
    help="Time limit of an execution: 30, 500ms, 5m.  [default: 3]",
)
@click.option(
    "--memory-size",
    type=WholeNumber(128, 10240),
    metavar="MB",
    help="Memory limit of a function; it is killed if it uses more.  [default: 128]",
)
@click.option(
    "--env",
    multiple=True,
    metavar="K=V",
    help="Set an environment variable for all functions. Repeatable.",
)
@click.option(
    "--env-file",
    type=FileName(),
    multiple=True,
    metavar="FILE",
    help="Read environment variables from a file of K=V lines. Repeatable.",
)
@click.option(
    "--set",
    "set_",
    multiple=True,
    metavar="NAME:SETTING=VALUE",
    help="Configure one function, as in resize:memory=256. SETTING is timeout, memory, reserved, "
    "event-retry-delay, env.K or env-file. Repeatable.",
)
@click.option(
    "--event-retry-delay",
    metavar="SECONDS[,SECONDS]",
    help="Delays before a failed Event is retried.  [default: 60,120]",
)
@click.option(
    "--region", metavar="REGION", help="Region that the endpoint reports.  [default: us-east-1]"
)
@click.option(
    "--account-id",
    metavar="DIGITS",
    help="Account id that the endpoint reports, twelve digits.  [default: 123456789012]",
)
@click.option(
    "--fault",
    multiple=True,
    metavar="KIND[,OPTION...]",
    help="Inject a fault: throttle, error, function-error, reset, close, truncated or stall. "
    "Options: function=, count=, probability=, seed=, after-run. Repeatable.",
)
@click.option(
    "--s3",
    type=FileName(),
    metavar="DIR_OR_URL",
    help="Source of the code of functions created from S3: a directory or a URL.",
)
@click.option(
    "--sandbox",
    is_flag=True,
    help="Give each process its own /tmp and read-only code.",
)
@click.option("--freeze", is_flag=True, help="Suspend processes between invocations, as AWS does.")
@click.option("-q", "--quiet", is_flag=True, help="Do not print invocations or function output.")
def local(**options: Any) -> int:
    """Serve Lambda functions on this machine to any AWS SDK, until Ctrl-C (exit status 0).

    The code runs in AWS's own Python runtime (awslambdaric). When a file or a module imported from
    its directory changes, later invocations run the new code. Functions can also be created with
    any AWS SDK while the endpoint is running; with no arguments it starts empty.

    Any credentials are accepted: every user of this machine can invoke and create functions. Web
    pages cannot: cross-site requests from browsers are rejected. The endpoint listens on loopback,
    and on other addresses only with both --host and --allow-remote.

    Function output is printed as it arrives, with time and function name. Each invocation is logged
    with its request id, status, duration and error; each Event also with its outcome and its next
    retry.
    """
    from asyncinvoke.cli.local import console
    from asyncinvoke.cli.local.endpoint import make_endpoint
    from asyncinvoke.cli.running import run

    endpoint, names = make_endpoint(**options)

    async def main(interrupt: "Interrupt") -> int:
        greeting = functools.partial(
            console.greeting,
            names,
            host=options["host"],
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
    if interrupt.signal == signal.SIGINT:
        interrupt.signal = None  # the usual way to stop a server, and no failure
    statistics = endpoint.statistics()
    click.echo(
        f"{statistics.invocations:,} invocations, {sum(statistics.throttles.values()):,} throttled, "
        f"{statistics.function_errors:,} function errors, {statistics.cold_starts:,} cold starts",
        err=True,
    )
    return 0
