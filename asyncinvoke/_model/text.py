"""Makes text from untrusted sources safe to show and to store.

Anything may be in a text of a function, or of whoever answers in its place: half a character, an
escape sequence, six megabytes.
"""

import re

NO_CHARACTERS = re.compile(r"[\ud800-\udfff]")
"""Lone surrogates: they are JSON, but no file and no terminal takes them."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def legible(text: str) -> str:
    """Return a text that a file and a terminal take."""
    return NO_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", text)


def in_one_line(text: str, most: int) -> str:
    """Return a text as a message shows it: legible, in one line, with no say over the terminal.

    Args:
        text: The text, of any length: only its beginning is looked at.
        most: How many characters there may be; what is cut off shows as three dots behind them.
    """
    head = text[: 4 * most]
    # As `legible`: inlined, which saves a call of every failure.
    line = NO_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", _CONTROLS.sub(" ", head))
    line = " ".join(line.split())
    is_whole = len(line) <= most and len(head) == len(text)
    return line if is_whole else f"{line[:most]}..."
