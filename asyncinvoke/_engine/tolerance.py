"""When a map stops because too many items fail: a decision on values, made for each outcome.

`Causes` counts failures by cause, `Refusals` detects that every call is refused, `Tolerance`
defines how many failures are acceptable, and `Failures` combines all three, and `Outage`.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from asyncinvoke._engine.outage import Outage
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
"""The maximum number of distinct causes: functions may generate the names of their errors."""

LONGEST_NAME = 100
"""The maximum length of a stored code or error type, in characters: both may contain anything."""

LONGEST_EXAMPLE = 160
"""The maximum length of an example, in characters, including the ellipsis."""

LONGEST_PART = 320
"""The maximum length of each part of the message of an early stop, in characters."""

OTHERS = "of other kinds"


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


HOPELESS_AFTER = 100
"""The number of consecutive refusals with the same code that ends a run."""

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
"""Codes that concern the caller, not a function: calls to any other function fail as well."""

OF_THE_ITEM = frozenset({"DurableExecutionAlreadyStartedException"})
"""Codes that concern a single item: a repeated run gets one for each item the last run started."""


class Refusals:
    """Counts consecutive refusals, and detects when the remaining items cannot succeed.

    A streak is a series of `RejectedError` with the same code and no success in between. A function
    that ran and failed was admitted, and ends the streak as well. A throttle, a lost connection or
    an item that could not be sent has no effect.

    Items can target different functions, and one missing function must not end a run in which
    others succeed. Therefore a streak does not end the run

    - while the most recently admitted function is not part of it, as more of its items may follow;
    - while an item of a function outside the streak is in progress that started before the streak:
      it has not completed, but it was not refused either. (Items started later do not count, as
      there may always be some.)

    This does not apply to codes that concern the caller, such as an expired token, which affect all
    functions.
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
        """Record that an item is being sent to a function."""
        self._under_way[index] = target
        self._began = index + 1

    def end(self, index: int, error: AsyncInvokeError | None) -> str | None:
        """Record how an item ended; return why the run should end, if it should."""
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
        if len(self._targets) < MOST_CAUSES:  # any further target counts as outside the streak
            self._targets.add(target)
        if target == self._admitted:
            self._admitted = None
        if self._count < HOPELESS_AFTER or self._has_hope:
            return None
        return _hopeless(self._count, error)

    @property
    def _has_hope(self) -> bool:
        """Whether a function outside the streak may still succeed."""
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
"""How many causes the error message lists."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many items may fail before a map stops: a count, a share, or both.

    Only the outcomes of this run count, once each. An item that succeeds after throttles or retries
    is not a failure.

    Raises:
        InvalidRequestError: A value is invalid; the message names the value and the rule.
    """

    count: int | None = None
    """The maximum number of failed items; one more stops the map. 0 stops at the first failure."""

    share: float | None = None
    """The maximum share of completed items that may fail, from 0 to 1: 0.02 is 2 %."""

    after: int = 100
    """The number of completed items from which the share applies."""

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
        """Return whether there are too many failures.

        Args:
            failed: The number of failed items.
            ended: The number of completed items.
        """
        if self.count is not None and failed > self.count:
            return True
        return self.share is not None and ended >= self.after and failed > self.share * ended

    def __str__(self) -> str:
        parts = [] if self.count is None else [f"{self.count:,}"]
        if self.share is not None:
            parts.append(f"{self.share * 100:g} % once {self.after:,} have ended")
        return " and ".join(parts)


def checked_tolerance(tolerate: object) -> Tolerance | None:
    """Validate the `tolerate` option: a whole number is a count, `None` means no limit.

    Raises:
        InvalidRequestError: It is anything else.
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
    """Inspects each outcome of a map as it arrives; an error it returns ends the map."""

    tolerance: Tolerance | None

    def __call__(
        self, outcome: Outcome[Any], /
    ) -> ToleranceExceededError | ConfigurationError | None:
        """Return the error that ends the map, if this outcome does."""
        ...


class Failures:
    """Ends a map after too many failures, a hundred consecutive refusals, or a whole outage.

    In each case the map stops gracefully, and raises the error returned here once all calls in
    flight have their outcome.

    Args:
        tolerance: The tolerance; may be replaced at any time.
    """

    def __init__(self, tolerance: Tolerance | None) -> None:
        self.tolerance = tolerance
        self._refusals = Refusals()
        self._outage = Outage()
        self._causes = Causes()
        self._failed = 0
        self._ended = 0
        self._is_late = False

    def begin(self, index: int, target: Target, *, is_late: bool) -> None:
        """Record that an item is being sent, and whether the invoker was already closed."""
        self._refusals.begin(index, target)
        self._outage.begin(index)
        self._is_late = is_late

    def __call__(
        self, outcome: Outcome[Any], /
    ) -> ToleranceExceededError | ConfigurationError | None:
        """Count an outcome and decide."""
        if self._is_late:
            return invoker_was_left()
        error = outcome.error
        self._ended += 1
        hopeless = self._refusals.end(outcome.index, error)
        unreachable = self._outage.end(outcome.index, error)
        if error is None:
            return None
        self._failed += 1
        self._causes.add(error)
        if hopeless is not None:
            return self._error(f"stopped after {hopeless}")
        if unreachable is not None:
            return self._error(f"stopped: {unreachable}")
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
