"""What the body of a function error says, in every runtime's dialect."""

import json
import re
from dataclasses import dataclass
from typing import Any

# Until 2024 a timeout had no errorType, only this text.
_TIMED_OUT = re.compile(r"Task timed out after [\d.]+ seconds")

TIMED_OUT = "Sandbox.Timedout"
"""The errorType of a function that ran longer than its own timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """The parts of a function error that runtimes agree upon; each may be missing."""

    error_type: str | None = None
    """The exception's name, or the platform's word such as `Sandbox.Timedout`."""

    error_message: str | None = None
    """The exception's text."""

    stack_trace: tuple[str, ...] = ()
    """One entry for each frame, as the runtime wrote it."""


def parse_error_body(payload: bytes) -> ErrorBody:
    """Read the body of an answer that carries `X-Amz-Function-Error`; never raises."""
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return ErrorBody()
    if not isinstance(body, dict):
        return ErrorBody(error_message=body if isinstance(body, str) else None)
    error_type, error_message = _text(body.get("errorType")), _text(body.get("errorMessage"))
    if error_type is None and error_message and _TIMED_OUT.search(error_message):
        error_type = TIMED_OUT
    return ErrorBody(
        error_type=error_type,
        error_message=error_message,
        # "trace" is Node's word, "stackTrace" everybody else's; .NET sends one string.
        stack_trace=_lines(body.get("stackTrace") or body.get("trace")),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _lines(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.splitlines())
    if isinstance(value, list):
        return tuple(line for line in value if isinstance(line, str))
    return ()
