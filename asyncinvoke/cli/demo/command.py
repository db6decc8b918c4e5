"""The `demo` command: options, an environment without AWS, and the exit status."""

import os
from typing import TYPE_CHECKING

import click

from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.habits import Command
from asyncinvoke.cli.values import WholeNumber

if TYPE_CHECKING:
    from asyncinvoke.cli.running import Interrupt


@click.command(cls=Command, short_help="See it work, without an AWS account.")
@click.option(
    "-c",
    "--concurrency",
    type=WholeNumber(1),
    default=64,
    show_default=True,
    metavar="N",
    help="How many invocations are worked on at once.",
)
@click.option(
    "--account-concurrency",
    type=WholeNumber(1),
    default=12,
    show_default=True,
    metavar="N",
    help="How many executions the endpoint allows at once; beyond it, it throttles.",
)
@click.option("--head", type=WholeNumber(1), metavar="N", help="Only the first N modules.")
def demo(concurrency: int, account_concurrency: int, head: int | None) -> int:
    """Fan real work out over a throttled function, on this machine.

    Every module of this Python's standard library is one payload; the function parses it and
    measures it, in AWS's own Lambda runtime where that is installed (Linux), else in this process.
    More is requested at once than the endpoint allows, so that throttles have to be survived. In the
    middle the run is killed, and the same command continues it. At the end the totals are computed
    again without Lambda. Needs no AWS account and no network. Exits with 1 if a payload was lost or
    run twice, or the totals differ.
    """
    _leave_aws_alone()
    from asyncinvoke.cli.demo.library import find_modules
    from asyncinvoke.cli.demo.story import tell_demo
    from asyncinvoke.cli.running import run

    modules = find_modules(head)
    if not modules:
        raise CommandError("this Python has no standard library in source form")

    async def main(_: "Interrupt") -> int:
        well = await tell_demo(
            modules, concurrency=concurrency, account_concurrency=account_concurrency
        )
        return 0 if well else FAILED

    return run(main)


def _leave_aws_alone() -> None:
    """Let nothing of the user's AWS or proxy configuration take part."""
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
