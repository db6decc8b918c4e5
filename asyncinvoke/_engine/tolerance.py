"""When a map stops because too many items fail: a decision on values, made for each outcome.

`Causes` counts what failed for what, `Refusals` sees that every call is refused, `Tolerance` says how
much may fail, and `Failures` judges by all three.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._model.failure import Cause
from asyncinvoke._model.text import in_one_line
from asyncinvoke._request.numbers import is_whole, whole
from asyncinvoke._request.target import Target, show_value
from asyncinvoke.errors import (
    AsyncInvokeError,
    ConfigurationError,
    FunctionError,
    InvalidRequestError,
    InvocationError,
    RejectedError,
    ToleranceExceededError,
)

MOST_CAUSES = 1000
"""How many causes are told apart: functions may make the names of their errors up."""

LONGEST_NAME = 100
"""How many characters of a code, or of a function's error type, are kept: anything may be in it."""

LONGEST_EXAMPLE = 160
"""How many characters of an example are kept, its dots included."""

LONGEST_PART = 320
"""How many characters of each part of the reason for an early end are shown."""

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
    """Return what failures of one cause have in common, as it may be shown and kept.

    That is the class, the code, and what a function calls its error.
    """
    code = error.code if isinstance(error, InvocationError) else None
    error_type = error.error_type if isinstance(error, FunctionError) else None
    return (
        type(error).__name__,
        None if code is None else in_one_line(code, LONGEST_NAME),
        None if error_type is None else in_one_line(error_type, LONGEST_NAME),
    )


def example(error: AsyncInvokeError) -> str:
    """Return what an error says, on one line that is not endless."""
    text = error.message if isinstance(error, InvocationError) else str(error)
    return in_one_line(text, LONGEST_EXAMPLE - len("..."))


HOPELESS_AFTER = 100
"""So many refusals in a row with the same code end a run."""

