"""Figures as people read them."""

import time


def seconds_in_words(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds == 0:
        return "0"
    if seconds < 0.001:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def moment(seconds: float) -> str:
    """Return a moment in UTC, from seconds since the epoch."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def number(value: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """Return a part in percent; never 0 or 100 % of what is not none or all."""
    if not whole:
        return "none"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %" if part not in (0, whole) else f"{percent:.0f} %"


def money(dollars: float) -> str:
    """Return dollars, to the cent where there are any."""
    if dollars >= 0.1 or dollars == 0:
        return f"${dollars:,.2f}"
    return "less than $0.0001" if dollars < 0.0001 else f"${dollars:.4f}".rstrip("0")
