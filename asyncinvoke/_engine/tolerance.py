"""When a map stops because too many items fail: a decision on values, made for each outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from asyncinvoke._engine.causes import Causes
from asyncinvoke._engine.hopeless import Refusals, outlasted
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._request.numbers import is_whole, whole
from asyncinvoke._request.target import Target, show_value
from asyncinvoke.errors import (
    ConfigurationError,
    InvalidRequestError,
    ToleranceExceededError,
)

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
        if self.share is None or ended < self.after:
            return False
        # Divided, so that equal shares are equal: 0.29 * 100 is a little less than 29.
        return failed / ended > self.share

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


class StopCondition(Protocol):
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
        self._causes = Causes()
        self._failed = 0
        self._ended = 0
        self.is_late: bool = False
        """Whether an item was begun after the invoker was closed, so that no more can be sent."""
        self.begin: Callable[[int, Target], None] = self._refusals.begin
        """Records that an item, given its index, is being sent to a function."""

    def __call__(
        self, outcome: Outcome[Any], /
    ) -> ToleranceExceededError | ConfigurationError | None:
        """Count an outcome and decide."""
        if self.is_late:
            return invoker_was_left()
        error = outcome.error
        self._ended += 1
        hopeless = self._refusals.end(outcome.index, error)
        if error is not None:
            self._failed += 1
            self._causes.add(error)
            if hopeless is not None:
                return self._error(f"stopped after {hopeless}")
            if (unreachable := outlasted(error)) is not None:
                return self._error(f"stopped: {unreachable}")
        # A success may be the item from which a share applies, or the first under a new tolerance.
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
        shown = [str(cause) for cause in causes[:SHOWN]]
        rest = sum(cause.count for cause in causes[SHOWN:])
        return "; ".join([*shown, f"{rest:,} of other kinds"] if rest else shown)


def invoker_was_left() -> ConfigurationError:
    """Return the error of a map whose invoker ended before its input did."""
    return ConfigurationError(
        "the invoker's block was left while this map ran, so it reads no further: "
        "leave the map's block first"
    )


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
