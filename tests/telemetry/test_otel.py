"""OpenTelemetry, by its real SDK and in-memory exporters, against the local endpoint."""

import contextlib
import contextvars
import gc
import json
import subprocess
import sys
import weakref
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tenacity import stop_after_attempt, wait_none

from asyncinvoke import (
    Backoff,
    ExecutionEnded,
    ExecutionStarted,
    FixedLimit,
    FunctionError,
    InvocationError,
    InvocationType,
    Invoker,
    InvokerStatistics,
    RejectedError,
    RetryPolicy,
    trace_header,
)
from asyncinvoke._telemetry.trace import with_other_fields
from asyncinvoke.local import Answer, LocalLambda, Reset, function_error, throttle
from asyncinvoke.otel import OpenTelemetry
from asyncinvoke.testing import FakeLambda, InstantClock
from asyncinvoke.typing import Target
from tests.doubles.sessions import SESSION
from tests.doubles.waiting import settle

pytestmark = pytest.mark.anyio

RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
FUNCTIONS = Path(__file__).parents[1] / "independent"


class Backend:
    """An in-memory backend for exported spans and metrics."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer = self.tracers.get_tracer("the program")
        self.hook = OpenTelemetry(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def points(self, name: str) -> list[Any]:
        """The data points of one metric, as they are exported."""
        data = self._reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def values(self, name: str) -> dict[tuple[Any, ...], Any]:
        return {tuple(point.attributes.values()): point.value for point in self.points(name)}

    def close(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture
def backend() -> Any:
    backend = Backend()
    yield backend
    backend.close()
    assert trace_header.get() is None
    assert not trace.get_current_span().get_span_context().is_valid


def opened(url: str, backend: Backend, **options: Any) -> Invoker:
    options = {"clock": InstantClock(), "hooks": [backend.hook], **options}
    return Invoker(session=SESSION, endpoint_url=url, **options)


def faked(fake: FakeLambda, backend: Backend, **options: Any) -> Invoker:
    return Invoker(transport=fake, hooks=[backend.hook], clock=InstantClock(), **options)


def xray(span: ReadableSpan) -> str:
    found = span.get_span_context()
    assert found is not None
    digits = f"{found.trace_id:032x}"
    return f"Root=1-{digits[:8]}-{digits[8:]};Parent={found.span_id:016x};Sampled=1"


async def test_a_call_is_a_client_span_of_the_callers_trace_that_the_function_sees(
    backend: Backend, transport: str
) -> None:
    async with LocalLambda() as local, opened(local.url, backend, transport=transport) as invoker:
        local.function("trace", "lambda_functions:trace", directory=FUNCTIONS, timeout=60)
        with backend.tracer.start_as_current_span("a request") as outer:
            response = await invoker.invoke("trace", qualifier="$LATEST")
            assert trace.get_current_span() is outer
    span, request = backend.spans
    assert (span.name, span.kind) == ("Lambda.Invoke", SpanKind.CLIENT)
    assert span.parent == request.get_span_context()
    assert span.status.status_code is StatusCode.UNSET
    assert response.json() == xray(span)
    assert dict(span.attributes or {}) == {
        "rpc.system": "aws-api",
        "rpc.service": "Lambda",
        "rpc.method": "Invoke",
        "cloud.region": "us-east-1",
        "faas.invoked_provider": "aws",
        "faas.invoked_region": "us-east-1",
        "faas.invoked_name": "trace",
        "asyncinvoke.qualifier": "$LATEST",
        "asyncinvoke.invocation_type": "RequestResponse",
        "asyncinvoke.outcome": "succeeded",
        "asyncinvoke.attempts": 1,
        "aws.request_id": response.request_id,
        "http.response.status_code": 200,
    }


async def test_several_attempts_are_children_that_lie_within_the_call(backend: Backend) -> None:
    async with LocalLambda() as local, opened(local.url, backend, clock=None) as invoker:
        local.function("f", lambda event, _: event)
        local.fault(throttle(RESERVED), count=1)
        soon = RetryPolicy(throttled=Backoff(wait=wait_none(), stop=stop_after_attempt(3)))
        response = await invoker.invoke("f", 1, retry=soon)
    first, second, call = backend.spans
    assert [span.name for span in backend.spans] == ["attempt 1", "attempt 2", "Lambda.Invoke"]
    assert first.parent == second.parent == call.get_span_context()
    assert first.status.status_code is StatusCode.ERROR
    message = dict(first.attributes or {})
    assert message["error.type"] == "TooManyRequestsException"
    assert message["asyncinvoke.throttle.reason"] == RESERVED
    assert message["asyncinvoke.retry.delay"] == response.attempts[0].delay
    assert message["asyncinvoke.delivery"] == "rejected"
    assert message["http.response.status_code"] == 429
    assert (second.attributes or {})["http.request.resend_count"] == 1
    assert second.status.status_code is StatusCode.UNSET
    # A failed attempt that was retried is no error of the call.
    assert call.status.status_code is StatusCode.UNSET
    assert (call.attributes or {})["asyncinvoke.attempts"] == 2
    for span, attempt in zip((first, second), response.attempts, strict=True):
        assert span.start_time is not None
        assert span.end_time is not None
        lasted = (span.end_time - span.start_time) / 1e9
        assert lasted == pytest.approx(attempt.elapsed, abs=1e-6)
    # Spans and attempts use the same clock, read at two places.
    assert first.end_time is not None
    assert second.start_time is not None
    assert first.end_time <= second.start_time + 1_000_000


async def test_an_attempt_that_failed_without_a_code_is_an_error_of_its_kind(
    backend: Backend,
) -> None:
    fake = FakeLambda({"f": lambda event, _: event})
    fake.fault(function_error("Busy"), count=1)
    again = RetryPolicy(function=Backoff(wait=wait_none(), stop=stop_after_attempt(2)))
    async with faked(fake, backend) as invoker:
        await invoker.invoke("f", 1, retry=again)
    first, second, _ = (dict(span.attributes or {}) for span in backend.spans)
    assert (first["error.type"], second.get("error.type")) == ("function", None)
    assert backend.spans[0].status.status_code is StatusCode.ERROR
    assert (first.get("http.request.resend_count"), second["http.request.resend_count"]) == (
        None,
        1,
    )
    points = backend.points("asyncinvoke.attempt.duration")
    assert {point.attributes.get("error.type") for point in points} == {"function", None}


async def test_a_failed_span_has_the_error_and_the_delivery(backend: Backend) -> None:
    async with LocalLambda() as local, opened(local.url, backend) as invoker:

        def broken(event: Any, _: Any) -> None:
            raise LookupError(f"attacked {event}")

        local.function("broken", broken)
        local.function("lost", lambda event, _: event)
        local.fault(Reset(), function_name="lost")
        with pytest.raises(FunctionError):
            await invoker.invoke("broken", "attacked-payload")
        await invoker.invoke("broken", "attacked-payload", raise_on_function_error=False)
        with pytest.raises(InvocationError):
            await invoker.invoke("lost", "attacked-payload")
        with pytest.raises(RejectedError):
            await invoker.invoke("nowhere", "attacked-payload")
    raised, returned, lost, refused = backend.named("Lambda.Invoke")
    assert {span.status.status_code for span in backend.spans} == {StatusCode.ERROR}
    facts = [dict(span.attributes or {}) for span in (raised, returned, lost, refused)]
    assert [each["error.type"] for each in facts] == [
        "LookupError",
        "Unhandled",
        "ConnectionLost",
        "ResourceNotFoundException",
    ]
    assert [each.get("asyncinvoke.delivery") for each in facts] == [
        "executed",
        None,
        "unknown",
        "rejected",
    ]
    assert facts[2]["asyncinvoke.gave_up"] == "delivery_unknown"
    outcomes = [each["asyncinvoke.outcome"] for each in facts]
    assert outcomes == ["function", "function", "transport", "rejected"]
    assert not any("attacked" in span.to_json() for span in backend.spans)


async def test_a_cancelled_call_ends_its_span_and_leaves_nothing_current(
    backend: Backend,
) -> None:
    fake = FakeLambda()

    async def slow(event: Any, _: Any) -> None:
        await anyio.sleep_forever()

    fake.function("slow", slow)
    async with faked(fake, backend) as invoker:
        before = context.get_current()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def cancel() -> None:
                    await settle()
                    scope.cancel()

                group.start_soon(cancel)
                await invoker.invoke("slow")
        assert context.get_current() == before
    (span,) = backend.spans
    assert (span.attributes or {})["asyncinvoke.outcome"] == "cancelled"
    assert span.status.status_code is StatusCode.UNSET


async def test_all_spans_of_a_map_are_children_of_the_callers(backend: Backend) -> None:
    fake = FakeLambda({"f": lambda event, _: event})
    async with faked(fake, backend) as invoker:
        with backend.tracer.start_as_current_span("a job") as job:
            async with invoker.map("f", range(50), concurrency=7) as run:
                assert [outcome.ok async for outcome in run] == [True] * 50
    spans = backend.named("Lambda.Invoke")
    assert len(spans) == 50
    assert all(span.parent == job.get_span_context() for span in spans)


async def chunks(event: Any, _: Any) -> Any:
    for text in ("one", "two"):
        yield text


async def test_the_span_of_a_stream_lasts_to_its_last_chunk_and_the_block_has_its_own_context(
    backend: Backend,
) -> None:
    async with faked(FakeLambda({"f": chunks}), backend) as invoker:
        with backend.tracer.start_as_current_span("a request") as request:
            current = context.get_current()
            async with invoker.stream("f") as stream:
                # Spans of the HTTP request belong to the call, and other clients are traced.
                assert trace.get_current_span() is request
                assert context.get_current() is current
                assert trace_header.get() is None
                await anext(stream)
                assert not backend.named("Lambda.InvokeWithResponseStream")
                assert [chunk async for chunk in stream] == [b"two"]
                (span,) = backend.spans
    assert span.name == "Lambda.InvokeWithResponseStream"
    assert span.parent == request.get_span_context()
    assert (span.attributes or {})["asyncinvoke.outcome"] == "succeeded"
    (point,) = backend.points("asyncinvoke.execution.duration")
    assert point.attributes["rpc.method"] == "InvokeWithResponseStream"


async def test_streams_that_end_in_any_order_leave_nothing_current(backend: Backend) -> None:
    async with faked(FakeLambda({"f": chunks}), backend) as invoker:
        before = context.get_current()
        first, second = invoker.stream("f"), invoker.stream("f")
        await first.__aenter__()
        await second.__aenter__()
        await first.__aexit__(None, None, None)
        await second.__aexit__(None, None, None)
        assert context.get_current() is before
    assert [(span.attributes or {})["asyncinvoke.outcome"] for span in backend.spans] == [
        "cancelled"
    ] * 2


async def test_a_trace_that_the_caller_has_set_is_there_again_after_the_call(
    backend: Backend,
) -> None:
    fake = FakeLambda({"f": lambda event, _: trace_header.get()})
    token = trace_header.set("Root=1-mine")
    async with faked(fake, backend) as invoker:
        seen = (await invoker.invoke("f")).json()
        assert trace_header.get() == "Root=1-mine"
    trace_header.reset(token)
    assert seen == xray(backend.spans[0])


async def test_what_hooks_log_is_logged_within_the_span(backend: Backend) -> None:
    current: list[Any] = []

    def record(event: object) -> None:
        current.append(trace.get_current_span().get_span_context())

    fake = FakeLambda({"f": lambda event, _: event})
    async with Invoker(transport=fake, hooks=[backend.hook, record]) as invoker:
        await invoker.invoke("f")
    (span,) = backend.spans
    assert current[:3] == [span.get_span_context()] * 3


async def test_metrics_are_durations_of_calls_attempts_and_waits(backend: Backend) -> None:
    clock = InstantClock()

    async def work(event: Any, _: Any) -> None:
        await clock.sleep(2)

    fake = FakeLambda({"work": work, "f": lambda event, _: event})
    fake.fault(Answer(status_code=500, payload=b"{}"), function_name="f", count=1)
    async with Invoker(
        transport=fake, hooks=[backend.hook], clock=clock, limit=FixedLimit(1)
    ) as invoker:
        async with anyio.create_task_group() as group:
            group.start_soon(invoker.invoke, "work")
            group.start_soon(invoker.invoke, "work")
        await invoker.invoke("f", idempotent=True)
    counted = Counter[tuple[Any, ...]]()
    for point in backend.points("asyncinvoke.execution.duration"):
        assert point.explicit_bounds[0] == 0.005
        assert point.explicit_bounds[-1] == 900
        counted[point.attributes["faas.invoked_name"], point.attributes["asyncinvoke.outcome"]] = (
            point.count
        )
        assert point.attributes["rpc.method"] == "Invoke"
    assert counted == {("work", "succeeded"): 2, ("f", "succeeded"): 1}
    attempts = {
        (point.attributes["faas.invoked_name"], point.attributes.get("error.type")): point.count
        for point in backend.points("asyncinvoke.attempt.duration")
    }
    assert attempts == {("work", None): 2, ("f", "500"): 1, ("f", None): 1}
    (wait,) = (
        point
        for point in backend.points("asyncinvoke.permit.wait")
        if point.attributes["faas.invoked_name"] == "work"
    )
    assert wait.count == 2
    assert wait.sum >= 2


async def test_error_types_without_end_are_one_series(backend: Backend) -> None:
    names = [f"error-{number}" for number in range(300)]
    fake = FakeLambda()
    async with faked(fake, backend, limit=FixedLimit(1)) as invoker:
        for name in [*names, *names]:
            fake.fault(function_error(name, "no"), count=1)
            with pytest.raises(FunctionError):
                await invoker.invoke("f")
    errors = {
        point.attributes["error.type"]: point.count
        for point in backend.points("asyncinvoke.execution.duration")
    }
    # One of the 256 is the failure of each attempt.
    assert errors == {**dict.fromkeys(names[:255], 2), "_OTHER": 2 * (300 - 255)}


async def test_counts_and_levels_are_those_of_all_invokers_and_never_go_back(
    backend: Backend,
) -> None:
    fake = FakeLambda({"f": lambda event, _: event})
    fake.fault(throttle(RESERVED), count=1)
    for round_ in (1, 2):
        async with faked(fake, backend, limit=10) as one, faked(fake, backend, limit=10) as two:
            await one.invoke("f", 1, tenant_id="secret-tenant")
            await two.invoke("123456789012:function:f:live", 1)
            assert backend.values("asyncinvoke.attempts") == {(): 2 * round_ + 1}
            limits = backend.values("asyncinvoke.limit")
            assert limits["caller", ""] == 20
            assert ("function", "f") in limits
            assert "secret-tenant" not in repr(limits)
            assert set(backend.values("asyncinvoke.in_flight").values()) == {0}
        assert backend.values("asyncinvoke.attempts") == {(): 2 * round_ + 1}
    assert backend.values("asyncinvoke.executions") == {("f", "succeeded"): 4}
    assert backend.values("asyncinvoke.retries") == {(): 1}
    assert backend.values("asyncinvoke.throttles") == {(RESERVED,): 1}
    assert backend.points("asyncinvoke.limit") == []


async def test_hooks_of_one_provider_are_counted_together(backend: Backend) -> None:
    """An SDK only calls the first of several instruments of the same name."""
    fake = FakeLambda({"f": lambda event, _: event})
    for number in (1, 2, 3):
        backend.hook = OpenTelemetry(tracer_provider=backend.tracers, meter_provider=backend.meters)
        async with faked(fake, backend, limit=10) as invoker:
            await invoker.invoke("f")
            assert backend.values("asyncinvoke.attempts") == {(): number}
            assert backend.values("asyncinvoke.limit")["caller", ""] == 10
    assert backend.values("asyncinvoke.executions") == {("f", "succeeded"): 3}


def test_hooks_made_before_and_after_the_sdk_is_set_up_are_counted_together() -> None:
    code = """
