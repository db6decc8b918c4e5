"""Plots as SVG; the only module that imports matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rounds import Spread


def bars(path: Path, values: Mapping[str, Spread], *, label: str, ours: Sequence[str] = ()) -> None:
    """Plot one bar per name, with its extremes; `ours` are highlighted."""
    figure, axes = _figure(height=1.0 + 0.35 * len(values))
    names = list(values)[::-1]
    medians = [values[name]["median"] for name in names]
    errors = [
        [values[name]["median"] - values[name]["low"] for name in names],
        [values[name]["high"] - values[name]["median"] for name in names],
    ]
    colours = ["#d95f02" if name in ours else "#8c8c8c" for name in names]
    axes.barh(names, medians, xerr=errors, color=colours, ecolor="#333333", capsize=2)
    axes.set_xlabel(label)
    _save(figure, path)


def lines(
    path: Path, series: Mapping[str, Sequence[tuple[float, float]]], *, x_label: str, y_label: str
) -> None:
    """Plot one line per name, with logarithmic axes."""
    figure, axes = _figure(height=4.0)
    for name, points in series.items():
        axes.loglog([x for x, _ in points], [y for _, y in points], marker="o", label=name)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(frameon=False)
    _save(figure, path)


def over_time(
    path: Path,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    y_label: str,
    x_label: str = "seconds",
) -> None:
    """Plot one stepped line per name over time."""
    figure, axes = _figure(height=3.5)
    for name, points in series.items():
        axes.step([x for x, _ in points], [y for _, y in points], where="post", label=name, lw=1)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _save(figure, path)


def _figure(*, height: float) -> Any:
    import matplotlib as mpl

    mpl.use("svg")
    # The same figures give the same file.
    mpl.rcParams["svg.hashsalt"] = "asyncinvoke"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
