"""Renders the report as one HTML file; uses jinja2."""

from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from asyncinvoke._report import charts, figures, prices
from asyncinvoke._report.facts import Facts
from asyncinvoke.errors import ConfigurationError


def check_installed() -> None:
    """Import matplotlib and jinja2, which takes a while.

    Raises:
        ConfigurationError: One is not installed; the message has the pip command.
    """
    try:
        import jinja2  # noqa: F401
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"a report needs {error.name}, which is not installed: "
            "pip install 'asyncinvoke[report]'"
        ) from None


def render(facts: Facts, *, made: float) -> str:
    """Return the HTML of the report.

    Args:
        facts: The contents.
        made: The time to show as that of the report, in seconds since the epoch.

    Raises:
        ConfigurationError: matplotlib or jinja2 is not installed; the message has the pip command.
    """
    check_installed()
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        seconds=figures.seconds_in_words,
        moment=figures.moment,
        number=figures.number,
        money=figures.money,
    )
    room = files("asyncinvoke._report")
    template = environment.from_string(room.joinpath("page.html").read_text("utf-8"))
    page: str = template.render(
        facts=facts,
        style=room.joinpath("page.css").read_text("utf-8"),
        charts=_charts(facts),
        share=figures.share,
        prices=prices,
        made=datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=version("asyncinvoke"),
    )
    return page


def _charts(facts: Facts) -> dict[str, Any]:
    """Return the charts that have data, as markup that is not escaped."""
    from markupsafe import Markup

    timeline = facts.timeline
    drawn: dict[str, Any] = {}
    if facts.bars:
        drawn["latency"] = charts.latency_chart(facts.bars, facts.percentiles)
    if timeline.rates:
        drawn["rate"] = charts.rate_chart(timeline)
    if len(timeline.points) > 1:
        drawn["flight"] = charts.flight_chart(timeline)
    if timeline.throttles:
        drawn["throttles"] = charts.throttle_chart(timeline)
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704  # drawn here