import anyio
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from asyncinvoke import Invoker
from asyncinvoke.otel import OpenTelemetry
from asyncinvoke.testing import FakeLambda

fake, reader, hooks = FakeLambda({"f": lambda event, _: event}), InMemoryMetricReader(), []

async def call():
    hooks.append(OpenTelemetry())
    async with Invoker(transport=fake, hooks=hooks[-1:]) as invoker:
        await invoker.invoke("f")

OpenTelemetry(meter_provider=metrics.NoOpMeterProvider())
anyio.run(call)
anyio.run(call)
provider = MeterProvider([reader], shutdown_on_exit=False)
metrics.set_meter_provider(provider)
anyio.run(call)
OpenTelemetry(meter_provider=provider)
anyio.run(call)
(scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
points = {metric.name: metric.data.data_points[0] for metric in scope.metrics}
print(points["asyncinvoke.attempts"].value, points["asyncinvoke.execution.duration"].count)
provider.shutdown()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Calls made before there was an SDK are in the counts, but in no histogram.
    assert (done.stdout, done.stderr) == ("4 2\n", "")


async def test_no_counter_falls_where_an_attempt_is_not_counted_any_more(backend: Backend) -> None:
    class Counting:
        attempts = 0

        def statistics(self) -> InvokerStatistics:
            return replace(idle, attempts=self.attempts)

    async with Invoker(transport=FakeLambda()) as invoker:
        idle = invoker.statistics()
    counting = Counting()
    backend.hook.opened(counting.statistics)
    seen = []
    for counting.attempts in (0, 5, 4, 5, 6):
        seen.append(backend.values("asyncinvoke.attempts"))
    backend.hook.closed(counting.statistics)
    seen.append(backend.values("asyncinvoke.attempts"))
    assert seen == [{(): number} for number in (0, 5, 5, 5, 6, 6)]


async def test_an_invoker_that_is_dropped_is_not_kept_and_its_counts_do_not_go_back(
    backend: Backend,
) -> None:
    for number in (1, 2, 3):
        invoker = faked(FakeLambda({"f": lambda event, _: event}), backend)
        await invoker.__aenter__()
        await invoker.invoke("f")
        assert backend.values("asyncinvoke.attempts") == {(): number}
        gone = weakref.ref(invoker)
        del invoker
        gc.collect()
        assert gone() is None
        assert backend.points("asyncinvoke.limit") == []
        assert backend.values("asyncinvoke.attempts") == {(): number}


async def test_a_provider_that_is_dropped_is_not_kept(backend: Backend) -> None:
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    OpenTelemetry(meter_provider=provider)
    gone = weakref.ref(provider)
    provider.shutdown()
    del provider
    gc.collect()
    assert gone() is None


async def test_an_invoker_that_is_opened_again_is_not_counted_twice(backend: Backend) -> None:
    invoker = faked(FakeLambda({"f": lambda event, _: event}), backend)
    for number in (1, 2, 3):
        async with invoker:
            await invoker.invoke("f")
            assert backend.values("asyncinvoke.attempts") == {(): number}
        assert backend.values("asyncinvoke.attempts") == {(): number}


async def test_without_an_sdk_nothing_is_made_and_no_trace_is_sent() -> None:
    fake = FakeLambda({"f": lambda event, _: trace_header.get()})
    async with Invoker(transport=fake, hooks=[OpenTelemetry()]) as invoker:
        assert (await invoker.invoke("f")).json() is None


async def test_an_sdk_that_is_set_up_later_is_found_within_a_second(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("asyncinvoke.otel.monotonic", lambda: now)
    hook = OpenTelemetry()
    heard: list[type] = []
    take = hook._spans.takes
    hook._spans.takes = dict.fromkeys(take, heard.append)
    async with Invoker(
        transport=FakeLambda({"f": chunks}), hooks=[hook], clock=InstantClock()
    ) as invoker:
        await invoker.dry_run("f")
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: backend.tracers)
        await invoker.dry_run("f")
        assert heard == []
        now += 1
        await invoker.dry_run("f")
        assert len(heard) == 4


class BrokenError(Exception):
    """An error raised by a span processor."""


class BrokenProcessor(SpanProcessor):
    """A span processor that fails at the start or the end of each span."""

    def __init__(self, at: str) -> None:
        self._at = at

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        if self._at == "start":
            raise BrokenError

    def on_end(self, span: ReadableSpan) -> None:
        if self._at == "end":
            raise BrokenError


@pytest.mark.parametrize("at", ["start", "end"])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_processor_that_raises_leaves_nothing_current(
    backend: Backend, at: str, fails: bool
) -> None:
    backend.tracers.add_span_processor(BrokenProcessor(at))
    fake = FakeLambda({"f": chunks})
    if fails:
        fake.fault(throttle(RESERVED))
    before = context.get_current()
    async with faked(fake, backend) as invoker:
        with contextlib.suppress(InvocationError):
            await invoker.invoke("f")
        assert context.get_current() is before
        with contextlib.suppress(InvocationError):
            async with invoker.stream("f") as stream:
                [_ async for _ in stream]
        assert context.get_current() is before
    assert trace_header.get() is None


LINEAGE = "Lineage=1:f00d:0"


@pytest.mark.parametrize(
    ("replaced", "kept"),
    [
        (f"Root=1-a;Parent=b;Sampled=0;{LINEAGE}", f";{LINEAGE}"),
        (f"Self=1-c;{LINEAGE};root=1-a;parent=b;SAMPLED=1", f";Self=1-c;{LINEAGE}"),
        (f"{LINEAGE};Long={'x' * 1000}", f";{LINEAGE}"),
        ("no-field;;=", ""),
    ],
)
async def test_the_trace_keeps_what_is_beside_the_span_in_the_one_that_it_replaces(
    backend: Backend, replaced: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In `Lineage`, AWS counts which functions invoke each other, and stops loops."""
    fake = FakeLambda({"f": lambda event, _: trace_header.get()})

    async def sent() -> object:
        hook = OpenTelemetry(tracer_provider=backend.tracers)
        async with Invoker(transport=fake, hooks=[hook]) as invoker:
            return (await invoker.invoke("f")).json()

    monkeypatch.setenv("_X_AMZN_TRACE_ID", replaced)
    assert await sent() == xray(backend.spans[-1])
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "caller")
    of_the_run = str(await sent())
    assert of_the_run == xray(backend.spans[-1]) + kept
    token = trace_header.set(of_the_run)
    assert await sent() == xray(backend.spans[-1]) + kept
    trace_header.reset(token)


def test_the_trace_keeps_as_much_as_can_be_sent() -> None:
    longest = f"a={'x' * 497}"
    assert with_other_fields("s" * 524, longest) == f"{'s' * 524};{longest}"
    assert with_other_fields("s" * 525, longest) == "s" * 525


def test_a_call_that_ends_in_another_context_leaves_its_own_alone(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """As when an event loop is gone, and the garbage collector closes its coroutines."""
    hook = backend.hook
    event = ExecutionStarted(
        target=Target(name="f"),
        region=None,
        invocation_type=InvocationType.REQUEST_RESPONSE,
        streams=False,
    )
    elsewhere = contextvars.copy_context()
    elsewhere.run(hook, event)
    with backend.tracer.start_as_current_span("a request") as request:
        hook(ExecutionEnded(execution=event, result=None, elapsed=1.0))
        assert trace.get_current_span() is request
    assert caplog.records == []
    assert [span.name for span in backend.spans] == ["Lambda.Invoke", "a request"]


async def test_a_span_that_is_not_sampled_is_passed_on_as_such() -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    fake = FakeLambda({"f": lambda event, _: trace_header.get()})
    hook = OpenTelemetry(tracer_provider=provider)
    async with Invoker(transport=fake, hooks=[hook]) as invoker:
        assert (await invoker.invoke("f")).json().endswith(";Sampled=0")


def test_without_the_extra_it_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import asyncinvoke.otel\n"
        "try:\n    asyncinvoke.otel.OpenTelemetry()\n"
        "except asyncinvoke.ConfigurationError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "asyncinvoke.otel needs opentelemetry-api: pip install 'asyncinvoke[otel]'\n"
    )
    assert json.dumps(done.stderr) == '""'
