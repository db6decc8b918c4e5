"""Many clients on one limit: the real limit arithmetic in simulated time.

`tests/limits/simulation.py` says what is modelled and what is not. Seconds are round trips. *Fair after*
is when the 30 s after the last change had been fair. Without `--full` there are a tenth as many clients
and places, which takes less than a minute instead of ten.
"""

import platform
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.command import Benchmark
from benchmarks.tables import table
from tests.limits.simulation import FAIRNESS, Sample, Scenario, Simulation

UTILISATION, SHARE = 0.95, 0.03
"""The goals beside fairness: at least, at most."""


def scenarios(*, full: bool) -> Iterator[Scenario]:
    many, limit = (1000, 10_000) if full else (100, 1000)
    seconds = 200.0
    yield Scenario(name="alone", clients=1, limit=limit, seconds=seconds)
    yield Scenario(name="two, one late", clients=2, limit=limit, seconds=2 * seconds, joins=20)
    yield Scenario(name=f"{many} clients", clients=many, limit=limit, seconds=seconds)
    if full:
        yield Scenario(name="40 clients", clients=40, limit=limit, seconds=1.5 * seconds)
    yield Scenario(
        name="half of them late", clients=many, limit=limit, seconds=seconds, joins=seconds / 4
    )
    yield Scenario(
        name="half of them leave", clients=many, limit=limit, seconds=seconds, leaves=seconds / 4
    )
    yield Scenario(
        name="limit halves and doubles",
        clients=many,
        limit=limit,
        seconds=2 * seconds,
        moves=((seconds / 2, limit // 2), (seconds, limit)),
        measured=0.25,
    )
    start, pace = limit // 10, limit // 100
    steps = (limit - start) // pace
    yield Scenario(
        name=f"limit ramps by {pace} a second",
        clients=10,
        limit=start,
        seconds=30.0 + steps,
        moves=tuple((20.0 + step, start + pace * step) for step in range(1, steps + 1)),
        measured=0.2,
    )


def plot(_found: dict[str, Any], path: Path) -> None:
    """Plot how a newcomer gets its share, and how a changing limit is followed."""
    newcomer = _ended(Scenario(name="newcomer", clients=2, limit=50, seconds=300.0, joins=60.0))
    plots.over_time(
        path.with_name("simulate_newcomer.svg"),
        {
            "first": [(each.when, each.in_flight[0]) for each in newcomer],
            "newcomer": [(each.when, each.in_flight[1]) for each in newcomer],
        },
        y_label="attempts in flight, of 50",
        x_label="round trips",
    )
    moving = _ended(
        Scenario(
            name="moving",
            clients=10,
            limit=400,
            seconds=200.0,
            moves=((80.0, 200), (140.0, 400)),
        )
    )
    plots.over_time(
        path.with_name("simulate_moving.svg"),
        {
            "limit": [(each.when, each.limit) for each in moving],
            "running": [(each.when, each.running) for each in moving],
            "most of one client": [(each.when, max(each.in_flight)) for each in moving],
            "least of one client": [(each.when, min(each.in_flight)) for each in moving],
        },
        y_label="attempts in flight",
        x_label="round trips",
    )


def _ended(scenario: Scenario) -> list[Sample]:
    simulation = Simulation(scenario, seed=1)
    simulation.run()
    return simulation.samples


def measure(options: Namespace) -> dict[str, Any]:
    """Simulate every scenario."""
    rows = []
    for scenario in scenarios(full=options.full):
        simulation = Simulation(scenario, options.seed)
        simulation.run()
        rows.append(
            {
                "name": scenario.name,
                "used": simulation.utilisation(),
                "fair": simulation.fairness(),
                "share": simulation.share(),
                "converged": simulation.converged(),
            }
        )
    return {"seed": options.seed, "rows": rows}


def show(found: dict[str, Any]) -> str:
    """Return the table, and the goals."""
    rows = []
    short = []
    for row in found["rows"]:
        converged = "-" if row["converged"] is None else f"{row['converged']:.0f} s"
        figures = (f"{row['used']:.3f}", f"{row['fair']:.3f}", f"{row['share']:.4f}", converged)
        rows.append((row["name"], *figures))
        if row["used"] < UTILISATION or row["fair"] < FAIRNESS or row["share"] > SHARE:
            short.append(row["name"])
    headings = ("clients", "utilisation", "fairness", "throttled", "fair after")
    missed = f" Short of them: {'; '.join(short)}." if short else ""
    return (
        f"{table(headings, rows)}\n\nGoals: utilisation at least {UTILISATION}, fairness at least "
        f"{FAIRNESS}, throttled share at most {SHARE}.{missed} Seed {found['seed']}, "
        f"Python {platform.python_version()}."
    )


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--full", action="store_true", help="1,000 clients on a limit of 10,000")


BENCHMARK = Benchmark(
    name="simulate",
    description=__doc__ or "",
    numbers={"seed": (1, "of the random numbers")},
    measure=measure,
    show=show,
    plot=plot,
    add_options=_add_options,
)

if __name__ == "__main__":
    BENCHMARK.main()
