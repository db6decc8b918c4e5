"""Text for a terminal: JSON indented and in colours, and control codes escaped."""

import json
import re

import click

_COLOUR_CODE = re.compile(r"(\x1b\[[0-9;]*m)")

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')

_INDENT = "  "


def pretty(text: str, *, colours: bool) -> str:
    """Return JSON indented, on several lines.

    Only the white space between tokens changes, so that no number loses a digit. Invisible
    characters in strings, such as terminal control codes, are escaped.

    Args:
        text: Valid JSON.
        colours: Whether to add colours, as terminal control codes.
    """
    parts = _TOKEN.findall(text if text.isprintable() else _visible(text))
    written: list[str] = []
    depth = 0
    for number, part in enumerate(parts):
        following = parts[number + 1] if number + 1 < len(parts) else ""
        before = parts[number - 1] if number else ""
        if part in ("}", "]"):
            depth -= 1
            if before not in ("{", "["):
                written.append("\n" + _INDENT * depth)
        shown = _coloured(part, is_key=following == ":") if colours else part
        written.append(shown)
        if part in ("{", "["):
            depth += 1
            if following not in ("}", "]"):
                written.append("\n" + _INDENT * depth)
        elif part == ",":
            written.append("\n" + _INDENT * depth)
        elif part == ":":
            written.append(" ")
    return "".join(written)


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\t\r\n" else json.dumps(c)[1:-1] for c in text)


def _coloured(part: str, *, is_key: bool) -> str:
    if part.startswith('"'):
        return click.style(part, fg="blue", bold=True) if is_key else click.style(part, fg="green")
    if part in ("null", "true", "false"):
        return click.style(part, fg="magenta")
    return click.style(part, fg="cyan") if part not in "{}[],:" else part


def harmless(text: str) -> str:
    """Return a line with its control codes escaped, except for colours, which many logs have."""
    if text.isprintable():
        return text
    parts = _COLOUR_CODE.split(text.rstrip("\r"))
    return "".join(
        part
        if number % 2
        else "".join(c if c.isprintable() or c in "\t\xa0" else ascii(c)[1:-1] for c in part)
        for number, part in enumerate(parts)
    )
