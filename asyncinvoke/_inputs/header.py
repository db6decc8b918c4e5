"""Whether the first record of CSV or TSV can be its header: a decision on values."""

import re
from collections import Counter

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def why_not_header(fields: list[str]) -> str | None:
    """Return why a first record cannot be a header, or `None` if it can.

    A record with a number in it is probably data. Adding a header is one line; but if data were
    taken for a header, every item would have wrong names. The same goes for names that another
    delimiter separates.
    """
    if fields[0] == "sep=":
        return "it is Excel's word on what separates fields: take this line away"
    if any(not name.strip() for name in fields):
        return "one of the names is empty (pandas writes its index so: to_csv(index=False))"
    number = next((name.strip() for name in fields if _NUMBER.fullmatch(name.strip())), None)
    if number is not None:
        return f"{number[:20]} is a number"
    repeated = next((name for name, count in Counter(fields).items() if count > 1), None)
    if repeated is not None:
        return f"{repeated[:40]!r} occurs twice"
    if fields[0].lstrip().startswith(("{", "[")):
        return "it looks like JSON"
    return _why_not_names(fields)


def _why_not_names(fields: list[str]) -> str | None:
    if len(fields) == 1 and (other := _other_delimiter(fields[0])) is not None:
        return f"its names are separated by {other}"
    if any(not name.isprintable() for name in fields):
        return "a name has characters that cannot be printed, or is not UTF-8"
    return None


def _other_delimiter(name: str) -> str | None:
    """Describe the delimiter in a single name, and how to read the input; `None` if there is none."""
    cures = {
        "\t": "tabs: --from tsv (format='tsv') reads it",
        ",": "commas: --from csv (format='csv') reads it",
        ";": "semicolons: convert it with csvformat -d ';'",
        "|": "bars: convert it with csvformat -d '|'",
    }
    return next((cure for delimiter, cure in cures.items() if delimiter in name), None)
