"""One execution: what is sent and how often, its result, and that nothing is left behind."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tenacity import stop_after_attempt, stop_never, wait_fixed

from asyncinvoke import (
    AdaptiveLimit,
    Attempt,
    Backoff,
    DeadlineExceededError,
    Delivery,
    FailureKind,
    FunctionError,
    GaveUp,
    InvocationError,
    RejectedError,
    Response,
    RetryBudget,
    RetryPolicy,
    ServiceError,
    ThrottledError,
    ThrottleReason,
    TransportError,
)
from asyncinvoke._engine import execution
from asyncinvoke._engine.calls import Call
from asyncinvoke._engine.waits import Brake, NotStartedError, guarded
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._limits.scopes import function_key
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import checked
from tests.doubles.engine import (
    FAILED,
    LOST,
    NOT_READY,
    OK,
    REFUSED,
    REJECTED,
    SERVICE,
    THROTTLED,
    FakeClock,
    ScriptedEngine,
    StuckClock,
    call,
    engine,
    every,
)
from tests.doubles.waiting import settle

AGAIN = Backoff(wait=wait_fixed(2), stop=stop_after_attempt(3))
FOR_EVER = Backoff(wait=wait_fixed(2), stop=stop_never)
SHORT = 0.02


async def failed(scripted: ScriptedEngine, wanted: Call) -> InvocationError:
    ended = await scripted.execute(wanted, b"{}")
    assert isinstance(ended, InvocationError)
    return ended


async def answered(scripted: ScriptedEngine, wanted: Call) -> Response:
    ended = await scripted.execute(wanted, b"{}")
    assert isinstance(ended, Response)
    return ended


def permits_left(scripted: ScriptedEngine) -> tuple[int, int]:
    return scripted.limiter.in_flight, scripted.limiter.waiting


@pytest.mark.anyio
async def test_the_answer_of_the_first_attempt_is_the_response() -> None:
    scripted = engine(replace(OK, executed_version="7", log_result="END"))
    response = await answered(scripted, call())
    assert response.json() == "done"
    assert (response.executed_version, response.log_result) == ("7", "END")
    assert response.attempts == (
        Attempt(
            number=1,
            started=scripted.clock.time(),
            elapsed=0.0,
            status_code=200,
            request_id="ok-1",
        ),
    )
    assert scripted.script.sent == [(call().parameters, b"{}")]
    assert permits_left(scripted) == (0, 0)


@pytest.mark.anyio
async def test_an_invocation_that_succeeds_at_once_enters_neither_retries_nor_classification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*args: object, **options: object) -> None:
        raise AssertionError("entered on the happy path")

    for name in ("classify", "History"):
        monkeypatch.setattr(execution, name, never)
    monkeypatch.setattr("tenacity.RetryCallState.__init__", never)
    monkeypatch.setattr("tenacity.BaseRetrying.__init__", never)
    assert (await answered(engine(OK), call(RetryPolicy.standard(), timeout=60))).json() == "done"


@pytest.mark.anyio
async def test_the_guard_of_the_happy_path_fails_off_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def entered(*args: object, **options: object) -> None:
        raise AssertionError("tenacity was entered")

    monkeypatch.setattr("tenacity.RetryCallState.__init__", entered)
    with pytest.raises(AssertionError, match="tenacity was entered"):
        await engine(THROTTLED).execute(call(RetryPolicy.standard()), b"")


@pytest.mark.anyio
async def test_the_history_has_every_attempt_and_the_wait_after_it() -> None:
    scripted = engine(THROTTLED, NOT_READY, OK)
    began = scripted.clock.time()
    response = await answered(scripted, call(every(AGAIN)))
    first, second, third = response.attempts
    assert (first.number, second.number, third.number) == (1, 2, 3)
    assert (first.started, second.started, third.started) == (began, began + 2, began + 4)
    assert (first.delay, second.delay, third.delay) == (2.0, 2.0, None)
    assert first.kind is FailureKind.THROTTLED
    assert first.reason is ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED
    assert (first.status_code, first.code) == (429, "TooManyRequestsException")
    assert first.request_id == "throttled-1"
    assert (second.kind, second.reason) == (FailureKind.NOT_READY, None)
    assert (third.kind, third.delivery) == (None, None)
    assert scripted.clock.slept == [2.0, 2.0]
    assert response.request_id == "ok-1"


@pytest.mark.parametrize(
    ("answer", "raised", "delivery"),
    [
        (THROTTLED, ThrottledError, Delivery.REJECTED),
        (REJECTED, RejectedError, Delivery.REJECTED),
        (SERVICE, ServiceError, Delivery.UNKNOWN),
        (LOST, TransportError, Delivery.UNKNOWN),
        (REFUSED, TransportError, Delivery.NOT_SENT),
        (FAILED, FunctionError, Delivery.EXECUTED),
    ],
)
@pytest.mark.anyio
async def test_without_a_policy_the_first_failure_is_the_error(
    answer: Any, raised: type[InvocationError], delivery: Delivery
) -> None:
    scripted = engine(answer)
    error = await failed(scripted, call())
    assert type(error) is raised
    assert error.delivery is delivery
    assert error.gave_up is GaveUp.NOT_RETRYABLE
    assert len(error.attempts) == len(scripted.script.sent) == 1
    assert error.attempts[0].delay is None
    assert error.qualifier == "live"


@pytest.mark.parametrize("answer", [LOST, SERVICE])
@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, 1),
        ({"invocation_type": "Event"}, 1),
        ({"idempotent": True}, 3),
        ({"durable_execution_name": "order-1"}, 3),
        ({"invocation_type": "DryRun"}, 3),
    ],
)
@pytest.mark.anyio
async def test_what_may_have_run_is_sent_again_only_if_that_is_harmless(
    answer: Failure, options: dict[str, Any], sent: int
) -> None:
    scripted = engine(*[answer] * 3)
    error = await failed(scripted, call(every(AGAIN), **options))
    assert len(scripted.script.sent) == len(error.attempts) == sent
    assert error.gave_up is (GaveUp.DELIVERY_UNKNOWN if sent == 1 else GaveUp.ATTEMPTS)


@pytest.mark.anyio
async def test_the_last_attempts_own_error_is_the_one_and_its_cause_is_kept() -> None:
    scripted = engine(THROTTLED, LOST)
    error = await failed(scripted, call(every(AGAIN)))
    assert type(error) is TransportError
    assert error.__cause__ is LOST.cause
    assert error.code == "ConnectionLost"
    assert error.elapsed == 2.0


@pytest.mark.anyio
async def test_a_refusal_after_a_lost_answer_does_not_say_that_nothing_ran() -> None:
    scripted = engine(LOST, REJECTED)
    policy = RetryPolicy(transport=FOR_EVER)
    error = await failed(scripted, call(policy, idempotent=True))
    assert type(error) is RejectedError
    assert [attempt.delivery for attempt in error.attempts] == [
        Delivery.UNKNOWN,
        Delivery.REJECTED,
    ]
    assert error.delivery is Delivery.UNKNOWN


@pytest.mark.anyio
async def test_a_failed_function_is_retried_only_if_the_policy_says_so() -> None:
    scripted = engine(FAILED, FAILED, OK)
    policy = RetryPolicy(function=AGAIN)
    assert len((await answered(scripted, call(policy))).attempts) == 3
    scripted = engine(FAILED)
    error = await failed(scripted, call(RetryPolicy.batch(), idempotent=True))
    assert type(error) is FunctionError
    assert error.error_type == "Busy"
    assert error.error_message == "come back"
    assert error.response.payload == FAILED.payload


@pytest.mark.anyio
async def test_function_errors_can_be_chosen_by_their_type() -> None:
    def busy(error: InvocationError) -> bool:
        return isinstance(error, FunctionError) and error.error_type == "Busy"

    policy = RetryPolicy(function=replace(AGAIN, when=busy))
    other = replace(FAILED, payload=b'{"errorType": "KeyError"}')
    scripted = engine(FAILED, other)
    error = await failed(scripted, call(policy))
    assert isinstance(error, FunctionError)
    assert (error.error_type, error.gave_up) == ("KeyError", GaveUp.NOT_RETRYABLE)
    assert len(scripted.script.sent) == 2


@pytest.mark.anyio
async def test_a_function_that_failed_is_a_response_if_the_caller_wants_it_so() -> None:
    scripted = engine(FAILED, FAILED, FAILED)
    wanted = call(RetryPolicy(function=AGAIN), raise_on_function_error=False)
    response = await answered(scripted, wanted)
    assert response.function_error == "Unhandled"
    assert [attempt.kind for attempt in response.attempts] == [FailureKind.FUNCTION] * 3
    other = await failed(engine(REJECTED), wanted)
    assert type(other) is RejectedError


@pytest.mark.anyio
async def test_a_backing_off_execution_holds_no_permit() -> None:
    clock = StuckClock()
    scripted = engine(THROTTLED, OK, limit=1, clock=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(scripted.execute, call(every(AGAIN)), b"")
        await clock.asleep.wait()
        assert permits_left(scripted) == (0, 0)
        with anyio.fail_after(60):
            assert (await answered(scripted, call())).json() == "done"
        group.cancel_scope.cancel()


def never_answer(started: anyio.Event) -> Callable[[], Awaitable[Reply]]:
    async def answer() -> Reply:
        started.set()
        await anyio.sleep_forever()
        raise AssertionError

    return answer


@pytest.mark.anyio
async def test_cancelling_in_an_attempt_gives_the_permit_back_and_is_not_a_retry() -> None:
    started = anyio.Event()
    scripted = engine(never_answer(started), OK)
    async with anyio.create_task_group() as group:
        group.start_soon(scripted.execute, call(every(FOR_EVER), idempotent=True), b"")
        await started.wait()
        assert permits_left(scripted) == (1, 0)
        group.cancel_scope.cancel()
    assert permits_left(scripted) == (0, 0)
    assert len(scripted.script.sent) == 1


@pytest.mark.anyio
async def test_cancelling_while_waiting_for_a_permit_sends_nothing() -> None:
    scripted = engine(OK)
    await scripted.limiter.permit(function_key(call().parameters)).__aenter__()
    async with anyio.create_task_group() as group:
        group.start_soon(scripted.execute, call(every(FOR_EVER)), b"")
        await settle()
        assert permits_left(scripted) == (1, 1)
        group.cancel_scope.cancel()
    assert permits_left(scripted) == (1, 0)
    assert scripted.script.sent == []


@pytest.mark.anyio
async def test_a_permit_that_comes_as_its_map_stops_leaves_the_rate_to_other_calls() -> None:
    clock = FakeClock()
    scripted = engine(clock=clock)
    limiter = Limiter(AdaptiveLimit(initial=1, maximum=1), clock=clock)
    scripted.engine.limiter = limiter
    wanted = call()
    brake = Brake(limiter.withdraw)
    refused = await limiter.permit(wanted.key).__aenter__()
    refused.throttled(ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED)
    clock.now += 5
    held = await limiter.permit(wanted.key).__aenter__()

    async def execute() -> None:
        with pytest.raises(NotStartedError):
            await scripted.engine.execute(
                guarded(scripted.script, scripted.waits), wanted, b"", brake
            )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute)
        await settle()
        clock.now += 5
        held.admitted()  # grants the next permit, of which the execution has not learned yet
        brake.stop()
    assert scripted.script.sent == []
    async with limiter.permit(wanted.key) as permit:
        assert permit.waited == 0


@pytest.mark.anyio
async def test_cancelling_in_backoff_sends_nothing_more() -> None:
    clock = StuckClock()
    scripted = engine(THROTTLED, OK, clock=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(scripted.execute, call(every(FOR_EVER)), b"")
        await clock.asleep.wait()
        group.cancel_scope.cancel()
    assert permits_left(scripted) == (0, 0)
    assert len(scripted.script.sent) == 1


@pytest.mark.anyio
async def test_a_scope_that_is_cancelled_already_ends_an_execution_with_a_deadline_too() -> None:
    scripted = engine(OK)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await scripted.execute(call(every(FOR_EVER), timeout=60), b"")
        pytest.fail("the cancellation was swallowed")
    assert permits_left(scripted) == (0, 0)


@pytest.mark.anyio
async def test_a_deadline_in_an_attempt_leaves_it_unknown_whether_it_ran() -> None:
    scripted = engine(THROTTLED, never_answer(anyio.Event()))
    policy = RetryPolicy(throttled=Backoff(wait=wait_fixed(0), stop=stop_never))
    error = await failed(scripted, call(policy, timeout=SHORT))
    assert type(error) is DeadlineExceededError
    assert isinstance(error, TimeoutError)
    assert "waiting for the answer" in str(error)
    assert error.delivery is Delivery.UNKNOWN
    assert error.gave_up is GaveUp.DEADLINE
    assert [attempt.code for attempt in error.attempts] == [
        "TooManyRequestsException",
        "Interrupted",
    ]
    assert len(scripted.script.sent) == 2
    assert permits_left(scripted) == (0, 0)


@pytest.mark.anyio
async def test_a_deadline_while_waiting_for_a_permit_means_that_nothing_was_sent() -> None:
    scripted = engine(OK)
    await scripted.limiter.permit(function_key(call().parameters)).__aenter__()
    error = await failed(scripted, call(timeout=SHORT))
    assert type(error) is DeadlineExceededError
    assert error.delivery is Delivery.NOT_SENT
    assert error.attempts == ()
    assert error.elapsed == pytest.approx(SHORT)
    assert "waiting for a permit: the limit is 1" in str(error)
    assert error.__cause__ is None
    assert permits_left(scripted) == (1, 0)
    assert scripted.script.sent == []


@pytest.mark.anyio
async def test_a_deadline_in_backoff_reports_the_failure_before_it() -> None:
    throttled = replace(THROTTLED, retry_after="3")
    scripted = engine(throttled, clock=StuckClock())
    # A hint that is capped below the deadline, on a clock that never wakes up.
    at_once = Backoff(wait=wait_fixed(0), stop=stop_never)
    policy = RetryPolicy(throttled=at_once, max_retry_after=0.01)
    error = await failed(scripted, call(policy, timeout=0.5))
    assert type(error) is DeadlineExceededError
    assert isinstance(error.__cause__, ThrottledError)
    assert error.delivery is Delivery.REJECTED
    assert error.retry_after == 3.0
    assert len(error.attempts) == len(scripted.script.sent) == 1
    assert permits_left(scripted) == (0, 0)


@pytest.mark.anyio
async def test_a_wait_across_the_deadline_is_not_started() -> None:
    scripted = engine(replace(THROTTLED, retry_after="30"))
    error = await failed(scripted, call(every(FOR_EVER), timeout=20))
    assert type(error) is ThrottledError
    assert (error.gave_up, error.retry_after) == (GaveUp.DEADLINE, 30.0)
    assert scripted.clock.slept == []


@pytest.mark.anyio
async def test_an_error_that_would_wait_too_long_keeps_its_own_hint_and_its_own_cause() -> None:
    own = ConnectionResetError("mine")
    scripted = engine(
        replace(THROTTLED, retry_after="3"), replace(THROTTLED, retry_after="30", cause=own)
    )
    error = await failed(scripted, call(every(FOR_EVER), timeout=20))
    assert type(error) is ThrottledError
    assert (error.gave_up, error.retry_after) == (GaveUp.DEADLINE, 30.0)
    assert error.__cause__ is own
    assert len(error.attempts) == 2


@pytest.mark.anyio
async def test_each_function_has_a_retry_budget_and_its_exhaustion_is_reported() -> None:
    budget = RetryBudget(ratio=0, per_second=0, burst=1)
    policy = replace(every(FOR_EVER), budget=budget)
    scripted = engine(THROTTLED, THROTTLED, THROTTLED, OK)
    error = await failed(scripted, call(policy))
    assert (error.gave_up, len(error.attempts)) == (GaveUp.BUDGET, 2)
    other = replace(call(policy), parameters=checked("other"))
    assert len((await answered(scripted, other)).attempts) == 2


ANSWERS: dict[str, Reply | Failure] = {
    "ok": OK,
    "failed": FAILED,
    "throttled": THROTTLED,
    "hinted": replace(THROTTLED, retry_after="7"),
    "not ready": NOT_READY,
    "service": SERVICE,
    "lost": LOST,
    "refused": REFUSED,
    "rejected": REJECTED,
}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    names=st.lists(st.lists(st.sampled_from(sorted(ANSWERS)), max_size=8), max_size=4),
    limit=st.integers(1, 3),
    idempotent=st.booleans(),
)
@settings(max_examples=60)
def test_attempts_equal_deliveries_for_any_answers(
    backend: str, names: list[list[str]], limit: int, idempotent: bool
) -> None:
    async def play() -> None:
        clock = FakeClock()
        policy = RetryPolicy(
            throttled=FOR_EVER, not_ready=AGAIN, service=AGAIN, transport=AGAIN, function=AGAIN
        )
        for own in names:
            scripted = engine(*(ANSWERS[name] for name in own), *[OK] * 9, limit=limit, clock=clock)
            ended = await scripted.execute(call(policy, idempotent=idempotent), b"")
            assert len(ended.attempts) == len(scripted.script.sent) == scripted.tally.attempts
            assert [a.number for a in ended.attempts] == [*range(1, len(ended.attempts) + 1)]
            for attempt, name in zip(ended.attempts, own, strict=False):
                if attempt.delay is not None:
                    assert attempt.delay >= (7.0 if name == "hinted" else 2.0)
                    assert idempotent or attempt.delivery is not Delivery.UNKNOWN
            assert permits_left(scripted) == (0, 0)

    anyio.run(play, backend=backend)
