"""Makes text from untrusted sources safe to show and to store.

Text from a function, or from anything that responds in its place, may contain anything: truncated
characters, escape sequences, six megabytes.
"""

import re

NO_CHARACTERS = re.compile(r"[\ud800-\udfff]")
"""Lone surrogates: valid in JSON, but neither files nor terminals can encode them."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def legible(text: str) -> str:
    """Return the text with characters replaced that files and terminals cannot encode."""
    return NO_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", text)


def in_one_line(text: str, most: int) -> str:
    """Return the text for use in a message: encodable, on one line, without control characters.

    Args:
        text: The text, of any length; only its beginning is examined.
        most: The maximum number of characters; if the text is longer, an ellipsis follows them.
    """
    head = text[: 4 * most]
    # `legible`, inlined to save a call for every failure.
    line = NO_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", _CONTROLS.sub(" ", head))
    line = " ".join(line.split())
    is_whole = len(line) <= most and len(head) == len(text)
    return line if is_whole else f"{line[:most]}..."
