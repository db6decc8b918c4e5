"""The types of option values: numbers, durations and file names; errors say what to write."""

import contextlib
import math
import re
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    _Whole = click.ParamType[int]
    _Real = click.ParamType[float]
    _Text = click.ParamType[str]
else:
    _Whole = _Real = _Text = click.ParamType  # not generic in click 8.1

_DIGITS = re.compile(r"[+-]?[0-9]{1,18}")
"""A whole number of up to 18 digits, which fits into 64 bits."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")

_TIME = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|s|m|min|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def as_whole_number(text: str) -> int:
    """Parse a whole number in decimal digits.

    `int` also accepts `1_000`, and the digits of every script.

    Raises:
        ValueError: The text is something else, or has more than 18 digits.
    """
    if _DIGITS.fullmatch(text.strip()) is None:
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def as_number(text: str) -> float:
    """Parse a number in decimal digits; one that is too large becomes infinity.

    Raises:
        ValueError: The text is something else.
    """
    if _NUMBER.fullmatch(text.strip()) is None:
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def as_seconds(text: str) -> float:
    """Parse a duration, and return seconds: a number with or without a unit, such as 500ms or 5m.

    Raises:
        ValueError: The text is something else, or the duration is zero or not finite.
    """
    found = _TIME.fullmatch(text.strip())
    seconds = 0.0 if found is None else float(found[1]) * _UNITS[found[2]]
    if not (seconds and math.isfinite(seconds)):
        raise ValueError(f"{text!r} is not a duration: write 30, 1.5s, 500ms, 5m or 1h")
    return seconds


class WholeNumber(_Whole):
    """A whole number in a range, in decimal digits.

    Args:
        minimum: The smallest value accepted.
        maximum: The largest value accepted; `None` for no limit.
    """

    name = "number"

    def __init__(self, minimum: int, maximum: int | None = None) -> None:
        self._minimum = minimum
        self._maximum = maximum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        number: int | None = None
        with contextlib.suppress(ValueError):
            number = as_whole_number(value)
        most = math.inf if self._maximum is None else self._maximum
        if number is None or not self._minimum <= number <= most:
            range_ = (
                f"{self._minimum} or more"
                if self._maximum is None
                else f"{self._minimum} to {self._maximum}"
            )
            self.fail(f"{value!r} must be a whole number, {range_}", param, ctx)
        return number


class Number(_Real):
    """A finite number.

    Args:
        minimum: The lower bound.
        above: Whether the bound itself is excluded.
    """

    name = "number"

    def __init__(self, minimum: float, *, above: bool = False) -> None:
        self._minimum = minimum
        self._above = above

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        if isinstance(value, int | float):
            return float(value)
        number = math.nan
        with contextlib.suppress(ValueError):
            number = as_number(value)
        is_enough = number > self._minimum if self._above else number >= self._minimum
        if not (is_enough and math.isfinite(number)):
            least = f"above {self._minimum:g}" if self._above else f"{self._minimum:g} or more"
            self.fail(f"{value!r} must be a number, {least}", param, ctx)
        return number


class Duration(_Real):
    """A duration: seconds, or a number with a unit, such as 500ms, 30s, 5m or 1h.

    Args:
        maximum: The longest duration accepted, in seconds; `None` for no limit.
    """

    name = "duration"

    def __init__(self, maximum: float | None = None) -> None:
        self._maximum = maximum

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the duration in seconds."""
        if isinstance(value, int | float):
            return float(value)
        try:
            seconds = as_seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self._maximum is not None and seconds > self._maximum:
            self.fail(f"{value!r} is more than {self._maximum:g} seconds", param, ctx)
        return seconds


class FileName(_Text):
    """A file name, with shell completion.

    Existence and permissions are checked when the file is opened: `click.Path` would require an
    output file to be readable.
    """

    name = "file"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Let the shell complete the name."""
        return [CompletionItem(incomplete, type="file")]
