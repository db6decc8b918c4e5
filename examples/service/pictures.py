"""Draws a trace of the service beside this file, and a dashboard of its metrics; all of it offline.

    pip install 'asyncinvoke[local,otel]' fastapi httpx2 matplotlib opentelemetry-sdk
    python pictures.py [FOLDER [SECONDS]]

It serves the function on loopback, asks the service as a client would, and exports into memory: the
spans of FastAPI, which makes its own, and of asyncinvoke. In life the same spans and metrics go to a
collector, and others draw them.
"""

import asyncio
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import matplotlib as mpl
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from asyncinvoke.local import LocalLambda, throttle

mpl.use("agg")
from matplotlib import pyplot as plt  # after the choice of how to draw

HERE = Path(__file__).parent
RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
SECONDS = 8
CLIENTS = 30
CALM, LOUD, PALE = "#4477aa", "#cc6677", "#999999"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span, as it is drawn."""

    name: str
    began: float
    ended: float
    failed: bool
    of_function: bool = False


def last_line(runs: Path) -> dict[str, Any]:
    """Return what the last run of the function has said of itself."""
    found: dict[str, Any] = json.loads(runs.read_text().splitlines()[-1])
    return found


def bars_of(exporter: InMemorySpanExporter, ran: Mapping[str, Any]) -> list[Bar]:
    """Return the spans of one trace: those of the service, and that of the function."""
    spans = exporter.get_finished_spans()
    # Those of FastAPI itself are its own; two of them take no time.
    bars = [
        Bar(
            name=span.name,
            began=(span.start_time or 0) / 1e9,
            ended=(span.end_time or 0) / 1e9,
            failed=span.status.status_code is StatusCode.ERROR,
        )
        for span in spans
        if span.name not in ("fastapi.dependencies", "fastapi.serialization")
    ]
    # The function has said which span it belongs to.
    (parent,) = re.findall(r"Parent=(\w+)", ran["trace"])
    (call,) = (span for span in spans if span.name == "Lambda.Invoke")
    context = call.get_span_context()
    assert context is not None
    assert parent == f"{context.span_id:016x}"
    bars.append(
        Bar(
            name="function resize",
            began=ran["began"],
            ended=ran["ended"],
            failed=False,
            of_function=True,
        )
    )
    return sorted(bars, key=lambda bar: (bar.began, -bar.ended))


def draw_trace(bars: list[Bar], path: Path) -> None:
    """Draw the spans of one trace below each other."""
    first, last = min(bar.began for bar in bars), max(bar.ended for bar in bars)
    least = (last - first) * 1e3 / 300
    figure, axes = plt.subplots(figsize=(9, 0.6 + 0.5 * len(bars)), layout="constrained")
    for row, bar in enumerate(bars):
        colour = LOUD if bar.failed else PALE if bar.of_function else CALM
        began, took = (bar.began - first) * 1e3, (bar.ended - bar.began) * 1e3
        axes.barh(row, max(took, least), left=began, color=colour, height=0.6)
        axes.text(began + took, row, f"  {took:.0f} ms", va="center", fontsize=8)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds; red failed, grey is the function's own")
    axes.set_title("One request: the service, the call, its attempts, the function", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


class Samples:
    """The metrics over time, as a collector scrapes them."""

    def __init__(self, reader: InMemoryMetricReader) -> None:
        self._reader = reader
        self.times: list[float] = []
        self.series: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.buckets: list[tuple[list[float], list[int]]] = []

    def take(self, now: float) -> None:
        """Take one sample of everything."""
        data = self._reader.get_metrics_data()
        self.times.append(now)
        if data is None:
            return
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points: list[Any] = list(metric.data.data_points)
                    for point in points:
                        self._keep(metric.name, point)
        for values in self.series.values():
            values.extend([0.0] * (len(self.times) - len(values)))

    def _keep(self, name: str, point: Any) -> None:
        labels = point.attributes
        if name == "asyncinvoke.execution.duration":
            if labels["asyncinvoke.outcome"] == "succeeded":
                self.buckets.append((list(point.explicit_bounds), list(point.bucket_counts)))
            return
        if not hasattr(point, "value"):
            return
        label = labels.get("asyncinvoke.outcome") or labels.get("asyncinvoke.throttle.reason")
        scope = labels.get("asyncinvoke.limit.scope")
        key = (name, str(label or scope or ""))
        values = self.series[key]
        values += [0.0] * (len(self.times) - 1 - len(values))
        values.append(point.value)

    def rates(self, key: tuple[str, str]) -> list[float]:
        """Return how fast a counter has grown, for each second."""
        values = self.series[key]
        return [
            (after - before) / (self.times[n + 1] - self.times[n])
            for n, (before, after) in enumerate(pairwise(values))
        ]


def draw_dashboard(samples: Samples, path: Path) -> None:
    """Draw what a service is watched by: traffic, latency, limits, refusals."""
    figure, ((traffic, latency), (limits, refusals)) = plt.subplots(
        2, 2, figsize=(11, 6), layout="constrained"
    )
    times = samples.times
    for name, outcome in sorted(samples.series):
        if name == "asyncinvoke.executions":
            rate = samples.rates((name, outcome))
            colour = CALM if outcome == "succeeded" else LOUD
            traffic.step(times[1:], rate, where="pre", label=outcome, color=colour)
        if name == "asyncinvoke.throttles":
            rate = samples.rates((name, outcome))
            refusals.step(times[1:], rate, where="pre", label=outcome, color=LOUD)
    traffic.set_title("executions a second, by outcome", fontsize=10)
    refusals.set_title("throttled attempts a second, by reason", fontsize=10)
    bounds, counts = samples.buckets[-1]
    shown = [n for n, count in enumerate(counts) if count]
    names = [f"{bound:g} s" for bound in bounds] + ["more"]
    latency.bar([names[n] for n in shown], [counts[n] for n in shown], color=CALM)
    latency.set_title("latency: calls that took up to", fontsize=10)
    for name, colour, width in (
        ("limit", PALE, 5),
        ("in_flight", CALM, 1.5),
        ("waiting", LOUD, 1.5),
    ):
        values = samples.series[f"asyncinvoke.{name}", "function"]
        limits.step(
            times, values, where="post", color=colour, lw=width, label=name.replace("_", " ")
        )
    limits.set_title("the function: its limit, and what is in flight and waits", fontsize=10)
    for axes in (traffic, limits, refusals):
        axes.set_xlabel("seconds")
        axes.set_ylim(0, axes.get_ylim()[1] * 1.3)
        axes.legend(loc="upper left", fontsize=8, frameon=False)
    for axes in (traffic, latency, limits, refusals):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


async def load(client: httpx2.AsyncClient, samples: Samples, seconds: float) -> None:
    """Ask the service from many clients at once, and take a sample ten times a second."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def ask(number: int) -> None:
        while loop.time() < began + seconds:
            # Every hundredth is one that the function refuses.
            number += CLIENTS
            kind = "gif" if number % 97 == 0 else "jpg"
            await client.post("/thumbs", json={"key": f"{number}.{kind}"})

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(ask(number))
        while loop.time() < began + seconds:
            samples.take(loop.time() - began)
            await asyncio.sleep(min(0.25, seconds / 8))


