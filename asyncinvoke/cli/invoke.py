"""`asyncinvoke invoke`: one invocation; its payload on stdout, everything else on stderr."""

import contextlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import click

from asyncinvoke.cli.errors import CommandError, complain
from asyncinvoke.cli.habits import AWS, Command, check_output, has_colours
from asyncinvoke.cli.options import SharedOptions, invoke_options, shared_options
from asyncinvoke.cli.streams import STDERR
from asyncinvoke.cli.terminal import harmless
from asyncinvoke.cli.values import FileName

if TYPE_CHECKING:
    from asyncinvoke import Invoker, Response
    from asyncinvoke.cli.interruptible import Progress
    from asyncinvoke.cli.response import ResponseOutput
    from asyncinvoke.cli.running import Interrupt
    from asyncinvoke.cli.streams import Output


EXAMPLES = """\b
Examples:
  asyncinvoke invoke resize '{"key": "cat.jpg"}'
  asyncinvoke invoke resize @event.json --log-type Tail
  asyncinvoke invoke report -q live -t 5m -o report.json < /dev/null
  asyncinvoke invoke chat '{"say": "hello"}' --stream
"""


class _Invoke(Command):
    INSTEAD: ClassVar[Mapping[str, str]] = AWS | {
        "--function-name": "pass the function as the first argument: asyncinvoke invoke FUNCTION "
        "[PAYLOAD]",
    }
    EXTRA: ClassVar[str] = "-o FILE writes the response to a file"


@click.command(cls=_Invoke, short_help="Invoke a function once.", epilog=EXAMPLES)
@click.argument("function_name", metavar="FUNCTION")
@click.argument("positional", metavar="[PAYLOAD]", required=False)
@click.option(
    "--payload",
    metavar="JSON|file://PATH|-",
    help="The payload, instead of PAYLOAD: literal text, a file (file://, fileb:// or @), or - for "
    "standard input.  [default: none]",
)
@click.option(
    "--invocation-type",
    type=click.Choice(["RequestResponse", "Event", "DryRun"]),
    default="RequestResponse",
    show_default=True,
    help="Wait for the result, queue the event, or only validate the request.",
)
@click.option(
    "--log-type",
    type=click.Choice(["None", "Tail"]),
    default="None",
    show_default=True,
    help="Tail prints the last 4 KB of the execution log to standard error.",
)
@click.option(
    "--durable-execution-name",
    metavar="NAME",
    help="Name of the durable execution; makes the invocation safe to repeat.",
)
@click.option("-s", "--stream", is_flag=True, help="Write the response as it is streamed.")
@click.option(
    "-o",
    "--output",
    type=FileName(),
    metavar="FILE|-",
    help="Write the response to FILE.  [default: standard output]",
)
@click.option("--raw", is_flag=True, help="Do not format the response on a terminal.")
@shared_options
def invoke(
    function_name: str,
    positional: str | None,
    payload: str | None,
    invocation_type: str,
    log_type: str,
    durable_execution_name: str | None,
    stream: bool,
    output: str | None,
    raw: bool,
    **shared: Unpack[SharedOptions],
) -> int:
    """Invoke FUNCTION, a name or an ARN, with PAYLOAD, and write its response.

    The response goes to standard output, indented and coloured on a terminal. Everything else goes
    to standard error.
    """
    from asyncinvoke import FunctionError
    from asyncinvoke.cli import open_files
    from asyncinvoke.cli.interruptible import interruptible
    from asyncinvoke.cli.map.outputs import awaited_output, check_new_output, is_stream
    from asyncinvoke.cli.payload import read_payload
    from asyncinvoke.cli.response import ResponseOutput
    from asyncinvoke.cli.running import run

    if positional is not None and payload is not None:
        raise CommandError("the payload is given twice: as PAYLOAD and as --payload")
    check_output(output)
    given = positional if payload is None else payload
    body = None if given is None else read_payload(given)
    options = invoke_options(shared) | _options_of(
        invocation_type, log_type, durable_execution_name, stream=stream
    )
    open_files.raise_open_files()

    check_new_output(output, force=True)
    # Keep the content of an existing file until there is something to replace it with.
    is_late = output is not None and output != "-" and not is_stream(output)

    async def main(interrupt: "Interrupt") -> int:
        async with contextlib.AsyncExitStack() as stack:
            at_once = None
            if not is_late:
                at_once = await stack.enter_async_context(awaited_output(output))

            writes = stack.enter_context(ResponseOutput(output, at_once))

            async def work(invoker: "Invoker", progress: "Progress") -> int:
                error = None
                try:
                    if stream:
                        await _stream(invoker, function_name, body, options, writes)
                        return writes.status
                    response = await invoker.invoke(function_name, body, **options)
                except FunctionError as failed:
                    error, response = failed, failed.response
                progress.is_answered = True
                _write_log(response)
                await writes.write_whole(lambda to: _formatted(response, to, raw=raw))
                if error is not None:
                    return complain(error)
                click.echo(_facts(response), err=True)
                return writes.status

            return await interruptible(shared, work, interrupt)

    return run(main)


