"""The totals of statistics, events, metrics and endpoint agree, whatever happens."""

import contextlib
from collections import Counter
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tenacity import stop_after_attempt, wait_fixed

from asyncinvoke import (
    AttemptStarted,
    Backoff,
    ExecutionEnded,
    ExecutionOutcome,
    ExecutionStarted,
    FixedLimit,
    InvocationError,
    Invoker,
    RetryPolicy,
)
from asyncinvoke.local import Reset, Step, Truncated, error, function_error, throttle
from asyncinvoke.otel import OpenTelemetry
from asyncinvoke.testing import FakeLambda, InstantClock

STEPS: dict[str, Step | None] = {
    "nothing": None,
    "throttle": throttle("ReservedFunctionConcurrentInvocationLimitExceeded"),
    "another throttle": throttle("CallerRateLimitExceeded"),
    "a long throttle": throttle(retry_after="100"),
    "service": error(500, "ServiceException"),
    "not ready": error(409, "SnapStartNotReadyException"),
    "refused": error(403, "AccessDeniedException"),
    "reset": Reset(),
    "truncated": Truncated(),
    "function": function_error("ValueError", "no"),
}
SOON = Backoff(wait=wait_fixed(1), stop=stop_after_attempt(3))
POLICY = RetryPolicy(throttled=SOON, not_ready=SOON, service=SOON, transport=SOON)
THROTTLES = {name for name in STEPS if "throttle" in name}


class ObservedInvoker:
    """A fake with functions of each kind, an invoker on it, and ways to call them."""

    def __init__(self) -> None:
        self.fake = FakeLambda({"f": echo, "chunks": chunks, "hang": self._hang})
        self.counted = Counter[str]()
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self._hanging: anyio.CancelScope | None = None
        self._hangs = anyio.Event()
        hook = OpenTelemetry(meter_provider=self.meters)
        self.invoker = Invoker(
            transport=self.fake,
            clock=InstantClock(),
            limit=FixedLimit(20),
            retry=POLICY,
            idempotent=True,
            timeout=60,
            hooks=[hook, self._hear],
        )

    def _hear(self, event: object) -> None:
        self.counted[type(event).__name__] += 1

    async def _hang(self, event: Any, _: Any) -> None:
        if self._hanging is not None:
            self._hanging.cancel()
        self._hangs.set()
        await anyio.sleep_forever()

    async def invoke(self) -> None:
        await self.invoker.invoke("f", 1)

    async def keep(self) -> None:
        await self.invoker.invoke("f:live", 1, raise_on_function_error=False)

    async def event(self) -> None:
        await self.invoker.send_event("f", 1)

    async def dry_run(self) -> None:
        await self.invoker.dry_run("f", 1)

    async def invalid(self) -> None:
        with contextlib.suppress(ValueError):
            await self.invoker.invoke("f", {1})

    async def stream(self) -> None:
        async with self.invoker.stream("chunks") as stream:
            [_ async for _ in stream]

    async def leave(self) -> None:
        async with self.invoker.stream("chunks") as stream:
            await anext(stream)

    async def cancel(self) -> None:
        with anyio.CancelScope() as self._hanging:
            await self.invoker.invoke("hang")
        self._hanging = None

    async def map(self) -> None:
        async with self.invoker.map("f", range(5), concurrency=3, retry=POLICY) as run:
            [_ async for _ in run]

    async def batches(self) -> None:
        async with self.invoker.map("f", range(5), batch=2, retry=POLICY) as run:
            [_ async for _ in run]

    async def close(self) -> None:
        """Leave the block of the invoker while a call is in progress."""
        self._hangs = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(self._closed)
            await self._hangs.wait()
            await self.invoker.__aexit__(None, None, None)

    async def _closed(self) -> None:
        with pytest.raises(InvocationError):
            await self.invoker.invoke("hang", timeout=1000)


async def echo(event: Any, _: Any) -> Any:
    return event


async def chunks(event: Any, _: Any) -> Any:
    yield "one"
    yield "two"


WAYS = (
    *(
        ObservedInvoker.invoke,
        ObservedInvoker.keep,
        ObservedInvoker.event,
        ObservedInvoker.dry_run,
        ObservedInvoker.invalid,
    ),
    *(
        ObservedInvoker.stream,
        ObservedInvoker.leave,
        ObservedInvoker.cancel,
        ObservedInvoker.map,
        ObservedInvoker.batches,
    ),
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    storm=st.lists(
        st.tuples(st.sampled_from(WAYS), st.lists(st.sampled_from(sorted(STEPS)), max_size=4)),
        max_size=6,
    )
)
@settings(max_examples=40)
def test_all_sums_agree(backend: str, storm: list[Any]) -> None:
    async def play() -> None:
        observed, played = ObservedInvoker(), Counter[str]()
        async with observed.invoker:
            for way, steps in storm:
                faults = {
                    number: observed.fake.fault(step, count=1)
                    for number, name in enumerate(steps)
                    if (step := STEPS[name]) is not None
                }
                with contextlib.suppress(InvocationError):
                    await way(observed)
                for number, fault in faults.items():
                    played[steps[number]] += fault.played
                    fault.remove()
            await observed.close()
        check(observed, played)
        observed.meters.shutdown()

    anyio.run(play, backend=backend)


def check(observed: ObservedInvoker, played: Counter[str]) -> None:
    found, endpoint = observed.invoker.statistics(), observed.fake.statistics()
    assert (found.in_flight, found.waiting) == (0, 0)
    assert found.attempts == endpoint.invocations == observed.counted[AttemptStarted.__name__]
    assert sum(found.throttles.values()) == sum(played[name] for name in THROTTLES)
    assert sum(found.executions.values()) == found.calls
    assert observed.counted[ExecutionStarted.__name__] == observed.counted[ExecutionEnded.__name__]
    assert found.calls == observed.counted[ExecutionStarted.__name__]
    # Each execution reaches its first attempt here, because no limit is reached.
    assert found.retries == found.attempts - found.calls
    by_outcome = Counter[Any]()
    for function in found.functions:
        by_outcome.update(function.executions)
        ended = sum(function.executions.values())
        assert function.latency_count == ended - function.executions.get(
            ExecutionOutcome.CANCELLED, 0
        )
    assert by_outcome == found.executions

    data = observed.reader.get_metrics_data()
    assert data is not None
    sums = Counter[str]()
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        points: list[Any] = list(metric.data.data_points)
        for point in points:
            sums[metric.name] += point.count if hasattr(point, "count") else point.value
    assert sums["asyncinvoke.attempts"] == sums["asyncinvoke.permit.wait"] == found.attempts
    assert sums["asyncinvoke.executions"] == sums["asyncinvoke.execution.duration"] == found.calls
    assert sums["asyncinvoke.throttles"] == sum(found.throttles.values())
    assert sums["asyncinvoke.retries"] == found.retries