async def main(folder: Path, seconds: float = SECONDS) -> None:
    """Serve, ask, and draw."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    with TemporaryDirectory() as scratch:
        runs = Path(scratch) / "runs.jsonl"
        await watch(folder, exporter, Samples(reader), runs, seconds)
    tracers.shutdown()
    meters.shutdown()
    print(f"{folder / 'trace.png'}\n{folder / 'dashboard.png'}")


async def watch(
    folder: Path, exporter: InMemorySpanExporter, samples: Samples, runs: Path, seconds: float
) -> None:
    """Serve the function and the service, ask once, ask often, and draw both."""
    async with LocalLambda() as local:
        local.function(
            "resize",
            "function:handler",
            directory=HERE,
            environment={"SPANS_FILE": str(runs)},
            timeout=30,
            reserved_concurrency=4,
        )
        os.environ.update(
            AWS_ENDPOINT_URL_LAMBDA=local.url,
            AWS_ACCESS_KEY_ID="none",
            AWS_SECRET_ACCESS_KEY="none",
            AWS_DEFAULT_REGION="eu-west-1",
        )
        sys.path.insert(0, str(HERE))
        service = __import__("app").app
        wire = httpx2.ASGITransport(service)
        async with (
            service.router.lifespan_context(service),
            httpx2.AsyncClient(transport=wire, base_url="http://service") as client,
        ):
            await client.post("/thumbs", json={"key": "warm.jpg"})
            exporter.clear()
            local.fault(throttle(RESERVED), count=1)
            await client.post("/thumbs", json={"key": "cat.jpg"})
            ran = last_line(runs)
            draw_trace(bars_of(exporter, ran), folder / "trace.png")
            await load(client, samples, seconds)
            draw_dashboard(samples, folder / "dashboard.png")


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    asyncio.run(main(folder, float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS))
