"""Numbers among options: whole ones within the range of other systems, and finite floats."""

import sys
from typing import TypeGuard

MOST = sys.maxsize
"""The largest whole number that is taken: as long as a list can be, and within every float."""


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Return whether it is a whole number that is not too small, nor beyond `MOST`."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST


def whole(value: object, least: int) -> str:
    """Return the rule that `is_whole` checks, in words, as far as the value breaks it."""
    is_too_large = isinstance(value, int) and value > MOST
    return f"a whole number from {least}" + (f" to {MOST}" if is_too_large else "")


def is_finite(value: object) -> TypeGuard[float]:
    """Return whether it is a number that a float can hold."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max