OF_THE_CALLER = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Codes that say nothing of a function: every other one is refused as well."""

OF_THE_ITEM = frozenset({"DurableExecutionAlreadyStartedException"})
"""Codes that say nothing of the next item: a run that is repeated gets one for each item that the
last run got to."""


class Refusals:
    """Counts refusals in a row, and says when there is no hope for the rest.

    A row is as many `RejectedError` with the same code as come without a success between. A
    function that ran and failed was admitted, and ends the row too; a throttle, a lost connection
    or an item that could not be sent says nothing either way.

    Items may go to functions of their own, and one that is missing must not end a run in which
    others succeed. So a row does not count

    - while a function that is not part of it was the last to be admitted, if that was ever so: its
      items may come further on;
    - while an item of such a function is under way that was begun before the row. It has not
      ended, but it was not refused. (Of items begun later there may always be some.)

    Unless the code is one of the caller's, such as an expired token, which all functions share.
    """

    def __init__(self) -> None:
        self._under_way: dict[int, Target] = {}
        self._began = 0
        self._admitted: Target | None = None
        self._code: str | None = None
        self._count = 0
        self._first = 0
        self._targets: set[Target] = set()

    def begin(self, index: int, target: Target) -> None:
        """Note that an item is sent to a function."""
        self._under_way[index] = target
        self._began = index + 1

    def end(self, index: int, error: AsyncInvokeError | None) -> str | None:
        """Note how an item ended; return why there is no hope for the rest, if that is so."""
        target = self._under_way.pop(index, None)
        if target is None:
            return None
        if error is None or isinstance(error, FunctionError):
            self._admitted = target
            self._count = 0
            return None
        if not isinstance(error, RejectedError) or error.code in OF_THE_ITEM:
            return None
        if not self._count or error.code != self._code:
            self._code, self._count, self._first = error.code, 0, self._began
            self._targets.clear()
        self._count += 1
        if len(self._targets) < MOST_CAUSES:  # one too many to remember counts as hope
            self._targets.add(target)
        if target == self._admitted:
            self._admitted = None
        if self._count < HOPELESS_AFTER or self._has_hope:
            return None
        return _hopeless(self._count, error)

    @property
    def _has_hope(self) -> bool:
        """Whether a function that is not part of the row may yet succeed."""
        if self._code in OF_THE_CALLER:
            return False
        if self._admitted is not None and self._admitted not in self._targets:
            return True
        for index, target in self._under_way.items():
            if index >= self._first:
                return False
            if target not in self._targets:
                return True
        return False


def _hopeless(count: int, error: RejectedError) -> str:
    function_name = error.function_name
    if error.qualifier is not None:
        function_name = f"{function_name}:{error.qualifier}"
    parts = (function_name, error.code, error.message)
    return f"{count} refusals in a row: {': '.join(in_one_line(part, LONGEST_PART) for part in parts if part)}"


SHOWN = 5
"""How many causes the text of the error names."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many failed items a map bears before it stops: a count, a share, or both.

    Only outcomes of this run count, each once: what was throttled, or tried several times, and has
    succeeded in the end is no failure.

    Raises:
        InvalidRequestError: A value breaks a rule; the message names both.
    """

    count: int | None = None
    """So many may fail; one more stops the map. 0 stops it at the first."""

    share: float | None = None
    """So much of what has ended may have failed, from 0 to 1: 0.02 is 2 %."""

    after: int = 100
    """The share counts once so many have ended."""

    def __post_init__(self) -> None:
        if self.count is None and self.share is None:
            raise InvalidRequestError("a Tolerance needs a count or a share")
        if self.count is not None and not is_whole(self.count, 0):
            raise InvalidRequestError(
                f"count {show_value(self.count)} must be {whole(self.count, 0)}"
            )
        if self.share is not None and not _is_share(self.share):
            raise InvalidRequestError(
                f"share {show_value(self.share)} must be a number from 0 to 1: 0.02 is 2 %"
            )
        if not is_whole(self.after, 1):
            raise InvalidRequestError(
                f"after {show_value(self.after)} must be {whole(self.after, 1)}"
            )

    def is_exceeded(self, failed: int, ended: int) -> bool:
        """Return whether that many failures, of so many that have ended, are too many."""
        if self.count is not None and failed > self.count:
            return True
        return self.share is not None and ended >= self.after and failed > self.share * ended

    def __str__(self) -> str:
        parts = [] if self.count is None else [f"{self.count:,}"]
        if self.share is not None:
            parts.append(f"{self.share * 100:g} % once {self.after:,} have ended")
        return " and ".join(parts)


def checked_tolerance(tolerate: object) -> Tolerance | None:
    """Return what `tolerate=` says: a whole number is a count, `None` bears everything.

    Raises:
        InvalidRequestError: It is something else.
    """
    if tolerate is None or isinstance(tolerate, Tolerance):
        return tolerate
    if is_whole(tolerate, 0):
        return Tolerance(tolerate)
    raise InvalidRequestError(
        f"tolerate {show_value(tolerate)} must be {whole(tolerate, 0)} or a Tolerance, "
        "such as Tolerance(share=0.02)"
    )


class Judge(Protocol):
    """Sees every outcome of a map as it comes; the error that it returns ends the map."""

    tolerance: Tolerance | None

    def __call__(
        self, outcome: Outcome[Any], /
    ) -> ToleranceExceededError | ConfigurationError | None:
        """Return the error to end the map with, if this outcome is one too many."""
        ...


class Failures:
    """Judges a map by its failures: too many of them, or a hundred refusals in a row.

    Both ends are the same end: the map stops softly, and raises what is returned here once all that
    was in flight has its outcome.

    Args:
        tolerance: What is borne; may be replaced at any time.
    """

    def __init__(self, tolerance: Tolerance | None) -> None:
        self.tolerance = tolerance
        self._refusals = Refusals()
        self._causes = Causes()
        self._failed = 0
        self._ended = 0
        self._is_late = False

    def begin(self, index: int, target: Target, *, is_late: bool) -> None:
        """Note that an item is sent to a function, and whether the invoker was closed before."""
        self._refusals.begin(index, target)
        self._is_late = is_late

    def __call__(
        self, outcome: Outcome[Any], /
    ) -> ToleranceExceededError | ConfigurationError | None:
        """Count an outcome, and judge."""
        if self._is_late:
            return invoker_was_left()
        error = outcome.error
        self._ended += 1
        hopeless = self._refusals.end(outcome.index, error)
        if error is None:
            return None
        self._failed += 1
        self._causes.add(error)
        if hopeless is not None:
            return self._error(f"stopped after {hopeless}")
        tolerance = self.tolerance
        if tolerance is None or not tolerance.is_exceeded(self._failed, self._ended):
            return None
        return self._error(
            f"stopped: {self._failed:,} of {self._ended:,} items failed "
            f"(tolerated: {tolerance}): {self._by_number()}"
        )

    def _error(self, message: str) -> ToleranceExceededError:
        return ToleranceExceededError(
            message, failed=self._failed, ended=self._ended, causes=self._causes.ranked()
        )

    def _by_number(self) -> str:
        causes = self._causes.ranked()
        said = [str(cause) for cause in causes[:SHOWN]]
        rest = sum(cause.count for cause in causes[SHOWN:])
        return "; ".join([*said, f"{rest:,} of other kinds"] if rest else said)


def invoker_was_left() -> ConfigurationError:
    """Return the error of a map whose invoker ended before its input did."""
    return ConfigurationError(
        "the invoker's block was left while this map ran, so it reads no further: "
        "leave the map's block first"
    )


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
