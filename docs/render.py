"""Writes the table of `docs/retries.md` from the table that decides: `python docs/render.py`."""

import sys
from itertools import groupby
from pathlib import Path

from asyncinvoke._limits.reasons import LIMIT_OF_REASON
from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke._retries.classify import CODES, NEVER_SENT, STATUSES

PAGE = Path(__file__).with_name("retries.md")
BEGIN = "<!-- table: python docs/render.py -->\n"
END = "<!-- end of table -->\n"

REPEATED = {
    ("throttled", "rejected"): "yes",
    ("not_ready", "rejected"): "yes",
    ("rejected", "rejected"): "no",
    ("rejected", "unknown"): "no",
    ("rejected", "not_sent"): "no",
    ("service", "unknown"): "only if idempotent",
    ("transport", "not_sent"): "yes",
    ("transport", "unknown"): "only if idempotent",
}


def table() -> str:
    """Return the tables of codes, statuses, faults and throttle reasons as Markdown."""
    rows: list[tuple[str, str, str]] = [
        *((f"`{code}`", *meaning) for code, meaning in CODES.items()),
        *((f"any other {status}", *meaning) for status, meaning in STATUSES.items()),
        ("any other 4xx, a redirect", "rejected", "rejected"),
        ("any other status", "service", "unknown"),
        *((f"no answer: `{fault}`", "rejected", "not_sent") for fault in NEVER_SENT),
        ("no answer, and not all of the request was written", "transport", "not_sent"),
        ("no answer, though the request was written", "transport", "unknown"),
    ]
    lines = ["| answer | kind | may have run | repeated |", "|---|---|---|---|"]
    for (kind, delivery), group in groupby(sorted(rows, key=_order), key=lambda row: row[1:]):
        answers = ", ".join(answer for answer, *_ in group)
        repeated = REPEATED[str(kind), str(delivery)]
        lines.append(f"| {answers} | {kind} | {delivery} | {repeated} |")
    lines += ["", "| throttle reason | what it limits |", "|---|---|"]
    lines += [f"| `{reason}` | {LIMIT_OF_REASON[reason].scope} |" for reason in ThrottleReason]
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the whole page with its table up to date."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _order(row: tuple[str, str, str]) -> tuple[int, str]:
    order = ["throttled", "not_ready", "service", "transport", "rejected"]
    return order.index(row[1]), row[2]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if page() == PAGE.read_text() else "docs/retries.md is out of date")
    PAGE.write_text(page())
