"""The bodies of function errors (HTTP 200 with `X-Amz-Function-Error`), as recorded from AWS.

In worker processes AWS's runtime makes its own. These are the ones made by the platform, and those
of handlers that run in this process, with the same keys.
"""

import json
import signal
import traceback
from collections.abc import Collection
from types import TracebackType

UNHANDLED = "Unhandled"
"""The value of `X-Amz-Function-Error` in every recorded function error."""

RESPONSE_LIMIT = 6_291_556
"""The maximum size of a handler's response, in bytes (AWS's own error text)."""

C_LONG_BITS = 64
"""The number of bits of the C long to which Python converts an exit status."""

# GUESS: not recorded from AWS (docs/fidelity.md)
OUT_OF_MEMORY_TYPE = "Runtime.ExitError"  # seen; of newer functions only the type is known
OUT_OF_MEMORY = "signal: killed"


def timed_out(request_id: str, seconds: float) -> bytes:
    """Return the error of a handler that timed out."""
    return _body("Sandbox.Timedout", f"RequestId: {request_id} Error: {task_timed_out(seconds)}")


def task_timed_out(seconds: float) -> str:
    """Return the text of a timeout, which appears in the response and in the log."""
    return f"Task timed out after {seconds:.2f} seconds"


def exited(request_id: str, status: int) -> bytes:
    """Return the error of a process that exited; a negative status is a signal number."""
    if status == 0:
        cause = "without providing a reason"
    elif status > 0:
        cause = f"with error: exit status {status}"
    else:
        cause = f"with error: signal: {_signal_text(-status)}"
    return _ended("Runtime.ExitError", request_id, cause)


def left(request_id: str, error: SystemExit) -> bytes:
    """Return the error of a handler that called `sys.exit`."""
    code = error.code
    if not isinstance(code, int):
        return exited(request_id, int(code is not None))
    # A process exits with the lowest byte, or with 255 if the number does not fit a C long.
    return exited(request_id, code & 0xFF if code.bit_length() < C_LONG_BITS else 0xFF)


def out_of_memory(request_id: str) -> bytes:
    """Return the error of a process that was killed for exceeding its memory."""
    return _ended(OUT_OF_MEMORY_TYPE, request_id, f"with error: {OUT_OF_MEMORY}")


def response_too_large(limit: int = RESPONSE_LIMIT) -> bytes:
    """Return the error of a response that exceeds the limit."""
    return json.dumps(
        {
            "errorMessage": "Response payload size exceeded maximum allowed payload size "
            f"({limit} bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        },
        separators=(",", ":"),
    ).encode()


def raised(
    request_id: str, error_type: str, message: str, trace: list[str]
) -> dict[str, str | list[str]]:
    """Return an exception as the Python runtime reports it, to be encoded and logged."""
    return {
        "errorMessage": message,
        "errorType": error_type,
        "requestId": request_id,
        "stackTrace": trace,
    }


def stack_trace(frames: TracebackType | None, *, own_files: Collection[str | None]) -> list[str]:
    """Format a traceback as the Python runtime does: one string for each frame.

    Args:
        frames: The traceback.
        own_files: Files whose leading frames are omitted, so that the trace starts in the handler.
    """
    while frames is not None and frames.tb_frame.f_code.co_filename in own_files:
        frames = frames.tb_next
    # Of each frame only this, as the runtime does: without the columns, no line of carets is added.
    summaries = traceback.extract_tb(frames)
    return traceback.format_list(
        [(each.filename, each.lineno or 0, each.name, each.line) for each in summaries]
    )


def _ended(error_type: str, request_id: str, cause: str) -> bytes:
    return _body(error_type, f"RequestId: {request_id} Error: Runtime exited {cause}")


def _body(error_type: str, message: str) -> bytes:
    body = {"errorType": error_type, "errorMessage": message}
    return json.dumps(body, separators=(",", ":")).encode()


def _signal_text(number: int) -> str:
    return (signal.strsignal(number) or f"signal {number}").lower()
