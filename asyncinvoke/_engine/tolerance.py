"""When a map stops because too much fails: a decision on values, made outcome by outcome."""

from dataclasses import dataclass
from typing import Any, Protocol

from asyncinvoke._engine.causes import Causes
from asyncinvoke._engine.hopeless import Refusals
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._request.target import Target, show_value
from asyncinvoke.errors import ConfigurationError, InvalidRequestError, ToleranceExceededError

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
        if self.count is not None and not _is_whole(self.count, 0):
            raise InvalidRequestError(
                f"count {show_value(self.count)} must be a whole number from 0"
            )
        if self.share is not None and not _is_share(self.share):
            raise InvalidRequestError(
                f"share {show_value(self.share)} must be a number from 0 to 1: 0.02 is 2 %"
            )
        if not _is_whole(self.after, 1):
            raise InvalidRequestError(
                f"after {show_value(self.after)} must be a whole number from 1"
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
    if _is_whole(tolerate, 0):
        assert isinstance(tolerate, int)  # noqa: S101  # what `_is_whole` says
        return Tolerance(tolerate)
    raise InvalidRequestError(
        f"tolerate {show_value(tolerate)} must be a whole number from 0 or a Tolerance, "
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
            return ConfigurationError(
                "the invoker's block was left while this map ran, so it reads no further: "
                "leave the map's block first"
            )
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


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
