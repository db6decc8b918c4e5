"""OpenTelemetry's instrumentation of aiobotocore: before, during, with a propagator, and after."""

import calls
from opentelemetry.instrumentation.botocore import AiobotocoreInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

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
                "kind": span.kind.name,
                "status": span.status.status_code.name,
                "http_status": (span.attributes or {}).get("http.status_code"),
                "events": [event.name for event in span.events],
                "trace_id": f"{context.trace_id:032x}",
                "span_id": f"{context.span_id:016x}",
            }
        )


async def main() -> calls.Facts:
    """Instrument with a client in use, and without one."""
    provider = TracerProvider()
    provider.add_span_processor(SpanRecorder())
    instrumentor = AiobotocoreInstrumentor()
    async with calls.opened() as site:
        before = await site.call(spans)
        instrumentor.instrument(tracer_provider=provider)
        during = await site.call(spans)
        async with calls.opened() as later:
            made_later = await later.call(spans)
        count = len(spans)
        answers = await calls.call_function()
        function = {"answers": answers, "spans": spans[count:]}
        instrumentor.uninstrument()
        between = await site.call(spans)
        instrumentor.instrument(
            tracer_provider=provider, propagator=TraceContextTextMapPropagator()
        )
        propagator = await site.call(spans)
        instrumentor.uninstrument()
        after = await site.call(spans)
    return {
        "before": before,
        "during": during,
        "made_later": made_later,
        "function": function,
        "between": between,
        "propagator": propagator,
        "after": after,
    }


calls.run(main)
