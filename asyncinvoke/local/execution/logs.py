"""The log lines of the platform around an execution, and the log tail."""

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from asyncinvoke.local.execution import function_errors

TAIL_LIMIT = 4_096
"""The maximum size of the log tail in `X-Amz-Log-Result`, in bytes (AWS's documentation)."""

NO_BREAK_SPACE = "\u00a0"

# GUESS: not recorded from AWS (docs/fidelity.md)
ERROR_STATUS = "Status: error\tError Type: {}"  # seen with its white space lost


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a function's log, written by the function or the platform."""

    function_name: str
    """The function."""
    version: str
    """The version."""
    text: str = field(repr=False)
    """The line, without the newline."""
    time: float
    """The time of its arrival, in seconds since the epoch."""


LogListener: TypeAlias = Callable[[LogLine], None]
"""Called with each line on the endpoint's loop; must neither block nor raise."""


def line_listener(
    on_log: LogListener | None, function_name: str, version: str
) -> Callable[[str], None] | None:
    """Return a function that reports each line of one version's log; None without a listener."""
    if on_log is None:
        return None
    return lambda text: on_log(
        LogLine(function_name=function_name, version=version, text=text, time=time.time())
    )


def group_name(function_name: str) -> str:
    """Return the default log group of a function."""
    return f"/aws/lambda/{function_name}"


def new_stream_name(version: str) -> str:
    """Return the name of a new log stream, in the format of the service."""
    day = time.strftime("%Y/%m/%d", time.gmtime())
    return f"{day}/[{version}]{secrets.token_hex(16)}"


def timestamp() -> str:
    """Return the current time in the format of the service, to the millisecond."""
    now = time.time()
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{clock}.{int(now % 1 * 1000):03}Z"


def tail(log: bytes | bytearray) -> bytes:
    """Return the last bytes of a log; like the service, it may split a character."""
    return bytes(log[-TAIL_LIMIT:])


def start(request_id: str, version: str) -> bytes:
    """Return the START line."""
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
        request_id: The request id.
        duration: The duration of the execution, in seconds.
        memory_size: The function's memory, in MB.
        memory_used: The peak memory usage, in MB.
        init_duration: The duration of a cold start, in seconds; None for a warm one.
        status: The status of an execution that the platform ended.
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
    """Return the line for a start that took too long."""
    # Seen in AWS's documentation of the execution environment.
    return f"INIT_REPORT Init Duration: {duration * 1000:.2f} ms\tPhase: init\tStatus: timeout\n".encode()


def uncaught(error_type: str, message: str, trace: list[str]) -> bytes:
    """Return the lines of the Python runtime for an uncaught exception."""
    kind = f"{error_type}: {message}" if message else error_type
    lines = [f"[ERROR] {kind}", "Traceback (most recent call last):"]
    for frame in trace:
        for line in frame.splitlines():
            text = line.lstrip(" ")
            lines.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    return ("\n".join(lines) + "\n").encode(errors="replace")


def timed_out(request_id: str, seconds: float) -> bytes:
    """Return the line for a timeout."""
    message = function_errors.task_timed_out(seconds)
    return f"{timestamp()} {request_id} {message}\n\n".encode()
