"""Draws charts as SVG in the colours and fonts of the page; the one file that uses matplotlib."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Charts are drawn in these colours, which are then replaced by variables of the page's style sheet,
# so that they follow its light or dark theme.
_COLOURS = {
    "#010101": "--ink",
    "#020202": "--muted",
    "#030303": "--line",
    "#040404": "--good",
    "#050505": "--bad",
    "#060606": "--limit",
    "#070707": "--paper",
}
INK, MUTED, LINE, GOOD, BAD, LIMIT, PAPER = _COLOURS
_WIDTHS = {"wide": 7.4, "narrow": 3.35}


def drawn(
    name: str, draw: Callable[[Any, str], None], *, height: float, legend: bool = False
) -> str:
    """Draw a chart for wide and for narrow pages; the page shows one of them.

    Args:
        name: The name of the chart, unique on the page.
        draw: Draws it into axes, given as those of matplotlib, for a page that is `wide` or `narrow`.
        height: The height, in inches.
        legend: Whether it has a legend.

    Returns:
        Both as HTML.
    """
    return "".join(
        f'<div class="chart {width}" aria-hidden="true">'
        f"{_svg(f'{name}-{width}', draw, width, height, legend=legend)}</div>"
        for width in _WIDTHS
    )


def _svg(
    name: str, draw: Callable[[Any, str], None], width: str, height: float, *, legend: bool
) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with _style():
        figure = Figure(figsize=(_WIDTHS[width], height))
        axes = figure.subplots()
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.yaxis.set_major_locator(_whole_ticks())
        axes.yaxis.set_major_formatter(_number)
        axes.grid(axis="y", linewidth=0.6)
        axes.set_axisbelow(True)
        draw(axes, width)
        rows = 0
        if legend:
            handles, labels = axes.get_legend_handles_labels()
            columns = 1 if name.startswith("throttles") else 3
            rows = -(-len(labels) // columns)
            figure.legend(
                handles, labels, loc="upper left", bbox_to_anchor=(0, 1), ncols=columns,
                frameon=False, fontsize=8, labelcolor=INK, handlelength=2.2, borderpad=0,
            )  # fmt: skip
        _set_margins(figure, _WIDTHS[width], height, legend_rows=rows)
        sink = io.StringIO()
        figure.set_canvas(FigureCanvasSVG(figure))
        figure.savefig(sink, format="svg", transparent=True, metadata=_NO_METADATA)
    return themed(sink.getvalue(), name)


def _set_margins(figure: Any, width: float, height: float, *, legend_rows: int) -> None:
    # matplotlib could compute the margins by measuring all text, which takes as long as drawing.
    left, right, bottom, top, row = 0.62, 0.12, 0.28, 0.08, 0.19  # inches
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - (top + row * legend_rows) / height,
    )


_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def themed(svg: str, name: str) -> str:
    """Return an SVG for embedding: with the page's colours and fonts, and with unique IDs."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px; font-family: inherit", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    return re.sub(r">\s+<", "><", svg)


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib as mpl

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "asyncinvoke",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": MUTED,
        "axes.labelsize": 8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "grid.color": LINE,
        "path.simplify": True,
    }
    with mpl.rc_context(settings):
        yield


def _whole_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10])


def _number(value: float, _position: float = 0) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    if value >= 10_000:
        return f"{value / 1_000:g} k"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
