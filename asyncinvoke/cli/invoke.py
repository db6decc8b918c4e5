"""`asyncinvoke invoke`: one invocation; its payload on stdout, all else on stderr."""

import codecs
import os
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from asyncinvoke import FunctionError, InvocationType, LogType, Response
from asyncinvoke._inputs import json_text, kinds
from asyncinvoke._inputs.lines import MOST
from asyncinvoke.cli import files, streams
from asyncinvoke.cli.errors import CommandError, complain
from asyncinvoke.cli.options import SharedOptions, invoke_options, opened_invoker, shared_options
from asyncinvoke.cli.progress import counted

if TYPE_CHECKING:
    from asyncinvoke.cli.running import Interrupt

FILE_PREFIX = "file://"

_MOST_READ = len(codecs.BOM_UTF8) + MOST + 1


@click.command(short_help="Invoke a function once.")
@click.argument("function_name", metavar="FUNCTION")
@click.option(
    "--payload",
    metavar="JSON|file://PATH|-",
    help="What the function gets: the text itself, a file, or standard input. [default: none]",
)
@click.option(
    "--invocation-type",
    type=click.Choice([kind.value for kind in InvocationType]),
    default=InvocationType.REQUEST_RESPONSE.value,
    show_default=True,
    help="How Lambda runs it.",
)
@click.option(
    "--log-type",
    type=click.Choice([kind.value for kind in LogType]),
    default=LogType.NONE.value,
    show_default=True,
    help="Tail writes the end of the log to standard error.",
)
@shared_options
def invoke(
    function_name: str,
    payload: str | None,
    invocation_type: str,
    log_type: str,
    **shared: Unpack[SharedOptions],
) -> int:
    """Invoke FUNCTION, a name or an ARN, and write what it returns to standard output."""
    from asyncinvoke.cli.running import run

    body = None if payload is None else _read_payload(payload)
    options = invoke_options(shared)
    options["invocation_type"] = InvocationType(invocation_type)
    options["log_type"] = LogType(log_type)
    output = streams.standard_output()
    files.raise_open_files()

    async def main(interrupt: "Interrupt") -> int:
        with interrupt.block():
            try:
                async with opened_invoker(shared, limit=1) as invoker:
                    response = await invoker.invoke(function_name, body, **options)
            except FunctionError as error:
                await _write(error.response, output, attempts=len(error.attempts))
                return complain(error)
            await _write(response, output, attempts=len(response.attempts))
        if interrupt.signal is not None:
            click.echo("interrupted: the function may have run", err=True)
        return 0

    return run(main)


async def _write(response: Response, output: streams.Output, *, attempts: int) -> None:
    log = response.log_result
    if log:
        click.echo(log, err=True, nl=not log.endswith("\n"))
    end = b"\n" if response.payload and os.isatty(streams.STDOUT) else b""
    await output.write(response.payload + end)
    facts = [str(response.status_code)]
    if response.executed_version is not None:
        facts.append(f"version {response.executed_version}")
    facts.append(f"request id {response.request_id}")
    facts.append(counted(attempts, "attempt"))
    click.echo(", ".join(facts), err=True)


def _read_payload(payload: str) -> bytes:
    name = "payload"
    try:
        if payload == "-":
            name = "payload from standard input"
            with open(streams.STDIN, "rb", closefd=False) as stdin:  # sys.stdin may be None
                data = stdin.read(_MOST_READ)
        elif payload.startswith(FILE_PREFIX):
            name = f"payload in {payload}"
            with Path(payload.removeprefix(FILE_PREFIX)).expanduser().open("rb") as file:
                data = file.read(_MOST_READ)
        else:
            data = os.fsencode(payload)
    except OSError as error:
        raise CommandError(f"cannot read {name}: {error.strerror}") from error
    said = kinds.other_kind(data[: kinds.HEAD], name)
    if said is not None:
        raise CommandError(said)
    data = data.removeprefix(codecs.BOM_UTF8)
    if len(data) > MOST:
        raise CommandError(f"{name}: Lambda takes at most {MOST:,} bytes")
    try:
        json_text.check_json(data)
    except json_text.NotJsonError as error:
        raise CommandError(f"{name}: {error}") from error
    return data
