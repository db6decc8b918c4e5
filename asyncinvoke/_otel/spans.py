"""Spans created from the events of executions, and the trace header sent to the function."""

import os
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
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._otel.metrics import Metrics
from asyncinvoke._statistics import outcome_of
from asyncinvoke._telemetry import attributes
from asyncinvoke._telemetry.trace import IN_LAMBDA, TRACE, of_this_run, with_other_fields
from asyncinvoke.errors import InvocationError

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
"""The semantic conventions that the attributes follow."""

MOST_ATTEMPTS = 64
"""The maximum number of attempts of an execution that get a span; the last ones are kept."""

_SUPPRESSED = "suppress_instrumentation"


class _OpenSpan:
    """An execution in progress: its span, and the context that was current before."""

    __slots__ = ("attempts", "before", "context", "header", "header_before", "span")

    def __init__(self, span: Span, before: Context, context: Context) -> None:
        self.span = span
        self.before = before
        self.context = context
        self.header: str | None = None
        self.header_before: str | None = None
        self.attempts: deque[Attempt] | None = None

    def restore(self) -> None:
        """Restore the previous context, unless other code has changed it in the meantime.

        It does not use tokens: an execution may be ended in another context, for example by the
        garbage collector, where a token is invalid and OpenTelemetry logs an error.
        """
        if contexts.get_current() is self.context:
            contexts.attach(self.before)
        if self.header is not None and TRACE.get() is self.header:
            TRACE.set(self.header_before)


class Spans:
    """Creates spans, and records durations while their span is current.

    Args:
        provider: The tracer provider; by default the global one.
        metrics: Records the durations.
    """

    def __init__(self, provider: TracerProvider | None, metrics: Metrics) -> None:
        self._tracer = trace.get_tracer("asyncinvoke", tracer_provider=provider, schema_url=SCHEMA)
        self._metrics = metrics
        self._open: dict[object, _OpenSpan] = {}
        self._in_lambda = IN_LAMBDA in os.environ
        self.takes: dict[type, Callable[[Any], None]] = {
            ExecutionStarted: self._started,
            AttemptStarted: self._attempt_started,
            AttemptEnded: self._attempt_ended,
            ExecutionEnded: self._ended,
        }
        """The handler of each type of event; other events are ignored."""

    @property
    def are_set_up(self) -> bool:
        """Whether the program has configured a provider."""
        return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)

    def handed_over(self, execution: object) -> None:
        """Restore the context of the caller for the block of a stream."""
        open_span = self._open.get(execution)
        if open_span is not None:
            open_span.restore()

    def _started(self, event: ExecutionStarted) -> None:
        before = contexts.get_current()
        operation = "InvokeWithResponseStream" if event.streams else "Invoke"
        span = self._tracer.start_span(
            f"Lambda.{operation}",
            kind=SpanKind.CLIENT,
            attributes=_of_execution(event, operation),
        )
        # Suppress other instrumentations in this context, where every request already has a span.
        context = contexts.set_value(_SUPPRESSED, True, trace.set_span_in_context(span, before))
        contexts.attach(context)
        open_span = self._open[event] = _OpenSpan(span, before, context)
        header = _header(span)
        if header is not None:
            open_span.header_before = replaced = TRACE.get()
            if replaced is None and self._in_lambda:
                replaced = of_this_run()
            open_span.header = with_other_fields(header, replaced)
            TRACE.set(open_span.header)

    def _attempt_started(self, event: AttemptStarted) -> None:
        self._metrics.waited(event.execution, event.waited)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        attempt = event.attempt
        self._metrics.attempt_ended(event.execution, attempt)
        open_span = self._open.get(event.execution)
        if open_span is None or (open_span.attempts is None and attempt.delay is None):
            return  # the only attempt, as usual
        if open_span.attempts is None:
            open_span.attempts = deque(maxlen=MOST_ATTEMPTS)
        open_span.attempts.append(attempt)

    def _ended(self, event: ExecutionEnded) -> None:
        open_span = self._open.pop(event.execution, None)
        if open_span is None:
            return
        # A meter or a span processor may raise; the caller's context is restored all the same.
        try:
            self._metrics.ended(event)
        finally:
            try:
                self._end(open_span, event.result)
            finally:
                open_span.restore()

    def _end(self, open_span: _OpenSpan, result: Response[Any] | InvocationError | None) -> None:
        span = open_span.span
        if span.is_recording():
            for attempt in open_span.attempts or ():
                self._attempt(attempt, open_span.context)
            span.set_attribute("asyncinvoke.outcome", str(outcome_of(result)))
            if result is not None:
                values = attributes.of_result(result)
                span.set_attributes(values)
                if attributes.ERROR in values:
                    # No description, since it could quote the output of a function.
                    span.set_status(StatusCode.ERROR)
        span.end()

    def _attempt(self, attempt: Attempt, context: Context) -> None:
        """Create the span of a completed attempt."""
        values = attributes.of_attempt(attempt) | {attributes.WAITED: attempt.waited}
        if attempt.number > 1:
            values["http.request.resend_count"] = attempt.number - 1
        span = self._tracer.start_span(
            f"attempt {attempt.number}",
            context=context,
            attributes=values,
            start_time=int(attempt.started * 1e9),
        )
        if attributes.ERROR in values:
            span.set_status(StatusCode.ERROR)
        span.end(int((attempt.started + attempt.elapsed) * 1e9))


def _of_execution(event: ExecutionStarted, operation: str) -> dict[str, Any]:
    values = {
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
    return attributes.there(values)


def _header(span: Span) -> str | None:
    """Return the AWS trace header for a span, if the span is valid."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    trace_id = f"{context.trace_id:032x}"
    return (
        f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={context.span_id:016x};"
        f"Sampled={int(context.trace_flags.sampled)}"
    )
