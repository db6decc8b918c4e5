"""The validation of numbers and flags set by users.

As strict as the client's rule, but apart from it: the endpoint imports nothing from the client.
"""

import math
import sys
from collections.abc import Callable

MOST = sys.maxsize
"""The largest whole number accepted; a float can represent its magnitude."""


def whole_number(option: str, value: int, *, least: int = 0, most: int | None = None) -> int:
    """Return a value if it is a whole number in a range.

    Args:
        option: The name of the option, for the error.
        value: The value.
        least: The smallest value accepted.
        most: The largest value accepted; None for `MOST`.

    Raises:
        ValueError: It is not a whole number, or out of range.
    """
    # A bool is an int to Python, but a mistake here.
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and least <= value <= (MOST if most is None else most):
        return value
    is_too_large = is_whole and value > MOST
    if most is None and not is_too_large:
        allowed = f", {least} or more"
    else:
        allowed = f" from {least} to {MOST if most is None else most}"
    raise ValueError(f"{option}={shown(value)} must be a whole number{allowed}")


def number(option: str, value: float, accepts: Callable[[float], bool], rule: str) -> float:
    """Return a value if it is a number that is accepted.

    Args:
        option: The name of the option, for the error.
        value: The value.
        accepts: Whether a number is in range; not called for anything else, nor for NaN.
        rule: The rule in words, such as `above 0 seconds`.

    Raises:
        ValueError: It is not a number, or out of range.
    """
    if _is_number(value) and accepts(value):
        return value
    raise ValueError(f"{option}={shown(value)} must be {rule}")


def flag(option: str, value: bool) -> bool:
    """Return a value if it is `True` or `False`: the text "false", as of an environment, is neither.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, bool):
        return value
    raise ValueError(f"{option}={shown(value)} must be True or False")


def shown(value: object) -> str:
    """Return a value as error messages show it."""
    try:
        return repr(value)
    except ValueError:  # Python converts no integer of thousands of digits
        return "(an integer of very many digits)"


def _is_number(value: object) -> bool:
    """Return whether a value is a number other than NaN, and no integer that exceeds every float."""
    if isinstance(value, float):
        return not math.isnan(value)
    return isinstance(value, int) and not isinstance(value, bool) and -MOST <= value <= MOST
