"""Runs clients in turn against one endpoint, each in a separate process, and compares their costs."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.canned import CannedEndpoint
from benchmarks.child import CHECKOUT
from benchmarks.rounds import Spread, interleaved, ratios, spread
from benchmarks.tables import figure, table
from benchmarks.variants import LARGE, Variant
from benchmarks.worker import Worker

BASELINE = "aiobotocore"
OURS = ("invoke", "map")
WITHOUT = ", without"
"""What stands behind a client's name where credentials are static and calls have no timeout."""

MANY = 200
"""How many are in flight where latencies tell something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One client under one variant."""

    client: str
    """Its name in `worker.CONTESTANTS`."""

    variant: Variant
    python: str = sys.executable
    checkout: Path = CHECKOUT


def in_turn(
    endpoint: CannedEndpoint, entries: Mapping[str, Entry], *, rounds: int, count: int
) -> dict[str, list[dict[str, Any]]]:
    """Run interleaved rounds of all clients; return the cost of each round, by name.

    Raises:
        RuntimeError: A client failed, or the number of requests that arrived differs.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in entries}
    counts = {name: entry.variant.invocations(count) for name, entry in entries.items()}
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(
                Worker(
                    entry.client,
                    url=endpoint.url,
                    variant=entry.variant,
                    python=entry.python,
                    checkout=entry.checkout,
                    environment=endpoint.environment,
                )
            )
            for name, entry in entries.items()
        }
        before = endpoint.requests()

        def ask(name: str) -> dict[str, Any]:
            variant = entries[name].variant
            return workers[name].invoke(
                counts[name], size=variant.payload, warm_up=variant.in_flight
            )

        for name in workers:
            ask(name)  # connections, caches and limits are at their best afterwards
        for name in interleaved(list(workers), rounds):
            found[name].append(ask(name))
        arrived = endpoint.requests() - before
    expected = sum(counts[name] + entry.variant.in_flight for name, entry in entries.items())
    if arrived != (rounds + 1) * expected:
        raise RuntimeError(f"{arrived} requests arrived, which is not what was invoked")
    return found


def compare(variant: Variant, *, rounds: int, count: int) -> dict[str, Any]:
    """Compare asyncinvoke with bare aiobotocore under a variant, in one interleaved run.

    If the variant has refreshable credentials or a timeout, it is also run without them.
    """
    entries, _ = takes_part(variant)
    with CannedEndpoint(tls=variant.tls, function_ms=variant.function_ms) as endpoint:
        found = in_turn(endpoint, entries, rounds=rounds, count=count)
        endpoint_cpu = endpoint.cpu_seconds() / endpoint.requests()
    return {
        "variant": asdict(variant),
        "label": variant.label,
        "baseline": BASELINE,
        "rounds": rounds,
        "count": variant.invocations(count),
        "clients": summary(variant, found),
        "endpoint_cpu": endpoint_cpu,
    }


def summary(
    variant: Variant, found: Mapping[str, list[dict[str, Any]]]
) -> dict[str, dict[str, Spread]]:
    """Compare the cost of each client's rounds with its baseline in the same round."""

    def values(name: str, metric: str) -> list[float]:
        return [each[metric] for each in found[name]]

    entries, baselines = takes_part(variant)
    clients: dict[str, dict[str, Spread]] = {}
    for name in entries:
        baseline = baselines[name]
        clients[name] = {
            **{metric: spread(values(name, metric)) for metric in ("cpu", "wall", "p50", "p99")},
            "ratio": ratios(values(name, "cpu"), values(baseline, "cpu")),
            "p99_ratio": ratios(values(name, "p99"), values(baseline, "p99")),
        }
        if name + WITHOUT in entries:
            pairs = zip(values(name, "cpu"), values(name + WITHOUT, "cpu"), strict=True)
            clients[name]["more"] = spread([cpu - without for cpu, without in pairs])
    return clients


def takes_part(variant: Variant) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the entries, and the baseline of each."""
    without = variant.without()
    # A timeout is ours: aiobotocore has none to give to a call.
    asked = replace(variant, timeout=False)
    entries = {BASELINE: Entry(client=BASELINE, variant=asked)}
    entries |= {name: Entry(client=name, variant=variant) for name in OURS}
    baselines = dict.fromkeys(entries, BASELINE)
    if without == variant:
        return entries, baselines
    if without != asked:
        entries[BASELINE + WITHOUT] = Entry(client=BASELINE, variant=without)
    baseline = BASELINE + WITHOUT if without != asked else BASELINE
    entries |= {name + WITHOUT: Entry(client=name, variant=without) for name in OURS}
    return entries, dict.fromkeys(entries, baseline) | baselines


def show(found: dict[str, Any]) -> str:
    """Return the table of one comparison."""
    clients = found["clients"]
    more = any("more" in each for each in clients.values())
    waits = found["variant"]["in_flight"] >= MANY
    scale = "ms" if found["variant"]["payload"] >= LARGE else "µs"
    headings = [found["label"], f"CPU per invocation, {scale}", "ratio to aiobotocore"]
    headings += ["µs more than without"] * more
    headings += ["p50, ms", "p99, ms", "p99 to aiobotocore"] * waits
    headings.append("invocations per second")
    rows = []
    for name, each in clients.items():
        cpu = figure(each["cpu"], scale=1e3 if scale == "ms" else 1e6, digits=1)
        row = [name, cpu, figure(each["ratio"], digits=3)]
        if more:
            row.append(figure(each["more"], scale=1e6, digits=1) if "more" in each else "")
        if waits:
            row += [figure(each[metric], scale=1e3, digits=1) for metric in ("p50", "p99")]
            row.append(figure(each["p99_ratio"], digits=2))
        rows.append([*row, f"{1 / each['wall']['median']:,.0f}"])
    return (
        f"{table(headings, rows)}\n\nMedians of {found['rounds']} interleaved rounds of "
        f"{found['count']:,} invocations, lowest and highest in brackets; ratios are paired by "
        f"round. The endpoint's own process took {found['endpoint_cpu'] * 1e6:.0f} µs for each."
    )
