"""`asyncinvoke doctor`: checks everything between this machine and a function, and says what to fix."""

import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from asyncinvoke.cli.errors import FAILED
from asyncinvoke.cli.habits import Command
from asyncinvoke.cli.options import use_profile
from asyncinvoke.cli.values import Duration

if TYPE_CHECKING:
    from asyncinvoke import Diagnosis
    from asyncinvoke.cli.running import Interrupt

_COLOURS = {"ok": "green", "note": "yellow", "wrong": "red", "skipped": "bright_black"}


@click.command(
    cls=Command,
    short_help="Diagnose why invocations fail.",
    epilog="""\b
Examples:
  asyncinvoke doctor
  asyncinvoke doctor resize --profile production
  asyncinvoke doctor --json | jq '.checks[] | select(.status == "wrong")'
""",
)
@click.argument("function_name", metavar="[FUNCTION]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option(
    "-t",
    "--timeout",
    type=Duration(),
    default=10.0,
    metavar="TIME",
    help="Time limit for each of credentials, connection and every dry run: 30, 500ms.  "
    "[default: 10]",
)
@click.option("-r", "--region", metavar="REGION", help="The AWS region.")
@click.option("-p", "--profile", metavar="NAME", help="The profile in AWS's config files.")
@click.option(
    "-u", "--endpoint-url", metavar="URL", help="Use another endpoint, such as asyncinvoke local."
)
def doctor(
    function_name: str | None,
    as_json: bool,
    timeout: float,
    region: str | None,
    profile: str | None,
    endpoint_url: str | None,
) -> int:
    """Check everything between this machine and FUNCTION, one line per check.

    Checks versions, Python and the event loop; the open file limit; region, credentials, endpoint,
    proxy and certificates, and where each is set; whether the endpoint responds, TLS and the clock;
    and which transport is used. With FUNCTION, it also makes three dry runs, which do not execute
    the function. Keys and tokens are never shown, so the output is safe to paste into a bug report.
    Exits with 1 if a check fails.
    """
    from asyncinvoke import diagnose
    from asyncinvoke.cli.running import run

    use_profile(profile)

    async def main(_: "Interrupt") -> int:
        diagnosis = await diagnose(
            function_name, region_name=region, endpoint_url=endpoint_url, timeout=timeout
        )
        if as_json:
            click.echo(json.dumps(diagnosis.as_dict(), indent=2, allow_nan=False))
        else:
            _show(diagnosis)
        return 0 if diagnosis.ok else FAILED

    return run(main)


def _show(diagnosis: "Diagnosis") -> None:
    from asyncinvoke.cli.errors import one_line

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for check in diagnosis.checks:
        # click omits colours when standard output is not a terminal.
        status = click.style(f"{check.status.value:<8}", fg=_COLOURS[check.status.value])
        said = _wrapped(f"{check.name}: {one_line(check.found)}", width)
        click.echo(status + said)
        if check.advice is not None:
            click.echo(f"{'':<8}{_wrapped(f'-> {one_line(check.advice)}', width)}")
    wrong = [check.name for check in diagnosis.checks if check.status == "wrong"]
    click.echo()
    click.echo(f"wrong: {', '.join(wrong)}" if wrong else "nothing is wrong")


def _wrapped(text: str, width: int | None) -> str:
    """Wrap a line at word boundaries for a terminal; leave it as one line otherwise."""
    if width is None:
        return text
    lines = textwrap.wrap(text, max(width - 8, 20), break_long_words=False, break_on_hyphens=False)
    return f"\n{'':<8}".join(lines)
