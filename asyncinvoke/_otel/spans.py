"""Spans made from the events of executions, and the trace header sent to the function."""

from collections import deque
from collections.abc import Callable
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider

from asyncinvoke._engine.events import (
    AttemptEnded,
    AttemptStarted,
    ExecutionEnded,
    ExecutionStarted,
)
from asyncinvoke._model.response import Attempt
from asyncinvoke._otel.metrics import Metrics
from asyncinvoke._statistics import outcome_of
from asyncinvoke._telemetry import attributes
from asyncinvoke._telemetry.trace import TRACE

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
"""The semantic conventions that the attributes follow."""

MOST_ATTEMPTS = 64
"""How many attempts of an execution have a span, the last ones."""

_SUPPRESSED = "suppress_instrumentation"


class _UnderWay:
    """An execution that is under way: its span, and what was current before."""

    __slots__ = ("attempts", "before", "context", "header", "header_before", "span")

    def __init__(self, span: Span, before: Context, context: Context) -> None:
        self.span = span
        self.before = before
        self.context = context
        self.header: str | None = None
        self.header_before: str | None = None
        self.attempts: deque[Attempt] | None = None

    def restore(self) -> None:
        """Make current again what was, unless somebody else has changed that meanwhile.

        Not by tokens: whatever ends an execution, such as a garbage collector, may be in a context
        of its own, where a token is worth nothing and OpenTelemetry logs an error.
        """
        if contexts.get_current() is self.context:
            contexts.attach(self.before)
        if self.header is not None and TRACE.get() is self.header:
            TRACE.set(self.header_before)


class Spans:
    """Makes spans, and measures what metrics are made of.

    Args:
        provider: Where spans go; by default the global one.
        metrics: What durations are recorded with, while the span is current.
    """

    def __init__(self, provider: TracerProvider | None, metrics: Metrics) -> None:
        self._tracer = trace.get_tracer("asyncinvoke", tracer_provider=provider, schema_url=SCHEMA)
        self._metrics = metrics
        self._under_way: dict[object, _UnderWay] = {}
        self.takes: dict[type, Callable[[Any], None]] = {
            ExecutionStarted: self._started,
            AttemptStarted: self._attempt_started,
            AttemptEnded: self._attempt_ended,
            ExecutionEnded: self._ended,
        }
        """What takes each kind of event that there is something to be made of."""

    @property
    def are_set_up(self) -> bool:
        """Whether the program has a provider of its own."""
        return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)

    def handed_over(self, execution: object) -> None:
        """Give the block of a stream the context that it was entered with."""
        under_way = self._under_way.get(execution)
        if under_way is not None:
            under_way.restore()

    def _started(self, event: ExecutionStarted) -> None:
        before = contexts.get_current()
        operation = "InvokeWithResponseStream" if event.streams else "Invoke"
        span = self._tracer.start_span(
            f"Lambda.{operation}",
            kind=SpanKind.CLIENT,
            attributes=_of_execution(event, operation),
        )
        # Its own instrumentation is off: what is in this context is ours, and has its span.
        context = contexts.set_value(_SUPPRESSED, True, trace.set_span_in_context(span, before))
        contexts.attach(context)
        under_way = self._under_way[event] = _UnderWay(span, before, context)
        header = _header(span)
        if header is not None:
            under_way.header_before = TRACE.get()
            under_way.header = header
            TRACE.set(header)

    def _attempt_started(self, event: AttemptStarted) -> None:
        self._metrics.waited(event.execution, event.waited)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        attempt = event.attempt
        self._metrics.attempt_ended(event.execution, attempt)
        under_way = self._under_way.get(event.execution)
        if under_way is None or (under_way.attempts is None and attempt.delay is None):
            return  # the only one, as nearly all are
        if under_way.attempts is None:
            under_way.attempts = deque(maxlen=MOST_ATTEMPTS)
        under_way.attempts.append(attempt)

    def _ended(self, event: ExecutionEnded) -> None:
        under_way = self._under_way.pop(event.execution, None)
        if under_way is None:
            return
        span, result = under_way.span, event.result
        self._metrics.ended(event)
        if span.is_recording():
            for attempt in under_way.attempts or ():
                self._attempt(attempt, under_way.context)
            span.set_attribute("asyncinvoke.outcome", str(outcome_of(result)))
            if result is not None:
                said = attributes.of_result(result)
                span.set_attributes(said)
                if attributes.ERROR in said:
                    # Without a description, which might quote what a function says.
                    span.set_status(StatusCode.ERROR)
        span.end()
        under_way.restore()

    def _attempt(self, attempt: Attempt, context: Context) -> None:
        """Make the span of an attempt, after the fact."""
        said = attributes.of_attempt(attempt) | {attributes.WAITED: attempt.waited}
        if attempt.number > 1:
            said["http.request.resend_count"] = attempt.number - 1
        span = self._tracer.start_span(
            f"attempt {attempt.number}",
            context=context,
            attributes=said,
            start_time=int(attempt.started * 1e9),
        )
        if attributes.ERROR in said:
            span.set_status(StatusCode.ERROR)
        span.end(int((attempt.started + attempt.elapsed) * 1e9))


def _of_execution(event: ExecutionStarted, operation: str) -> dict[str, Any]:
    said = {
        "rpc.system": "aws-api",
        "rpc.service": "Lambda",
        "rpc.method": operation,
        "cloud.region": event.region,
        "faas.invoked_provider": "aws",
        "faas.invoked_region": event.region,
        attributes.NAME: event.name,
        attributes.QUALIFIER: event.qualifier,
        "asyncinvoke.invocation_type": str(event.invocation_type),
    }
    return attributes.there(said)


def _header(span: Span) -> str | None:
    """Return what tells AWS of a span, if it is one."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    trace_id = f"{context.trace_id:032x}"
    return (
        f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={context.span_id:016x};"
        f"Sampled={int(context.trace_flags.sampled)}"
    )
