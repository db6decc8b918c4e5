"""aws-xray-sdk's patch of aiobotocore: before patching, patched, and unpatched again."""

import json
from typing import Any

import aiobotocore.client
import aiobotocore.endpoint
import calls
from aws_xray_sdk.core import patch, xray_recorder
from aws_xray_sdk.core.async_context import AsyncContext

spans: list[calls.Span] = []


class SpanRecorder:
    """Records the segments that would be sent to the daemon."""

    def send_entity(self, entity: Any) -> None:
        """Record the subsegments of a segment."""
        _keep(json.loads(entity.serialize()))

    def set_daemon_address(self, address: str) -> None:
        """Send nothing anywhere."""


def _keep(entity: Any) -> None:
    for each in entity.get("subsegments", ()):
        spans.append(
            {
                "name": each["name"],
                "operation": each["aws"]["operation"],
                "fault": each.get("fault", False),
                "http_status": each.get("http", {}).get("response", {}).get("status"),
                "trace_id": entity["trace_id"],
                "span_id": each["id"],
            }
        )


async def main() -> calls.Facts:
    """Patch with a client in use, and without one."""
    xray_recorder.configure(
        service="caller", sampling=False, context=AsyncContext(), emitter=SpanRecorder()
    )

    async def call(site: calls.Site) -> calls.Facts:
        async with xray_recorder.in_segment_async("caller") as segment:
            facts = await site.call(spans)
        return {**facts, "trace_id": segment.trace_id, "spans": take()}

    def take() -> list[calls.Span]:
        taken = spans.copy()
        spans.clear()
        return taken

    async with calls.opened() as site:
        before = await call(site)
        patch(("aiobotocore",))
        during = await call(site)
        async with calls.opened() as later:
            made_later = await call(later)
        async with xray_recorder.in_segment_async("caller"):
            answers = await calls.call_function()
        function = {"answers": answers, "spans": take()}
        # It cannot be unpatched; others do it in this way.
        kind = aiobotocore.client.AioBaseClient
        kind._make_api_call = kind._make_api_call.__wrapped__
        del aiobotocore.endpoint.AioEndpoint.prepare_request
        after = await call(site)
    return {
        "before": before,
        "during": during,
        "made_later": made_later,
        "function": function,
        "after": after,
    }


calls.run(main)
