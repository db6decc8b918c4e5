"""Writes the figures of the results into the pages that show them: `python -m benchmarks.shown`.

Markers on a page say where a result's table goes. With `--check` nothing is written, and the exit status
is 1 if a page differs from its results. If a result is missing, the page is left unchanged.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.stamp import Stamp
from benchmarks.tables import table

ROOT = Path(__file__).parent.parent

_TABLE = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)
_MACHINE = re.compile(r"Python [\d.]+[^.\n;]*(?:\.[\d][^.\n;]*)*")


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a page: each a list of rows, the headings first."""
    found = []
    for match in _TABLE.findall(text):
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in match.splitlines()
        ]
        found.append([rows[0], *rows[2:]])
    return found


def caption(text: str) -> str:
    """Return the date and the machine of a result, as far as they are recorded."""
    stamp, machine = Stamp.of(text), _MACHINE.search(text)
    parts = [stamp.day if stamp else "", machine.group().strip(" .") if machine else ""]
    return ", ".join(part for part in parts if part) + "."


def _overhead(text: str) -> str:
    """Return the CPU of some variants as a share of aiobotocore's, `invoke` beside `map`."""
    measured = {(row[0], row[1]): row[3] for row in tables(text)[0][1:]}
    rows = [
        (variant, *(measured.get((variant, client), "") for client in ("invoke", "map")))
        for variant in VARIANTS
    ]
    return f"{table(('', '`invoke`', '`map`'), rows)}\n\n{caption(text)}"


VARIANTS = (
    "asyncio, plain, 32 in flight",
    "asyncio, TLS, 32 in flight",
    "uvloop, plain, 32 in flight",
    "trio, TLS, 32 in flight",
    "asyncio, TLS, 200 in flight, function of 50 ms",
    "asyncio, TLS, 100,000 bytes, 8 in flight",
    "asyncio, TLS, 6,291,456 bytes, 8 in flight",
)
"""The rows of the matrix that the README shows."""


def _copied(text: str, *, columns: Sequence[int] | None = None, bold: str = "") -> str:
    """Return a result's first table, or some of its columns, with one row in bold."""
    headings, *rows = tables(text)[0]
    chosen = range(len(headings)) if columns is None else columns
    shown = [[f"**{row[0]}**" if row[0] == bold else row[0], *row[1:]] for row in rows]
    picked = [[row[column] for column in chosen] for row in shown]
    return f"{table([headings[column] for column in chosen], picked)}\n\n{caption(text)}"


def _throttled(text: str) -> str:
    return _copied(text, bold="asyncinvoke")


def _telemetry(text: str) -> str:
    return _copied(text, columns=(0, 3))


def _inputs(text: str) -> str:
    return _copied(text, columns=(0, 1, 2))


BLOCKS: dict[str, dict[str, Callable[[str], str]]] = {
    "README.md": {"overhead_matrix": _overhead, "throttled": _throttled},
    "docs/inputs.md": {"inputs": _inputs},
    "docs/limits.md": {"ceilings": _copied, "simulate": _copied},
    "docs/telemetry.md": {"telemetry": _telemetry},
}
"""The tables of each page: the result behind each, and what is made of it."""


def rendered(root: Path, page: str) -> str:
    """Return a page with the figures of its results.

    Raises:
        RuntimeError: A marker is missing.
    """
    text = (root / page).read_text("utf-8")
    for name, make in BLOCKS[page].items():
        begin, end = f"<!-- figures: {name} -->\n", "<!-- end of figures -->"
        before, found, rest = text.partition(begin)
        if not found or end not in rest:
            raise RuntimeError(f"{page} has no place for the figures of {name}")
        result = root / "benchmarks" / "results" / f"{name}.md"
        if result.exists():
            text = f"{before}{begin}\n{make(result.read_text('utf-8'))}\n\n{end}{rest.partition(end)[2]}"
    return text


def write(root: Path = ROOT) -> list[str]:
    """Update the pages; return the names of those that changed."""
    changed = [page for page in BLOCKS if rendered(root, page) != (root / page).read_text("utf-8")]
    for page in changed:
        (root / page).write_text(rendered(root, page), encoding="utf-8")
    return changed


def main() -> int:
    """Write or check the pages; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shown", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    if not options.check:
        print("\n".join(write()) or "up to date")
        return 0
    different = [
        page for page in BLOCKS if rendered(ROOT, page) != (ROOT / page).read_text("utf-8")
    ]
    for page in different:
        print(f"{page} differs from benchmarks/results: run `python -m benchmarks.shown`")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
