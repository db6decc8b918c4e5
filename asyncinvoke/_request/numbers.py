"""Checks of numeric options: whole numbers within a portable range, and finite floats."""

import sys
from typing import TypeGuard

MOST = sys.maxsize
"""The largest whole number accepted: the maximum length of a list, which every float can hold."""


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Return whether a value is a whole number from `least` to `MOST`."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST


def whole(value: object, least: int) -> str:
    """Describe the rule of `is_whole`; the maximum is mentioned only if the value exceeds it."""
    is_too_large = isinstance(value, int) and value > MOST
    return f"a whole number from {least}" + (f" to {MOST}" if is_too_large else "")


def is_finite(value: object) -> TypeGuard[float]:
    """Return whether a value is a number within the range of a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max
