"""JSON for a reader at a terminal: indented, in colours, every digit as it came."""

import json
import re

import click

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')

_INDENT = "  "


def pretty(text: str, *, colours: bool) -> str:
    """Return JSON over several lines.

    Only the white space between its parts changes, so that no number loses a digit; and what is in
    its strings and cannot be seen, such as the codes of a terminal, is written as JSON's escape.

    Args:
        text: JSON, which was checked.
        colours: Whether to add the codes of a terminal.
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
