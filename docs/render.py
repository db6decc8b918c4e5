"""Writes tables generated from the code into the pages: `python docs/render.py`.

The tables of `retries.md` come from the tables of `_retries/classify.py`, and the list of files in
`architecture.md` from the first line of each file.
"""

import ast
import sys
from collections.abc import Callable
from itertools import chain, groupby
from pathlib import Path

from asyncinvoke._model.failure import LIMIT_OF_REASON, ThrottleReason
from asyncinvoke._retries.classify import CODES, NEVER_SENT, STATUSES

DOCS = Path(__file__).parent
CORE = DOCS.parent / "asyncinvoke"
BEGIN = "<!-- table: python docs/render.py -->\n"
END = "<!-- end of table -->\n"

ROOMS = ("_*", "cli", "testing")
"""The rooms whose files are listed in `architecture.md`; `local` has its own floors."""

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
    lines = ["| answer | kind | delivery | repeated |", "|---|---|---|---|"]
    for (kind, delivery), group in groupby(sorted(rows, key=_order), key=lambda row: row[1:]):
        answers = ", ".join(answer for answer, *_ in group)
        repeated = REPEATED[str(kind), str(delivery)]
        lines.append(f"| {answers} | {kind} | {delivery} | {repeated} |")
    lines += ["", "| throttle reason | what it limits |", "|---|---|"]
    lines += [f"| `{reason}` | {LIMIT_OF_REASON[reason].scope} |" for reason in ThrottleReason]
    return "\n".join(lines) + "\n"


def files() -> str:
    """Return the rooms and files of the package but for `local`, each with its one job."""
    lines = ["| file | its one job |", "|---|---|"]
    inner = [sorted(path.parent for path in CORE.glob(f"{room}/**/__init__.py")) for room in ROOMS]
    for folder in [CORE, *chain.from_iterable(inner)]:
        room = folder.relative_to(CORE.parent).as_posix()
        lines.append(f"| **`{room}`** | **{_job(folder / '__init__.py')}** |")
        modules = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
        lines += [f"| `{path.name}` | {_job(path)} |" for path in modules]
    return "\n".join(lines)


PAGES: dict[str, Callable[[], str]] = {"retries.md": table, "architecture.md": files}
"""What is written between the two marks of each page."""


def page(name: str) -> str:
    """Return a whole page with its table up to date."""
    before, _, rest = (DOCS / name).read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{PAGES[name]().rstrip()}\n\n{END}{after}"


def _job(path: Path) -> str:
    """Return the first line of a module's docstring, without the stop at its end."""
    return (
        (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").splitlines()[0].rstrip(".:")
    )


def _order(row: tuple[str, str, str]) -> tuple[int, str]:
    order = ["throttled", "not_ready", "service", "transport", "rejected"]
    return order.index(row[1]), row[2]


if __name__ == "__main__":
    for name in PAGES:
        if "--check" not in sys.argv:
            (DOCS / name).write_text(page(name), encoding="utf-8")
        elif page(name) != (DOCS / name).read_text("utf-8"):
            sys.exit(f"docs/{name} is out of date: run `python docs/render.py`")
