"""The output of `asyncinvoke local`: function logs, one line per answered call, the end of Events."""

import contextlib
import functools
import json
import sys
import time
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from asyncinvoke.cli.habits import has_colours
from asyncinvoke.cli.terminal import harmless
from asyncinvoke.local.http import access

if TYPE_CHECKING:
    from asyncinvoke.local import AnsweredInvocation, EventProgress, LogLine


_COLORS = ("cyan", "magenta", "blue", "yellow", "green")
_LONGEST_REASON = 300


def print_invocation(answered: "AnsweredInvocation") -> None:
    """Print how one request was answered."""
    name = answered.function_name
    line = f"{answered.request_id} {answered.status_code} {answered.duration * 1000:,.0f} ms"
    if answered.invocation_type != "RequestResponse":
        line += f" {answered.invocation_type}"
    if answered.reason is not None:
        line += f" throttled: {answered.reason}"
    elif answered.error_type is not None:
        what = "function error" if answered.function_error is not None else "refused"
        line += f" {what}: {answered.error_type}"
        if answered.error_message:
            line += f": {_cut(answered.error_message)}"
    elif answered.function_error is not None:
        line += f" function error: {answered.function_error}"
    if answered.fault is not None:
        line += f" (fault: {answered.fault})"
    failed = answered.function_error is not None or not 200 <= answered.status_code < 300
    bare = name.rpartition(":function:")[2]
    _print(time.time(), bare, harmless(line), color="red" if failed else None)


def print_log(line: "LogLine") -> None:
    """Print one line of a function's log."""
    _print(line.time, line.function_name, f"| {harmless(line.text)}")


def print_event(progress: "EventProgress") -> None:
    """Print the progress of an Event."""
    line = f"{progress.request_id} Event"
    if progress.runs:
        line += f", run {progress.runs}"
    if progress.function_error is not None:
        line += f": {_reason_in(progress.payload) or progress.function_error}"
    elif progress.condition is None:
        line += ": throttled"
    if progress.condition is not None:
        line += f"; ended: {progress.condition}"
    else:
        line += f"; again in {progress.delay or 0:,.1f} s"
    is_fine = progress.condition == "Success"
    _print(time.time(), progress.function_name, line, color=None if is_fine else "red")


def greeting(names: list[str], url: str, *, host: str, region: str) -> str:
    """Return the text printed at startup: the URL, where it listens, and how to call it."""
    name = names[0] if names else "NAME"
    what = f"Serving {', '.join(names)}" if names else "Serving no functions yet"
    callers = "Every user of this machine can invoke and create functions."
    if access.is_remote(host):
        where = "at any address of this one" if access.is_any(host) else "there"
        callers = (
            f"WARNING: it listens on {host}: other machines can reach it {where}, port "
            f"{urlsplit(url).port}, and run any code here."
        )
    return f"""\
{what} at {url}
{callers} Press Ctrl-C to stop.

Any credentials and region are accepted:

  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION={region}
  asyncinvoke invoke {name} --payload '{{}}' --endpoint-url {url}
  aws lambda invoke --function-name {name} --endpoint-url {url} answer.json

In Python, which can also create functions:

  boto3.client("lambda", endpoint_url="{url}").invoke(FunctionName="{name}")
"""


def _print(when: float, name: str, line: str, *, color: str | None = None) -> None:
    body = line if color is None else click.style(line, fg=color)
    text = f"{_clock(int(when))}.{int(when % 1 * 1000):03} {_painted(name)} {body}\n"
    stream = sys.stderr
    # `click.echo` is ten times slower, and functions may write thousands of lines.
    with contextlib.suppress(OSError, ValueError):  # stdout may be closed
        if not (has_colours() and stream.isatty()):
            text = click.unstyle(text)
        stream.write(text)
        stream.flush()


@functools.lru_cache(maxsize=8)
def _clock(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


@functools.lru_cache(maxsize=256)
def _painted(name: str) -> str:
    shown = name if name.isprintable() else ascii(name)
    return click.style(shown, fg=_COLORS[zlib.crc32(name.encode(errors="replace")) % len(_COLORS)])


def _reason_in(payload: bytes) -> str:
    try:
        body = json.loads(payload)
        reason = f"{body['errorType']}: {body['errorMessage']}"
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return _cut(reason)


def _cut(text: str) -> str:
    line = harmless(" ".join(text.split()))
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"
