"""What one invocation costs: CPU time and latency, with asyncinvoke and with other clients.

Every client runs in a separate process with 32 invocations in flight and a payload of 16 bytes, against
one endpoint on loopback that answers at once. CPU time is that of the client's process, user and
system. The rounds are interleaved; a ratio compares a client with bare aiobotocore in the same round.
Latency is measured with 200 in flight.

With an option of a variant, such as `--tls`, asyncinvoke is compared with bare aiobotocore under that
variant only. `--matrix` does so for a table of variants with bounds.
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from benchmarks import compare, matrix, peers
from benchmarks.canned import CannedEndpoint
from benchmarks.command import Benchmark, add_only
from benchmarks.compare import BASELINE, Entry, in_turn
from benchmarks.parts import Parts
from benchmarks.plots import bars
from benchmarks.rounds import machine, ratios, scaled, spread
from benchmarks.tables import figure, table
from benchmarks.variants import Variant, add_options, chosen

IN_FLIGHT = 32
FLOOR = "aiohttp"
TRANSPORT = "direct transport alone"
CLIENTS = (
    "invoke",
    "map",
    "invoke, client transport",
    "map, client transport",
    BASELINE,
    "aioboto3",
    "boto3, threads",
    "aws-sdk-lambda",
    FLOOR,
    TRANSPORT,
)
QUICKEST_AT_MANY = ("invoke", "map", BASELINE)


def measure(options: Namespace) -> dict[str, Any]:
    """Measure all clients, one variant, or the table of variants."""
    if options.matrix:
        return matrix.measure(rounds=options.rounds, count=options.count, only=options.only)
    variant = chosen(options)
    if variant is not None:
        return {
            "machine": machine(),
            **compare.compare(variant, rounds=options.rounds, count=options.count),
        }
    return _all_clients(options)


def _all_clients(options: Namespace) -> dict[str, Any]:
    pythons = dict.fromkeys(CLIENTS, sys.executable) | {peer.name: "" for peer in peers.PEERS}
    pythons |= peers.installed()
    there = [name for name in CLIENTS if pythons[name]]
    with CannedEndpoint() as endpoint:
        clients = _rounds(endpoint, {name: pythons[name] for name in there}, IN_FLIGHT, options)
        busy = {name: clients[name] for name in QUICKEST_AT_MANY}
        if options.many != IN_FLIGHT:
            busy = _rounds(endpoint, {name: pythons[name] for name in busy}, options.many, options)
        endpoint_cpu = endpoint.cpu_seconds() / endpoint.requests()
    with Parts() as parts:
        parts.measure(options.count)
        repeated = [parts.measure(options.count) for _ in range(options.rounds)]
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "count": max(options.count, IN_FLIGHT),
        "baseline": BASELINE,
        "in_flight": IN_FLIGHT,
        "clients": _summary(clients),
        "many_in_flight": options.many,
        "latency": _summary(busy),
        "parts": {name: spread([each[name] for each in repeated]) for name in repeated[0]},
        "endpoint_cpu": endpoint_cpu,
        "left_out": [name for name in CLIENTS if name not in there],
    }


def _rounds(
    endpoint: CannedEndpoint, pythons: dict[str, str], in_flight: int, options: Namespace
) -> dict[str, list[dict[str, Any]]]:
    variant = Variant(in_flight=in_flight)
    entries = {
        name: Entry(client=name, variant=variant, python=python) for name, python in pythons.items()
    }
    return in_turn(endpoint, entries, rounds=options.rounds, count=options.count)


def _summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    def values(name: str, metric: str) -> list[float]:
        return [each[metric] for each in found[name]]

    return {
        name: {
            **{metric: spread(values(name, metric)) for metric in ("cpu", "wall", "p50", "p99")},
            "ratio": ratios(values(name, "cpu"), values(BASELINE, "cpu")),
            "p99_ratio": ratios(values(name, "p99"), values(BASELINE, "p99")),
        }
        for name in found
    }


def show(found: dict[str, Any]) -> str:
    """Return the tables."""
    if "rows" in found:
        return matrix.show(found)
    if "variant" in found:
        return f"{compare.show(found)} {found['machine']}."
    clients, latency = found["clients"], found["latency"]
    costs = table(
        ["client", "CPU per invocation, µs", "ratio to aiobotocore", "invocations per second"],
        [
            [
                _label(name),
                figure(each["cpu"], scale=1e6),
                figure(each["ratio"], digits=2),
                f"{1 / each['wall']['median']:.0f}",
            ]
            for name, each in sorted(clients.items(), key=lambda item: item[1]["cpu"]["median"])
        ],
    )
    waits = table(
        [
            f"client, {found['many_in_flight']} in flight",
            "p50, ms",
            "p99, ms",
            "p99 to aiobotocore",
        ],
        [
            [
                _label(name),
                figure(each["p50"], scale=1e3, digits=1),
                figure(each["p99"], scale=1e3, digits=1),
                figure(each["p99_ratio"], digits=2),
            ]
            for name, each in latency.items()
        ],
    )
    parts = table(
        ["where the CPU time of `map` goes", "µs"],
        [[name, f"{seconds * 1e6:.0f}"] for name, seconds in _shares(found).items()],
    )
    notes = (
        f"{found['in_flight']} in flight; medians of {found['rounds']} interleaved rounds of "
        f"{found['count']} invocations, lowest and highest in brackets. The endpoint's own process "
        f"took {found['endpoint_cpu'] * 1e6:.0f} µs for each. {found['machine']}."
    )
    if found["left_out"]:
        notes += f" Not installed, so left out: {', '.join(found['left_out'])}."
    return f"{costs}\n\n{notes}\n\n{waits}\n\n{parts}"


def _shares(found: dict[str, Any]) -> dict[str, float]:
    cpu = {name: each["cpu"]["median"] for name, each in found["clients"].items()}
    parts = {name: each["median"] for name, each in found["parts"].items()}
    return {
        "HTTP, as bare aiohttp": cpu[FLOOR],
        "headers and signature": parts["signing"],
        "reading the answer": parts["reading"],
        "the rest of the transport": cpu[TRANSPORT] - cpu[FLOOR] - sum(parts.values()),
        "`invoke`: checks, limits, history": cpu["invoke"] - cpu[TRANSPORT],
        "`map`: hand-over and outcomes, less the checks": cpu["map"] - cpu["invoke"],
        "all of it": cpu["map"],
    }


def _label(name: str) -> str:
    ours = name.startswith(("invoke", "map"))
    return (
        f"**asyncinvoke {name}**" if ours else f"asyncinvoke {name}" if name == TRANSPORT else name
    )


def plot(found: dict[str, Any], path: Path) -> None:
    """Plot the CPU time of each client."""
    clients = {
        _label(name).strip("*"): scaled(each["cpu"], 1e6)
        for name, each in sorted(
            found["clients"].items(), key=lambda item: item[1]["cpu"]["median"]
        )
    }
    bars(
        path,
        clients,
        label="CPU time per invocation, µs",
        ours=[name for name in clients if name.startswith("asyncinvoke")],
    )


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--matrix", action="store_true", help="the table of variants and bounds")
    add_only(parser)
    add_options(parser)


BENCHMARK = Benchmark(
    name="overhead",
    description=__doc__,
    numbers={
        "rounds": (7, "how often"),
        "count": (1000, "invocations in a round"),
        "many": (compare.MANY, "in flight where latencies are measured"),
    },
    measure=measure,
    show=show,
    plot=plot,
    add_options=_add_options,
)

if __name__ == "__main__":
    BENCHMARK.main()
