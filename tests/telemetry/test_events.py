"""Hooks receive events of every execution, attempt and run, however it is made and ends."""

import dataclasses
import gc
import json
import logging
import pickle
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, get_args

import anyio
import pytest
from tenacity import stop_after_attempt, wait_fixed

import asyncinvoke
from asyncinvoke import (
    Attempt,
    AttemptEnded,
    AttemptStarted,
    Backoff,
    ConfigurationError,
    DeadlineExceededError,
    ExecutionEnded,
    ExecutionOutcome,
    ExecutionStarted,
    FixedLimit,
    FunctionError,
    InvalidRequestError,
    InvocationType,
    Invoker,
    LimitChanged,
    RejectedError,
    RetryPolicy,
    RunEnded,
    RunSample,
    RunStarted,
    ToleranceExceededError,
    TransportError,
)
from asyncinvoke._engine import events
from asyncinvoke._statistics import MOST_FUNCTIONS, InvokerStatistics, Tally
from asyncinvoke._telemetry.hooks import Instrument
from asyncinvoke.local import Answer, throttle
from asyncinvoke.otel import OpenTelemetry
from asyncinvoke.testing import FakeLambda, InstantClock
from asyncinvoke.typing import Event, Target
from tests.doubles.waiting import settle

pytestmark = pytest.mark.anyio

RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"


