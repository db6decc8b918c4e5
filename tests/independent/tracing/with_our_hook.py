"""Our own OpenTelemetry hook, with OpenTelemetry's instrumentation of aiobotocore active beside it."""

from typing import Any

import calls
from opentelemetry.instrumentation.botocore import AiobotocoreInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from asyncinvoke.otel import OpenTelemetry

spans: list[calls.Span] = []


class SpanRecorder(SpanProcessor):
    """Records ended spans."""

    def on_end(self, span: ReadableSpan) -> None:
        """Record a span."""
        context = span.get_span_context()
        assert context is not None
        spans.append(
            {
                "name": span.name,
                "scope": span.instrumentation_scope.name if span.instrumentation_scope else None,
                "trace_id": f"{context.trace_id:032x}",
                "span_id": f"{context.span_id:016x}",
            }
        )


async def main() -> calls.Facts:
    """Call through each transport, instrumented."""
    provider, reader = TracerProvider(), InMemoryMetricReader()
    provider.add_span_processor(SpanRecorder())
    meters = MeterProvider([reader])
    hook = OpenTelemetry(tracer_provider=provider, meter_provider=meters)
    instrumentor = AiobotocoreInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    facts: calls.Facts = {}
    for transport in ("direct", "client"):
        async with calls.opened(hooks=[hook], transport=transport) as site:
            facts[transport] = await site.call(spans)
    instrumentor.uninstrument()
    data = reader.get_metrics_data()
    assert data is not None
    points: list[Any] = [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "asyncinvoke.execution.duration"
        for point in metric.data.data_points
    ]
    facts["executions"] = sum(point.count for point in points)
    return facts


calls.run(main)