def _options_of(
    invocation_type: str, log_type: str, durable_execution_name: str | None, *, stream: bool
) -> dict[str, Any]:
    """Return the options of an invocation, or those of a stream, which has fewer.

    Raises:
        CommandError: An option does not go with a stream.
    """
    if not stream:
        return {
            "invocation_type": invocation_type,
            "log_type": log_type,
            "durable_execution_name": durable_execution_name,
        }
    if invocation_type != "RequestResponse":
        raise CommandError(f"--stream and --invocation-type {invocation_type} exclude each other")
    if durable_execution_name is not None:
        raise CommandError("--stream and --durable-execution-name exclude each other")
    return {"log_type": log_type}


async def _stream(
    invoker: "Invoker",
    function_name: str,
    body: bytes | None,
    options: Any,
    writes: "ResponseOutput",
) -> None:
    from asyncinvoke.cli.map.progress import counted

    size, chunks, is_ended = 0, 0, True
    async with invoker.stream(function_name, body, **options) as stream:
        async for chunk in stream:
            await writes.write(chunk)
            size, chunks, is_ended = size + len(chunk), chunks + 1, chunk.endswith(b"\n")
    await writes.write(b"\n" if not is_ended and writes.is_terminal() else b"")
    click.echo(f"{counted(size, 'byte')} in {counted(chunks, 'chunk')}", err=True)


def _write_log(response: "Response") -> None:
    log = response.log_result
    if not log:
        return
    if os.isatty(STDERR):
        log = "\n".join(map(harmless, log.split("\n")))
    click.echo(log, err=True, nl=not log.endswith("\n"))


def _formatted(response: "Response", writes: "Output", *, raw: bool) -> bytes:
    payload = response.payload
    if payload and os.isatty(writes.descriptor):
        if not raw:
            payload = _for_a_terminal(payload)
        payload += b"\n"
    return payload


def _for_a_terminal(payload: bytes) -> bytes:
    from asyncinvoke._inputs import json_text
    from asyncinvoke.cli.terminal import pretty

    try:
        json_text.check_json(payload)
        text = payload.decode()
    except (json_text.NotJsonError, UnicodeDecodeError):
        return payload
    return pretty(text, colours=has_colours()).encode()


def _facts(response: "Response") -> str:
    """Return the metadata of an invocation as one line."""
    from asyncinvoke.cli.map.progress import counted

    attempts = response.attempts
    facts = [str(response.status_code)]
    if response.executed_version is not None:
        facts.append(f"version {response.executed_version}")
    if response.request_id is None:
        facts.append("no request id (Lambda always sends one)")
    else:
        facts.append(f"request id {response.request_id}")
    facts.append(counted(len(attempts), "attempt"))
    if response.durable_execution_arn is not None:
        facts.append(f"durable execution {response.durable_execution_arn}")
    if attempts:
        facts.append(f"{response.elapsed * 1000:,.0f} ms")
    if response.billed_duration is not None:
        facts.append(f"billed {response.billed_duration * 1000:,.0f} ms")
    return ", ".join(facts)
