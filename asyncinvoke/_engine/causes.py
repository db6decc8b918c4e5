"""Counts failures by cause: no more causes than can be kept, and nothing of the errors themselves."""

from dataclasses import replace

from asyncinvoke._model.cause import Cause
from asyncinvoke.errors import AsyncInvokeError, FunctionError, InvocationError

MOST_CAUSES = 1000
"""How many causes are told apart: functions may make the names of their errors up."""

LONGEST_EXAMPLE = 160
"""How many characters of an example are kept."""

OTHERS = "of other kinds"


class Causes:
    """The failures so far, by cause. An error is looked at and not kept."""

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
        """Return the causes, the most frequent first."""
        counted = (replace(cause, count=self._counts[key]) for key, cause in self._first.items())
        return tuple(sorted(counted, key=lambda cause: -cause.count))


def cause_key(error: AsyncInvokeError) -> tuple[str, str | None, str | None]:
    """Return what failures of one cause have in common: the class, the code, the function's type."""
    code = error.code if isinstance(error, InvocationError) else None
    error_type = error.error_type if isinstance(error, FunctionError) else None
    return type(error).__name__, code, error_type


def example(error: AsyncInvokeError) -> str:
    """Return what an error says, on one line that is not endless."""
    text = error.message if isinstance(error, InvocationError) else str(error)
    line = " ".join(text[: 4 * LONGEST_EXAMPLE].split())
    return line if len(line) <= LONGEST_EXAMPLE else line[: LONGEST_EXAMPLE - 1] + "…"
