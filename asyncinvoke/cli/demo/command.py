"""The `demo` command: options, an environment without AWS, and the exit status."""

import os
from typing import TYPE_CHECKING

import click

from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.habits import Command
from asyncinvoke.cli.values import WholeNumber

if TYPE_CHECKING:
    from asyncinvoke.cli.running import Interrupt


@click.command(cls=Command, short_help="Run a demonstration; needs no AWS account.")
@click.option(
    "-c",
    "--concurrency",
    type=WholeNumber(1),
    default=64,
    show_default=True,
    metavar="N",
    help="Maximum number of concurrent invocations.",
)
@click.option(
    "--account-concurrency",
    type=WholeNumber(1),
    default=12,
    show_default=True,
    metavar="N",
    help="Concurrent executions that the endpoint allows before it throttles.",
)
@click.option("--head", type=WholeNumber(1), metavar="N", help="Process only the first N modules.")
def demo(concurrency: int, account_concurrency: int, head: int | None) -> int:
    """Fan out real work over a throttled function on this machine.

    Each module of the Python standard library is one payload, which the function parses and
    measures: in the AWS Lambda runtime where it is installed (Linux), otherwise in this process.
    The concurrency is above the endpoint's limit, so calls are throttled and retried. Halfway
    through, the run is killed and the same command continues it. Finally, the totals are recomputed
    without Lambda. Needs no AWS account and no network. Exits with 1 if a payload was lost or run
    twice, or if the totals differ.
    """
    _leave_aws_alone()
    from asyncinvoke.cli.demo.library import find_modules
    from asyncinvoke.cli.demo.story import run_demo
    from asyncinvoke.cli.running import run

    modules = find_modules(head)
    if not modules:
        raise CommandError("this Python has no standard library in source form")

    async def main(_: "Interrupt") -> int:
        well = await run_demo(
            modules, concurrency=concurrency, account_concurrency=account_concurrency
        )
        return 0 if well else FAILED

    return run(main)


def _leave_aws_alone() -> None:
    """Keep the user's AWS and proxy configuration out of the demonstration."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="demo",
        AWS_SECRET_ACCESS_KEY="demo",  # noqa: S106  # the endpoint checks no signature
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        NO_PROXY="*",
    )
