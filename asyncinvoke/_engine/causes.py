"""The failures of a map, counted by cause."""

from dataclasses import replace

from asyncinvoke._model.failure import Cause
from asyncinvoke._model.text import in_one_line
from asyncinvoke.errors import AsyncInvokeError, FunctionError, InvocationError

MOST_CAUSES = 1000
"""The maximum number of distinct causes: functions may generate the names of their errors."""

LONGEST_NAME = 100
"""The maximum length of a stored code or error type, in characters: both may contain anything."""

LONGEST_EXAMPLE = 160
"""The maximum length of an example, in characters, including the ellipsis."""

OTHERS = "of other kinds"
"""The error type of the causes beyond `MOST_CAUSES`."""


class Causes:
    """Failures grouped by cause. The errors themselves are not kept."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str | None, str | None], int] = {}
        self._first: dict[tuple[str, str | None, str | None], Cause] = {}

    def add(self, error: AsyncInvokeError) -> None:
        """Count a failure."""
        key = cause_key(error)
        if key not in self._counts:
            if len(self._counts) >= MOST_CAUSES:
                key = (key[0], None, OTHERS)
            if key not in self._first:
                name, code, error_type = key
                self._first[key] = Cause(
                    error=name, code=code, error_type=error_type, count=0, example=example(error)
                )
        self._counts[key] = self._counts.get(key, 0) + 1

    def ranked(self) -> tuple[Cause, ...]:
        """Return the causes, most frequent first."""
        counted = (replace(cause, count=self._counts[key]) for key, cause in self._first.items())
        return tuple(sorted(counted, key=lambda cause: -cause.count))


def cause_key(error: AsyncInvokeError) -> tuple[str, str | None, str | None]:
    """Return the key that identifies a cause: error class, code and the function's error type.

    Codes and error types are shortened so that they can be displayed and stored.
    """
    code = error.code if isinstance(error, InvocationError) else None
    error_type = error.error_type if isinstance(error, FunctionError) else None
    return (
        type(error).__name__,
        None if code is None else in_one_line(code, LONGEST_NAME),
        None if error_type is None else in_one_line(error_type, LONGEST_NAME),
    )


def example(error: AsyncInvokeError) -> str:
    """Return the message of an error, shortened to one line."""
    text = error.message if isinstance(error, InvocationError) else str(error)
    return in_one_line(text, LONGEST_EXAMPLE - len("..."))
