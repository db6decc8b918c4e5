"""`Invoker.invoke` with listeners: an empty hook, and OpenTelemetry with and without an SDK."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from benchmarks import contestants
from benchmarks.contestants import Drive
from benchmarks.variants import Variant

LISTENERS = (
    "empty hook",
    "OpenTelemetry, API alone",
    "OpenTelemetry, metrics",
    "OpenTelemetry, spans",
    "OpenTelemetry, spans and metrics",
)
"""Who listens, each by a name of a contestant."""


@contextlib.asynccontextmanager
async def invoke(url: str, variant: Variant, who: str) -> AsyncIterator[Drive]:
    """`Invoker.invoke` with a hook."""
    with _hook(who) as hook:
        async with contestants.invoke(url, variant, hooks=[hook]) as drive:
            yield drive


def _listen(_: object) -> None:
    """Receive an event and do nothing."""


@contextlib.contextmanager
def _hook(who: str) -> Iterator[Any]:
    if who == "empty hook":
        yield _listen
        return
    from asyncinvoke.otel import OpenTelemetry

    options: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        if "spans" in who:
            options["tracer_provider"] = stack.enter_context(_tracers())
        if "metrics" in who:
            options["meter_provider"] = stack.enter_context(_meters())
        yield OpenTelemetry(**options)


@contextlib.contextmanager
def _tracers() -> Iterator[Any]:
    """Return an SDK that samples all spans and discards them in batches."""
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, _: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=65_536))
    yield provider
    provider.shutdown()


@contextlib.contextmanager
def _meters() -> Iterator[Any]:
    """Return an SDK with its default views and a reader that never collects."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    yield provider
    provider.shutdown()
