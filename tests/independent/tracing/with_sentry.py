"""sentry-sdk as `init` sets it up by default, and without its boto3 integration."""

import sys
from typing import Any

import calls
import sentry_sdk
from sentry_sdk.integrations.boto3 import Boto3Integration
from sentry_sdk.transport import Transport

spans: list[calls.Span] = []


class SpanRecorder(Transport):
    """Records the spans that would be sent to Sentry."""

    def capture_envelope(self, envelope: Any) -> None:
        """Record the spans of a transaction."""
        transaction = envelope.get_transaction_event()
        for span in (transaction or {}).get("spans", ()):
            spans.append(
                {
                    "name": span["op"],
                    "origin": span["origin"],
                    "status": span.get("status"),
                    "span_id": span["span_id"],
                }
            )


async def call(site: calls.Site) -> calls.Facts:
    """Call in a transaction, as an instrumented server does."""
    with (
        sentry_sdk.isolation_scope() as scope,
        sentry_sdk.start_transaction(name="caller") as transaction,
    ):
        facts = await site.call([])
        crumbs = [dict(crumb) for crumb in scope._breadcrumbs]
    taken = spans.copy()
    spans.clear()
    return {
        **facts,
        "spans": taken,
        "trace_id": transaction.trace_id,
        "crumbs": [sorted(crumb.get("data", {})) for crumb in crumbs if crumb["type"] == "http"],
        "data": sorted(transaction._data),
    }


async def main() -> calls.Facts:
    """Start Sentry before a client is made, as programs do."""
    disabled = [Boto3Integration()] if "without-boto3" in sys.argv else []
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:1/1",
        transport=SpanRecorder,
        traces_sample_rate=1.0,
        disabled_integrations=disabled,
    )
    async with calls.opened() as site:
        return {"during": await call(site)}


calls.run(main)
