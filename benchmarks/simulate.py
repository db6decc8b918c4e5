"""Many clients on one limit, played with the real limit arithmetic (`tests/limits/simulation.py`).

python -m benchmarks.simulate            # small, under a minute
python -m benchmarks.simulate --full     # 1,000 clients on a limit of 10,000, ten minutes
python -m benchmarks.simulate --plots    # draws into results/, under a minute

What is modelled, and what is not, is said there.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from benchmarks import plots
from tests.limits.simulation import FAIRNESS, WINDOW, Sample, Scenario, Simulation

RESULTS = Path(__file__).parent / "results"

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


def draw() -> None:
    """Draw how a newcomer gets its part, and how a limit that moves is followed."""
    newcomer = _ended(Scenario(name="newcomer", clients=2, limit=50, seconds=300.0, joins=60.0))
    plots.over_time(
        RESULTS / "simulate_newcomer.svg",
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
        RESULTS / "simulate_moving.svg",
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--full", action="store_true", help="1,000 clients on a limit of 10,000")
    parser.add_argument("--plots", action="store_true", help="draw into results/, and no more")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.plots:
        draw()
        return
    print("goals: utilisation >= 0.95, fairness >= 0.90, throttled share <= 0.030; seconds are")
    print(f"round trips. Fair after: when {WINDOW} s after the last change had been fair.\n")
    print(f"{'':30}{'utilisation':>12}{'fairness':>10}{'throttled':>11}{'fair after':>12}")
    for scenario in scenarios(full=options.full):
        simulation = Simulation(scenario, options.seed)
        simulation.run()
        used, fair, share = (
            simulation.utilisation(),
            simulation.fairness(),
            simulation.share(),
        )
        converged = simulation.converged()
        met = used >= UTILISATION and fair >= FAIRNESS and share <= SHARE
        shown = "-" if converged is None else f"{converged:.0f} s"
        print(
            f"{scenario.name:30}{used:12.3f}{fair:10.3f}{share:11.4f}{shown:>12}"
            f"{'' if met else '   short of the goals'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
