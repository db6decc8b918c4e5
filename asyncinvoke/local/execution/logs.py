"""The platform's log lines around an execution, and the tail that `LogType` asks for."""

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from asyncinvoke.local.execution import function_errors

TAIL_LIMIT = 4_096
"""How many bytes of the log `X-Amz-Log-Result` holds (AWS's documentation)."""

NO_BREAK_SPACE = "\u00a0"

# GUESS: not recorded from AWS (docs/fidelity.md)
ERROR_STATUS = "Status: error\tError Type: {}"  # seen with its white space lost


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a function's log: what it wrote, or what the platform writes around it."""

    function_name: str
    """The function."""
    version: str
    """The version that runs."""
    text: str = field(repr=False)
    """The line, without its end."""
    time: float
    """When it came, in seconds since the epoch."""


LogListener: TypeAlias = Callable[[LogLine], None]
"""Called on the endpoint's loop; must neither block nor raise."""


def line_listener(
    on_log: LogListener | None, function_name: str, version: str
) -> Callable[[str], None] | None:
    """Return what takes the text of each line of one version's log; None if nobody listens."""
    if on_log is None:
        return None
    return lambda text: on_log(
        LogLine(function_name=function_name, version=version, text=text, time=time.time())
    )


def group_name(function_name: str) -> str:
    """Return the log group that the service would write to."""
    return f"/aws/lambda/{function_name}"


def new_stream_name(version: str) -> str:
    """Return a new log stream's name, in the service's form."""
    day = time.strftime("%Y/%m/%d", time.gmtime())
    return f"{day}/[{version}]{secrets.token_hex(16)}"


def timestamp() -> str:
    """Return the time in the service's form, to the millisecond."""
    now = time.time()
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{clock}.{int(now % 1 * 1000):03}Z"


def tail(log: bytes | bytearray) -> bytes:
    """Keep the last bytes, even if that cuts a character in two, as the service does."""
    return bytes(log[-TAIL_LIMIT:])


def start(request_id: str, version: str) -> bytes:
    """Return the line before a handler's own output."""
    return f"START RequestId: {request_id} Version: {version}\n".encode()


def end(
    request_id: str,
    *,
    duration: float,
    memory_size: int,
    memory_used: int,
    init_duration: float | None = None,
    status: str = "",
) -> bytes:
    """Return the END and REPORT lines.

    Args:
        request_id: The execution's id.
        duration: Seconds that the handler ran.
        memory_size: The function's memory, in MB.
        memory_used: The most memory that was used, in MB.
        init_duration: Seconds that a cold start took; None for a warm one.
        status: What REPORT says about an execution that the platform ended.
    """
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration * 1000:.2f} ms",
        f"Billed Duration: {math.ceil(duration * 1000)} ms",
        f"Memory Size: {memory_size} MB",
        f"Max Memory Used: {memory_used} MB",
    ]
    if init_duration is not None:
        fields.append(f"Init Duration: {init_duration * 1000:.2f} ms")
    fields.append(status)
    report = "\t".join(fields)
    return f"END RequestId: {request_id}\n{report}\n".encode()


def init_timed_out(duration: float) -> bytes:
    """Return the line about a start that took too long."""
    # Seen in AWS's documentation of the execution environment.
    return f"INIT_REPORT Init Duration: {duration * 1000:.2f} ms\tPhase: init\tStatus: timeout\n".encode()


def uncaught(error_type: str, message: str, trace: list[str]) -> bytes:
    """Return the Python runtime's lines for an error that left the handler."""
    lines = [f"[ERROR] {error_type}: {message}", "Traceback (most recent call last):"]
    for frame in trace:
        for line in frame.splitlines():
            text = line.lstrip(" ")
            lines.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    return ("\n".join(lines) + "\n").encode(errors="replace")


def timed_out(request_id: str, seconds: float) -> bytes:
    """Return the line about a timeout."""
    message = function_errors.task_timed_out(seconds)
    return f"{timestamp()} {request_id} {message}\n\n".encode()
