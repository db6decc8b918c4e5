"""ddtrace's integration of aiobotocore: before patching, patched, and unpatched again."""

from typing import Any

import calls
from ddtrace import patch
from ddtrace.contrib.internal.aiobotocore.patch import unpatch
from ddtrace.trace import TraceFilter, tracer

spans: list[calls.Span] = []


class SpanRecorder(TraceFilter):
    """Records the spans that would be sent to the agent."""

    def process_trace(self, trace: list[Any]) -> None:
        """Record the spans of a trace."""
        for span in trace:
            spans.append(
                {
                    "name": span.name,
                    "resource": span.resource,
                    "error": span.error,
                    "http_status": span.get_tag("http.status_code"),
                    "span_id": str(span.span_id),
                }
            )


async def main() -> calls.Facts:
    """Patch with a client in use, and without one."""
    tracer.configure(trace_processors=[SpanRecorder()])
    async with calls.opened() as site:
        before = await site.call(spans)
        patch(aiobotocore=True)
        during = await site.call(spans)
        async with calls.opened() as later:
            made_later = await later.call(spans)
        unpatch()
        after = await site.call(spans)
        async with calls.opened() as later:
            made_after = await later.call(spans)
    return {
        "before": before,
        "during": during,
        "made_later": made_later,
        "after": after,
        "made_after": made_after,
    }


calls.run(main)
