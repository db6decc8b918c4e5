"""Figures as Markdown tables that are also readable in a terminal."""

from collections.abc import Iterable, Sequence

from benchmarks.rounds import Spread, scaled


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with text in the first column and figures in the others."""
    cells = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    lines = [
        [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in cells
    ]
    rule = [
        "-" * width if not column else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def figure(value: Spread, *, scale: float = 1.0, digits: int = 0) -> str:
    """Return a median with its range, scaled to another unit."""
    value = scaled(value, scale)
    median, low, high = (
        f"{each:.{digits}f}" for each in (value["median"], value["low"], value["high"])
    )
    return f"{median} ({low} to {high})"
