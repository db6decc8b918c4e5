"""Parses the body of a function error, in the dialect of each Lambda runtime."""

import json
import re
from dataclasses import dataclass
from typing import Any

from asyncinvoke._model.text import legible

# Until 2024 a timeout had no errorType, only this text.
_TIMED_OUT = re.compile(r"Task timed out after [\d.]+ seconds")

TIMED_OUT = "Sandbox.Timedout"
"""The errorType of a function that ran longer than its own timeout."""

_OF_THE_PLATFORM = ("Sandbox.", "Extension.")
"""The prefixes of errorTypes that only the platform reports."""

# The errorTypes that AWS's runtime agent reports if a process exited, could not be started, or
# returned a response that the platform rejects. Those reported by the runtime of a language, such as
# Runtime.ImportModuleError or Runtime.MarshalError, concern the function's own code.
_BY_PLATFORM = frozenset(
    {
        "Function.ResponseSizeTooLarge",
        "Function.Unknown",
        "Runtime.ExitError",
        "Runtime.InitError",
        "Runtime.InvalidEntrypoint",
        "Runtime.InvalidResponseModeHeader",
        "Runtime.InvalidTaskConfig",
        "Runtime.InvalidWorkingDir",
        "Runtime.OutOfMemory",
        "Runtime.TruncatedResponse",
        "Runtime.Unknown",
    }
)

# The keys of a frame that is an object: path, line and label in Go; fileName, lineNumber and
# methodName in Java's StackTraceElement; the others occur in custom runtimes.
_FILE = ("path", "file", "fileName", "filename")
_LINE = ("line", "lineNumber", "lineno", "line_number")
_NAME = ("label", "function", "methodName", "method", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """The parts of a function error that are common to all runtimes; each may be missing."""

    error_type: str | None = None
    """The exception's name, or the platform's error type, such as `Sandbox.Timedout`."""

    error_message: str | None = None
    """The exception's message."""

    stack_trace: tuple[str, ...] = ()
    """One entry per frame, as formatted by the runtime; `path:line name` if the frame is an object."""

    @property
    def by_platform(self) -> bool:
        """Whether the platform terminated the function, or could not start it."""
        error_type = self.error_type or ""
        return error_type in _BY_PLATFORM or error_type.startswith(_OF_THE_PLATFORM)


def parse_error_body(payload: bytes) -> ErrorBody:
    """Parse the body of a response that has the header `X-Amz-Function-Error`; never raises."""
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
        # Node uses "trace", all other runtimes "stackTrace".
        stack_trace=_frames(body.get("stackTrace")) or _frames(body.get("trace")),
    )


def _text(value: Any) -> str | None:
    return legible(value) if isinstance(value, str) and value else None


def _frames(trace: Any) -> tuple[str, ...]:
    match trace:
        case str():  # .NET, and runtimes that send the entire traceback as one string
            frames = trace.splitlines()
        case list():
            frames = [_frame(frame) for frame in trace]
        case _:
            frames = [_frame(trace)]
    return tuple(legible(frame) for frame in frames if frame.strip())


def _frame(frame: Any) -> str:
    """Return a frame as text; empty if it is not a frame."""
    match frame:
        case str():
            return frame
        case dict():
            return _located(*(_first(frame, names) for names in (_FILE, _LINE, _NAME)))
        case [str() as path, int() as line, str() as name, *code]:  # Python 2.7 to 3.7
            source = f"\n    {code[0]}" if code and isinstance(code[0], str) else ""
            return f'  File "{path}", line {line}, in {name}{source}\n'
        case list():
            return " ".join(part for part in frame if isinstance(part, str))
    return ""


def _located(path: str, line: str, name: str) -> str:
    place = f"{path}:{line}" if path and line else path or (line and f"line {line}")
    return " ".join(part for part in (place, name) if part)


def _first(frame: dict[str, Any], names: tuple[str, ...]) -> str:
    values = (frame.get(name) for name in names)
    return next((str(value) for value in values if value and type(value) in (str, int)), "")
