"""The validation of whole numbers set by users."""


def whole_number(option: str, value: int, *, least: int = 0, most: int | None = None) -> int:
    """Return a whole number as it was given.

    Args:
        option: Its name, for the error.
        value: What was given.
        least: The least that it may be.
        most: The most that it may be; None for any.

    Raises:
        ValueError: It is not a whole number, or out of range.
    """
    # A bool is an int to Python, and a mistake here.
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and least <= value and (most is None or value <= most):
        return value
    allowed = f", {least} or more" if most is None else f" from {least} to {most}"
    raise ValueError(f"{option}={value!r} must be a whole number{allowed}")
