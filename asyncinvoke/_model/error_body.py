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
"""How errorTypes begin that only the platform gives."""

# The names that AWS's runtime agent gives when a process ended, could not be started, or answered
# what the platform does not pass on. Names that a language's runtime gives, such as
# Runtime.ImportModuleError or Runtime.MarshalError, tell of the function's own code.
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

# What runtimes call the parts of a frame that is an object: Go path, line, label; Java's
# StackTraceElement fileName, lineNumber, methodName; the rest is what custom runtimes write.
_FILE = ("path", "file", "fileName", "filename")
_LINE = ("line", "lineNumber", "lineno", "line_number")
_NAME = ("label", "function", "methodName", "method", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """The parts of a function error that runtimes agree upon; each may be missing."""

    error_type: str | None = None
    """The exception's name, or the platform's word such as `Sandbox.Timedout`."""

    error_message: str | None = None
    """The exception's text."""

    stack_trace: tuple[str, ...] = ()
    """One entry for each frame: as the runtime wrote it, or `path:line name` where it wrote parts."""

    @property
    def by_platform(self) -> bool:
        """Whether the platform ended the function, or could not start it."""
        error_type = self.error_type or ""
        return error_type in _BY_PLATFORM or error_type.startswith(_OF_THE_PLATFORM)


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
        # "trace" is Node's word, "stackTrace" everybody else's.
        stack_trace=_frames(body.get("stackTrace")) or _frames(body.get("trace")),
    )


def _text(value: Any) -> str | None:
    return legible(value) if isinstance(value, str) and value else None


def _frames(trace: Any) -> tuple[str, ...]:
    match trace:
        case str():  # .NET, and whoever sends a whole traceback as one text
            frames = trace.splitlines()
        case list():
            frames = [_frame(frame) for frame in trace]
        case _:
            frames = [_frame(trace)]
    return tuple(legible(frame) for frame in frames if frame.strip())


def _frame(frame: Any) -> str:
    """Return one frame as text; empty for what cannot be one."""
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
