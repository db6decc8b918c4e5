"""What others wrote, made fit for a terminal: it may be read there, and steer nothing."""

import re

_COLOUR_CODE = re.compile(r"(\x1b\[[0-9;]*m)")


def harmless(text: str) -> str:
    """Return a line whose control codes are spelled out; colours stay, which many a log has."""
    if text.isprintable():
        return text
    parts = _COLOUR_CODE.split(text.rstrip("\r"))
    return "".join(
        part
        if number % 2
        else "".join(c if c.isprintable() or c in "\t\xa0" else ascii(c)[1:-1] for c in part)
        for number, part in enumerate(parts)
    )
