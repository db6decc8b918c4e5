"""Draws a trace of the service in `app.py`, and a dashboard of its metrics, offline.

    pip install 'asyncinvoke[local,otel]' fastapi httpx2 matplotlib opentelemetry-sdk
    python pictures.py --folder pictures

It serves the function on loopback, calls the service as a client would, and exports the spans of FastAPI
and of asyncinvoke into memory. In production they would be sent to a collector, and drawn by other
programs.
"""

import argparse
import asyncio
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
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
RESERVE = 4
CALM, LOUD, PALE, WAITING = "#4477aa", "#cc6677", "#999999", "#ddaa33"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span to draw."""

    name: str
    began: float
    ended: float
    depth: int
    """The number of spans around it."""

    why: str | None = None
    """The reason or error type, if it failed."""

    backoff: float = 0.0
    """Seconds until the next attempt, if there was one."""

    of_function: bool = False


def last_line(runs: Path) -> dict[str, Any]:
    """Return the line that the last run of the function wrote."""
    found: dict[str, Any] = json.loads(runs.read_text().splitlines()[-1])
    return found


def bars_of(exporter: InMemorySpanExporter, ran: Mapping[str, Any]) -> list[Bar]:
    """Return the bars of one trace: the spans of the service, and the run of the function."""
    spans = exporter.get_finished_spans()
    parents = {
        span.context.span_id: None if span.parent is None else span.parent.span_id
        for span in spans
        if span.context is not None
    }

    def depth(parent: int | None) -> int:
        return 0 if parent is None else 1 + depth(parents.get(parent))

    # Two of FastAPI's own spans take no time.
    bars = []
    for span in spans:
        if span.name in ("fastapi.dependencies", "fastapi.serialization"):
            continue
        said = span.attributes or {}
        reason = said.get("asyncinvoke.throttle.reason") or said.get("error.type")
        bars.append(
            Bar(
                name=span.name,
                began=(span.start_time or 0) / 1e9,
                ended=(span.end_time or 0) / 1e9,
                depth=depth(None if span.parent is None else span.parent.span_id),
                why=str(reason) if span.status.status_code is StatusCode.ERROR else None,
                backoff=float(str(said.get("asyncinvoke.retry.delay") or 0)),
            )
        )
    # The function's trace header names the span of the call.
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
            depth=depth(context.span_id),
            of_function=True,
        )
    )
    return sorted(bars, key=lambda bar: (bar.began, -bar.ended))


def draw_trace(bars: list[Bar], path: Path) -> None:
    """Draw the spans of one trace, one per row."""
    first, last = min(bar.began for bar in bars), max(bar.ended for bar in bars)
    least = (last - first) * 1e3 / 300
    figure, axes = plt.subplots(figsize=(10, 1 + 0.42 * len(bars)), layout="constrained")
    for row, bar in enumerate(bars):
        colour = LOUD if bar.why else PALE if bar.of_function else CALM
        began, took = (bar.began - first) * 1e3, (bar.ended - bar.began) * 1e3
        axes.barh(row, max(took, least), left=began, color=colour, height=0.6)
        end, said = began + max(took, least), f"{took:.0f} ms"
        if bar.why:
            said += f", {bar.why}"
        if bar.backoff:
            said += f"; then a backoff of {bar.backoff * 1e3:.0f} ms"
            until = end + bar.backoff * 1e3
            axes.plot([end, until], [row + 0.3] * 2, color=WAITING, lw=2, solid_capstyle="butt")
        axes.text(end, row, f"  {said}", va="center", fontsize=8)
    names = ["    " * bar.depth + bar.name for bar in bars]
    axes.set_yticks(range(len(bars)), names, ha="left")
    axes.tick_params(axis="y", length=0, pad=6 * max(map(len, names)))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set_xlabel(
        "milliseconds; red: failed, yellow: waiting, grey: what the function itself took"
    )
    axes.set_title(
        "One request through the service: the call, its attempts, the function", fontsize=10
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


class Samples:
    """The metrics over time, as a collector would scrape them."""

    def __init__(self, reader: InMemoryMetricReader) -> None:
        self._reader = reader
        self.times: list[float] = []
        self.series: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.buckets: list[tuple[list[float], list[int]]] = []

    def take(self, now: float) -> None:
        """Take a sample of all metrics."""
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
        """Return the rate of a counter per second, averaged over the last second."""
        values, times = self.series[key], self.times
        rates = []
        for n in range(1, len(values)):
            before = next(m for m in range(n) if times[m] > times[n] - 1.01 or m == n - 1)
            rates.append((values[n] - values[before]) / (times[n] - times[before]))
        return rates


def draw_dashboard(samples: Samples, path: Path) -> None:
    """Draw the dashboard: traffic, latency, limits, throttles."""
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
    traffic.set_title("Calls a second, by outcome", fontsize=10)
    refusals.set_title("Throttled attempts a second, by reason", fontsize=10)
    bounds, counts = samples.buckets[-1]
    shown = [n for n, count in enumerate(counts) if count]
    names = [f"{bound:g} s" for bound in bounds] + ["more"]
    drawn = latency.bar([names[n] for n in shown], [counts[n] for n in shown], color=CALM)
    latency.bar_label(drawn, fontsize=8)
    latency.set_title("Calls by latency, which is at most this", fontsize=10)
    for name, colour, width in (
        ("limit", PALE, 5),
        ("in_flight", CALM, 1.5),
        ("waiting", WAITING, 1.5),
    ):
        values = samples.series[f"asyncinvoke.{name}", "function"]
        limits.step(
            times, values, where="post", color=colour, lw=width, label=name.replace("_", " ")
        )
    limits.set_title(
        "The function: its limit as found, calls in flight, calls that wait", fontsize=10
    )
    for axes in (traffic, limits, refusals):
        axes.set_xlabel("seconds")
        axes.set_ylim(0, axes.get_ylim()[1] * 1.3)
        axes.legend(loc="upper left", fontsize=8, frameon=False, ncols=3)
    figure.suptitle(
        f"The service under load: {CLIENTS} clients, a function that may run {RESERVE} at once",
        fontsize=11,
    )
    for axes in (traffic, latency, limits, refusals):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


async def load(client: httpx2.AsyncClient, samples: Samples, seconds: float) -> None:
    """Send requests from many clients at once, and take a sample every quarter of a second."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def ask(number: int) -> None:
        while loop.time() < began + seconds:
            # The function refuses about one in a hundred.
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
    """Serve, call, and draw."""
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
    """Serve the function and the service, draw one request, then draw the service under load."""
    async with LocalLambda() as local:
        local.function(
            "resize",
            "function:handler",
            directory=HERE,
            environment={"SPANS_FILE": str(runs)},
            timeout=30,
            reserved_concurrency=RESERVE,
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(), help="where the two pictures go")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="how long the service is under load"
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(arguments.folder, arguments.seconds))