class EventRecorder:
    """A hook that records events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def check(self) -> None:
        """Check that everything that started has ended, once and in the right order."""
        under_way: dict[int, int] = {}
        for event in self.events:
            match event:
                case ExecutionStarted():
                    assert id(event) not in under_way
                    under_way[id(event)] = 0
                case AttemptStarted(execution=execution, number=number):
                    assert number in (under_way[id(execution)] + 1, under_way[id(execution)])
                    under_way[id(execution)] = number
                case AttemptEnded(execution=execution, attempt=attempt):
                    assert attempt.number == under_way[id(execution)]
                case ExecutionEnded(execution=execution, elapsed=elapsed):
                    assert elapsed >= 0
                    del under_way[id(execution)]
        assert not under_way


@pytest.fixture
def recorder() -> EventRecorder:
    return EventRecorder()


@pytest.fixture
def fake() -> FakeLambda:
    fake = FakeLambda({"echo": lambda event, _: event})

    def broken(event: Any, _: Any) -> None:
        raise ValueError("no")

    async def slow(event: Any, _: Any) -> None:
        await anyio.sleep_forever()

    async def chunks(event: Any, _: Any) -> Any:
        for text in ("one", "two"):
            yield text

    fake.function("broken", broken)
    fake.function("slow", slow)
    fake.function("chunks", chunks)
    return fake


def opened(fake: FakeLambda, *hooks: Callable[[Event], object], **options: Any) -> Invoker:
    return Invoker(transport=fake, hooks=hooks, **{"clock": InstantClock(), **options})


ONE_ATTEMPT = ["ExecutionStarted", "AttemptStarted", "AttemptEnded", "ExecutionEnded"]


async def test_a_call_is_an_execution_with_an_attempt(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    async with opened(fake, recorder) as invoker:
        response = await invoker.invoke(
            "arn:aws:lambda:eu-west-1:123456789012:function:echo", 1, qualifier="live"
        )
    assert recorder.names == ONE_ATTEMPT
    started, sent, attempt, ended = recorder.events
    assert isinstance(started, ExecutionStarted)
    assert started.function_name == "arn:aws:lambda:eu-west-1:123456789012:function:echo"
    assert (started.name, started.qualifier, started.region) == ("echo", "live", "eu-west-1")
    assert (started.invocation_type, started.streams) == ("RequestResponse", False)
    assert isinstance(sent, AttemptStarted)
    assert (sent.execution, sent.number, sent.waited) == (started, 1, 0.0)
    assert isinstance(attempt, AttemptEnded)
    assert attempt.attempt is response.attempts[0]
    assert isinstance(ended, ExecutionEnded)
    assert ended.result is response
    recorder.check()


@pytest.mark.parametrize(("way", "kind"), [("send_event", "Event"), ("dry_run", "DryRun")])
async def test_an_event_and_a_dry_run_emit_events_as_well(
    fake: FakeLambda, recorder: EventRecorder, way: str, kind: str
) -> None:
    async with opened(fake, recorder) as invoker:
        await getattr(invoker, way)("echo", 1)
        await getattr(invoker.function("echo"), way)(1)
    assert recorder.names == ONE_ATTEMPT * 2
    assert [event.invocation_type for event in recorder.of(ExecutionStarted)] == [kind] * 2
    recorder.check()


async def test_a_retry_is_two_attempts_and_the_first_has_the_reason(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    fake.fault(throttle(RESERVED), count=1)
    async with opened(fake, recorder) as invoker:
        response = await invoker.invoke("echo", 1)
    assert [each for each in recorder.names if each != "LimitChanged"] == [
        "ExecutionStarted",
        *["AttemptStarted", "AttemptEnded"] * 2,
        "ExecutionEnded",
    ]
    first, second = (event.attempt for event in recorder.of(AttemptEnded))
    assert (first.reason, second.delay) == (RESERVED, None)
    assert first.delay > 0
    assert response.attempts == (first, second)
    assert recorder.of(LimitChanged)
    recorder.check()


async def test_a_failure_is_reported_as_the_error_that_the_caller_gets(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    async with opened(fake, recorder) as invoker:
        with pytest.raises(FunctionError) as failed:
            await invoker.invoke("broken")
        with pytest.raises(RejectedError) as refused:
            await invoker.invoke("nowhere")
        kept = await invoker.invoke("broken", raise_on_function_error=False)
    results = [event.result for event in recorder.of(ExecutionEnded)]
    assert results == [failed.value, refused.value, kept]
    recorder.check()


async def test_a_deadline_is_reported_whatever_it_interrupts(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    async with opened(fake, recorder, limit=FixedLimit(1), clock=None) as invoker:
        # The first waits for an answer, the second for a permit.
        async with anyio.create_task_group() as group:
            group.start_soon(invoker.invoke, "slow")
            await settle()
            with pytest.raises(DeadlineExceededError):
                await invoker.invoke("echo", timeout=0.01)
            group.cancel_scope.cancel()
        with pytest.raises(DeadlineExceededError):
            await invoker.invoke("slow", timeout=0.01)
    waiting, cancelled, answering = recorder.of(ExecutionEnded)
    assert isinstance(waiting.result, DeadlineExceededError)
    assert cancelled.result is None
    assert isinstance(answering.result, DeadlineExceededError)
    assert not [
        event
        for event in recorder.of(AttemptStarted)
        if event.execution is waiting.execution  # it got no permit, so it was not sent
    ]
    recorder.check()


async def test_a_cancelled_execution_ends_without_a_result(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    async with opened(fake, recorder) as invoker, anyio.create_task_group() as group:
        group.start_soon(invoker.invoke, "slow")
        await settle()
        group.cancel_scope.cancel()
    assert recorder.names == ["ExecutionStarted", "AttemptStarted", "ExecutionEnded"]
    assert recorder.of(ExecutionEnded)[0].result is None


async def test_an_execution_ended_by_closing_the_invoker_is_reported_with_its_error(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    failed: list[BaseException] = []

    async def call(invoker: Invoker) -> None:
        with pytest.raises(TransportError) as closed:
            await invoker.invoke("slow")
        failed.append(closed.value)

    async with anyio.create_task_group() as group, opened(fake, recorder) as invoker:
        group.start_soon(call, invoker)
        await settle()
    assert [event.result for event in recorder.of(ExecutionEnded)] == failed
    recorder.check()


async def test_what_is_refused_before_it_is_sent_is_no_execution(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    async with opened(fake, recorder) as invoker:
        with pytest.raises(InvalidRequestError):
            await invoker.invoke("echo", {1, 2})
    assert recorder.events == []


async def test_a_stream_ends_with_its_last_chunk_not_with_its_block(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    async with opened(fake, recorder) as invoker, invoker.stream("chunks") as stream:
        assert recorder.names == ["ExecutionStarted", "AttemptStarted"]
        assert [chunk async for chunk in stream] == [b"one", b"two"]
        assert recorder.names == ONE_ATTEMPT
        assert recorder.of(ExecutionEnded)[0].result is stream.response
    assert recorder.names == ONE_ATTEMPT
    assert recorder.of(ExecutionStarted)[0].streams
    recorder.check()


async def test_a_stream_that_is_left_early_has_no_result(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    async with opened(fake, recorder) as invoker:
        async with invoker.stream("chunks") as stream:
            await anext(stream)
        (outcome,) = invoker.statistics().executions
    assert recorder.names == ["ExecutionStarted", "AttemptStarted", "ExecutionEnded"]
    assert recorder.of(ExecutionEnded)[0].result is None
    assert outcome is ExecutionOutcome.CANCELLED


async def test_a_stream_that_cannot_be_opened_is_reported_as_the_error_that_is_raised(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    fake.fault(throttle(RESERVED), count=1)
    async with opened(fake, recorder) as invoker:
        with pytest.raises(FunctionError) as failed:
            async with invoker.stream("broken"):
                pass
    assert [event.result for event in recorder.of(ExecutionEnded)] == [failed.value]
    assert [event.attempt.number for event in recorder.of(AttemptEnded)] == [1, 2]
    recorder.check()


@pytest.mark.parametrize("streams", [False, True])
async def test_an_attempt_has_ended_even_if_the_policy_that_is_asked_about_it_raises(
    fake: FakeLambda, recorder: EventRecorder, streams: bool
) -> None:
    def broken(_: object) -> float:
        raise ZeroDivisionError

    fake.fault(throttle(RESERVED))
    policy = RetryPolicy(throttled=Backoff(wait=broken, stop=stop_after_attempt(3)))
    async with opened(fake, recorder, retry=policy) as invoker:
        call = invoker.stream("echo").__aenter__() if streams else invoker.invoke("echo")
        with pytest.raises(ZeroDivisionError):
            await call
    (ended,) = recorder.of(AttemptEnded)
    assert (ended.attempt.reason, ended.attempt.delay) == (RESERVED, None)
    assert recorder.names[-2:] == ["AttemptEnded", "ExecutionEnded"]
    recorder.check()


async def test_a_map_is_a_run_with_an_execution_for_each_item(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    async with (
        opened(fake, recorder) as invoker,
        invoker.map("echo", [1, {2}, 3], concurrency=2, ordered=True) as run,
    ):
        outcomes = [outcome async for outcome in run]
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    counted = Counter(recorder.names)
    assert (counted["ExecutionStarted"], counted["ExecutionEnded"]) == (2, 2)
    assert recorder.names[0] == "RunStarted"
    assert recorder.names[-1] == "RunEnded"
    (started,), (ended,) = recorder.of(RunStarted), recorder.of(RunEnded)
    assert (started.function_name, started.concurrency, started.ordered) == ("echo", 2, True)
    assert ended.run is started
    assert (ended.statistics.succeeded, ended.statistics.failed) == (2, 1)
    recorder.check()


async def test_a_run_is_sampled_by_its_outcomes_at_most_once_a_second(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    clock = InstantClock()

    async def third_of_a_second(event: Any, _: Any) -> None:
        await clock.sleep(1 / 3)

    fake.function("work", third_of_a_second)
    async with (
        opened(fake, recorder, clock=clock) as invoker,
        invoker.map("work", range(9), concurrency=1) as run,
    ):
        async for _ in run:
            pass
    elapsed = [event.elapsed for event in recorder.of(RunSample)]
    # At least two; on a busy machine real time adds to the clock's.
    assert 2 <= len(elapsed) < 9
    assert all(later - earlier >= 1 for earlier, later in zip([0, *elapsed], elapsed, strict=False))
    seen = [event.statistics.succeeded for event in recorder.of(RunSample)]
    assert seen == sorted(set(seen))


async def test_a_run_that_is_left_early_ends_after_its_executions(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    async with opened(fake, recorder) as invoker, invoker.map("slow", range(3), concurrency=3):
        await settle()
    assert recorder.names[-1] == "RunEnded"
    assert Counter(recorder.names)["ExecutionEnded"] == 3
    recorder.check()


class BrokenError(Exception):
    """An error raised by a hook."""


@pytest.mark.parametrize("transport_fault", [False, True])
async def test_a_hook_that_raises_is_logged_once_and_changes_nothing(
    fake: FakeLambda,
    recorder: EventRecorder,
    caplog: pytest.LogCaptureFixture,
    transport_fault: bool,
) -> None:
    def broken(event: object) -> None:
        raise BrokenError("attacked-payload")

    def broken_too(event: object) -> None:
        raise BrokenError

    if transport_fault:
        fake.fault(throttle(RESERVED), count=1)
    caplog.set_level(logging.DEBUG, "asyncinvoke")
    async with opened(fake, broken, broken_too, recorder) as invoker:
        assert (await invoker.invoke("echo", 1)).json() == 1
        async with invoker.map("echo", [1, 2]) as run:
            assert [outcome.ok async for outcome in run] == [True, True]
        async with invoker.stream("chunks") as stream:
            assert [chunk async for chunk in stream] == [b"one", b"two"]
        assert invoker.statistics().in_flight == 0
    recorder.check()
    reported = [record for record in caplog.records if "a hook raised" in record.message]
    assert [record.levelname for record in reported] == ["ERROR"] * 2
    assert "broken, BrokenError at " in reported[0].message
    assert "attacked-payload" not in caplog.text


@pytest.mark.parametrize("others", [0, 1])
async def test_a_hook_whose_answer_would_have_to_be_awaited_is_named_once(
    fake: FakeLambda, recorder: EventRecorder, caplog: pytest.LogCaptureFixture, others: int
) -> None:
    hooks: list[Callable[[Event], object]] = [lambda event: waiting(event), *[recorder] * others]
    async with opened(fake, *hooks) as invoker:
        assert (await invoker.invoke("echo", 1)).json() == 1
        assert (await invoker.invoke("echo", 1)).json() == 1
    gc.collect()  # Python would warn that a coroutine was never awaited, an error here
    (reported,) = [
        record for record in caplog.records if "a hook gave a coroutine" in record.message
    ]
    assert reported.levelname == "ERROR"
    assert "<lambda>" in reported.message


async def test_the_result_of_a_hook_is_ignored_unless_it_is_awaitable(
    fake: FakeLambda, caplog: pytest.LogCaptureFixture
) -> None:
    class Awaitable:
        def __await__(self) -> Iterator[None]:
            yield

    def number(event: Event) -> int:
        return 5

    def later(event: Event) -> Awaitable:
        return Awaitable()

    async with opened(fake, number, later) as invoker:
        assert (await invoker.invoke("echo", 1)).json() == 1
    (reported,) = [record for record in caplog.records if "a hook gave" in record.message]
    assert "a hook gave a Awaitable" in reported.message
    assert "later" in reported.message


class UnusualError(BaseException):
    """An error that is neither an `Exception` nor a cancellation."""


async def streamed(invoker: Invoker) -> None:
    async with invoker.stream("chunks") as stream:
        async for _ in stream:
            pass


KINDS = [ExecutionStarted, AttemptStarted, AttemptEnded, ExecutionEnded, LimitChanged]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_an_error_that_leaves_a_hook_keeps_no_permit_and_the_end_is_reported(
    fake: FakeLambda, recorder: EventRecorder, kind: type[Any], way: str
) -> None:
    def raising_hook(event: object) -> None:
        if isinstance(event, kind):
            raise UnusualError

    ways = {"invoke": lambda invoker: invoker.invoke("echo", 1), "stream": streamed}
    fake.fault(throttle(RESERVED), count=1)
    async with opened(fake, recorder, raising_hook) as invoker:
        with pytest.raises(UnusualError):
            await ways[way](invoker)
        statistics = invoker.statistics()
        await invoker.drain()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)
    assert len(recorder.of(ExecutionEnded)) == 1


async def test_what_the_callers_own_policy_raises_ends_without_a_result(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    def broken(state: Any) -> float:
        raise BrokenError

    policy = RetryPolicy(throttled=Backoff(wait=broken, stop=stop_after_attempt(2)))
    fake.fault(throttle(RESERVED), count=1)
    async with opened(fake, recorder, retry=policy) as invoker:
        with pytest.raises(BrokenError):
            await invoker.invoke("echo")
    assert recorder.of(ExecutionEnded)[0].result is None


async def test_the_wait_for_a_permit_is_in_the_event(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    clock = InstantClock()

    async def work(event: Any, _: Any) -> None:
        await clock.sleep(2)

    fake.function("work", work)
    async with (
        opened(fake, recorder, clock=clock, limit=FixedLimit(1)) as invoker,
        anyio.create_task_group() as group,
    ):
        group.start_soon(invoker.invoke, "work")
        group.start_soon(invoker.invoke, "work")
    waited = sorted(event.waited for event in recorder.of(AttemptStarted))
    assert waited[0] == 0
    assert waited[1] >= 2
    assert {event.attempt.waited for event in recorder.of(AttemptEnded)} == set(waited)


def test_events_are_frozen_and_slotted() -> None:
    event = RunStarted(function_name="f", concurrency=1, ordered=False)
    events: list[Any] = list(get_args(Event))
    assert len(events) == 8
    assert {kind.__name__ for kind in events} <= set(asyncinvoke.__all__)
    for kind in events:
        assert kind.__dataclass_params__.frozen, kind
        assert "__dict__" not in dir(kind), kind
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.concurrency = 2  # type: ignore[misc]  # that is what must not be


def test_events_created_by_position_equal_those_created_by_keyword() -> None:
    target, kind = Target(name="f"), InvocationType.EVENT
    attempt = Attempt(number=1, started=0.0, elapsed=1.0)
    started = ExecutionStarted(
        target=target, region="eu-west-1", invocation_type=kind, streams=True
    )
    pairs: list[tuple[Any, Any]] = [
        (events.execution_started(target, "eu-west-1", kind, True), started),
        (
            events.attempt_started(started, 2, 0.5),
            AttemptStarted(execution=started, number=2, waited=0.5),
        ),
        (events.attempt_ended(started, attempt), AttemptEnded(execution=started, attempt=attempt)),
        (
            events.execution_ended(started, None, 2.0),
            ExecutionEnded(execution=started, result=None, elapsed=2.0),
        ),
    ]
    for made, usual in pairs:
        assert type(made) is type(usual)
        assert repr(made) == repr(usual)
        assert dataclasses.replace(made, **{f.name: getattr(usual, f.name) for f in fields(usual)})
        for field in fields(usual):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(made, field.name, None)


async def waiting(event: object) -> None:
    pass


@pytest.mark.parametrize(
    ("hooks", "says"),
    [
        (OpenTelemetry(), r"hooks must be a list of functions, not OpenTelemetry: hooks=\[...\]"),
        ([OpenTelemetry], r"hook OpenTelemetry is a class: OpenTelemetry\(\)"),
        (["watch"], "hook must be a function, not str"),
        ([waiting], "hook must be a plain function"),
        (None, "hooks must be a list of functions, not NoneType"),
        ([OpenTelemetry()] * 2, "hooks has OpenTelemetry and OpenTelemetry: each call would be"),
    ],
)
def test_invalid_hooks_are_refused_at_once(hooks: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Invoker(hooks=hooks)


def fails(seconds: float) -> RetryPolicy:
    return RetryPolicy(service=Backoff(wait=wait_fixed(seconds), stop=stop_after_attempt(3)))


async def test_statistics_count_executions_by_outcome_and_function(fake: FakeLambda) -> None:
    clock = InstantClock()
    retry = fails(5)
    async with opened(fake, clock=clock, retry=retry) as invoker:
        for _ in range(3):
            await invoker.invoke("echo", 1)
        await invoker.invoke("echo", 1, tenant_id="a")
        await invoker.invoke("echo", 1, qualifier="live")
        fake.fault(Answer(status_code=500, payload=b"{}"), count=1)
        slow = await invoker.invoke("echo", 1, idempotent=True)
        assert len(slow.attempts) == 2
        with pytest.raises(FunctionError):
            await invoker.invoke("broken")
        await invoker.invoke("broken", raise_on_function_error=False)
        with pytest.raises(RejectedError):
            await invoker.invoke("nowhere")
        statistics = invoker.statistics()
    assert statistics.executions == {"succeeded": 6, "function": 2, "rejected": 1}
    assert statistics.calls == sum(statistics.executions.values())
    by_function = {each.function: each for each in statistics.functions}
    assert set(by_function) == {"echo", "echo:live", "broken", "nowhere"}
    assert by_function["echo"].executions == {"succeeded": 5}
    assert by_function["echo"].latency_count == 5
    assert 5 <= by_function["echo"].latency_sum < 15
    assert by_function["broken"].executions == {"function": 2}


@pytest.mark.parametrize("of", ["invoker", "run"])
async def test_statistics_pickle_and_turn_into_json(fake: FakeLambda, of: str) -> None:
    fake.fault(throttle(RESERVED), count=1)
    async with opened(fake) as invoker, invoker.map("echo", range(3)) as run:
        [_ async for _ in run]
        with pytest.raises(FunctionError):
            await invoker.invoke("broken", tenant_id="a")
        statistics: Any = invoker.statistics() if of == "invoker" else run.statistics()
    assert pickle.loads(pickle.dumps(statistics)) == statistics
    plain = json.loads(json.dumps(dataclasses.asdict(statistics)))
    if of == "invoker":
        assert plain["executions"] == {"succeeded": 3, "function": 1}
        assert plain["throttles"] == {RESERVED: 1}
        functions = [(each["function"], each["latency_count"]) for each in plain["functions"]]
        assert functions == [("echo", 3), ("broken", 1)]
    else:
        assert (plain["succeeded"], plain["attempts"]) == (3, 4)


async def test_functions_without_end_are_counted_together(fake: FakeLambda) -> None:
    tally = Tally()
    for number in range(MOST_FUNCTIONS + 10):
        tally.of_function(f"f{number}").succeeded += 1
    functions = tally.functions()
    assert len(functions) == MOST_FUNCTIONS + 1
    assert functions[-1].function == ""
    assert functions[-1].executions == {"succeeded": 10}
    assert tally.executions() == {"succeeded": MOST_FUNCTIONS + 10}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_statistics_may_be_asked_for_in_another_thread(
    fake: FakeLambda, anyio_backend: str
) -> None:
    """Metric exporters do so; functions are added and forgotten meanwhile."""
    failed: list[BaseException] = []
    asked = 0
    is_over = threading.Event()

    def ask(invoker: Invoker) -> None:
        nonlocal asked
        try:
            while not is_over.is_set():
                assert invoker.statistics().limit == 1000
                asked += 1
        except BaseException as error:  # it is checked below
            failed.append(error)

    async with opened(fake) as invoker:
        thread = threading.Thread(target=ask, args=[invoker])
        switching = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            thread.start()
            number = 0
            while not failed and (number < 300 or asked < 30):
                number += 1
                account = f"{number:012}"
                fake.function(f"f{number}", pow)
                await invoker.dry_run(f"{account}:function:f{number}")
        finally:
            is_over.set()
            thread.join()
            sys.setswitchinterval(switching)
    assert not failed


async def test_the_tolerance_of_a_map_can_be_changed_with_a_hook(
    fake: FakeLambda, recorder: EventRecorder
) -> None:
    async with opened(fake, recorder) as invoker:
        async with invoker.map("broken", range(50), concurrency=1) as run:
            assert not (await anext(run)).ok
            run.set_tolerance(1)
            with pytest.raises(ToleranceExceededError):
                async for _ in run:
                    pass
        assert invoker.statistics().attempts < 50
    recorder.check()


class BrokenInstrument(Instrument):
    """An instrument that raises whenever an invoker opens or closes."""

    def opened(self, statistics: Callable[[], InvokerStatistics]) -> None:
        raise BrokenError("attacked-opening")

    def closed(self, statistics: Callable[[], InvokerStatistics]) -> None:
        raise BrokenError("attacked-closing")


async def test_an_instrument_that_raises_keeps_no_invoker_from_opening_and_closing(
    fake: FakeLambda, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(fake, BrokenInstrument()) as invoker:
        assert (await invoker.invoke("echo", 1)).json() == 1
    reported = [record.message for record in caplog.records if "a hook raised" in record.message]
    assert len(reported) == 1, "it is reported once"
    assert "BrokenInstrument, BrokenError at " in reported[0]
    assert "attacked" not in caplog.text
