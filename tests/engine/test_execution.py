"""One execution: what is sent, how often, what comes of it, and that nothing is left behind."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import wait_all_tasks_blocked
from hypothesis import given, settings
from hypothesis import strategies as st
from tenacity import stop_after_attempt, stop_never, wait_fixed

from asyncinvoke import (
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
    Machine,
    StuckClock,
    call,
    engine,
    every,
)

AGAIN = Backoff(wait=wait_fixed(2), stop=stop_after_attempt(3))
FOR_EVER = Backoff(wait=wait_fixed(2), stop=stop_never)
SHORT = 0.02


async def failed(machine: Machine, wanted: Call) -> InvocationError:
    ended = await machine.execute(wanted, b"{}")
    assert isinstance(ended, InvocationError)
    return ended


async def answered(machine: Machine, wanted: Call) -> Response:
    ended = await machine.execute(wanted, b"{}")
    assert isinstance(ended, Response)
    return ended


def left_over(machine: Machine) -> tuple[int, int]:
    return machine.limiter.in_flight, machine.limiter.waiting


@pytest.mark.anyio
async def test_the_answer_of_the_first_attempt_is_the_response() -> None:
    machine = engine(replace(OK, executed_version="7", log_result="END"))
    response = await answered(machine, call())
    assert response.json() == "done"
    assert (response.executed_version, response.log_result) == ("7", "END")
    assert response.attempts == (
        Attempt(
            number=1,
            started=machine.clock.time(),
            elapsed=0.0,
            status_code=200,
            request_id="ok-1",
        ),
    )
    assert machine.script.sent == [(call().parameters, b"{}")]
    assert left_over(machine) == (0, 0)


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
async def test_the_history_tells_every_attempt_and_the_wait_after_it() -> None:
    machine = engine(THROTTLED, NOT_READY, OK)
    began = machine.clock.time()
    response = await answered(machine, call(every(AGAIN)))
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
    assert machine.clock.slept == [2.0, 2.0]
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
    machine = engine(answer)
    error = await failed(machine, call())
    assert type(error) is raised
    assert error.delivery is delivery
    assert error.gave_up is GaveUp.NOT_RETRYABLE
    assert len(error.attempts) == len(machine.script.sent) == 1
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
    machine = engine(*[answer] * 3)
    error = await failed(machine, call(every(AGAIN), **options))
    assert len(machine.script.sent) == len(error.attempts) == sent
    assert error.gave_up is (GaveUp.DELIVERY_UNKNOWN if sent == 1 else GaveUp.ATTEMPTS)


@pytest.mark.anyio
async def test_the_last_attempts_own_error_is_the_one_and_its_cause_is_kept() -> None:
    machine = engine(THROTTLED, LOST)
    error = await failed(machine, call(every(AGAIN)))
    assert type(error) is TransportError
    assert error.__cause__ is LOST.cause
    assert error.code == "ConnectionLost"
    assert error.elapsed == 2.0


@pytest.mark.anyio
async def test_a_refusal_after_a_lost_answer_does_not_say_that_nothing_ran() -> None:
    machine = engine(LOST, REJECTED)
    policy = RetryPolicy(transport=FOR_EVER)
    error = await failed(machine, call(policy, idempotent=True))
    assert type(error) is RejectedError
    assert [attempt.delivery for attempt in error.attempts] == [
        Delivery.UNKNOWN,
        Delivery.REJECTED,
    ]
    assert error.delivery is Delivery.UNKNOWN


@pytest.mark.anyio
async def test_a_function_that_failed_is_run_again_only_if_the_policy_says_so() -> None:
    machine = engine(FAILED, FAILED, OK)
    policy = RetryPolicy(function=AGAIN)
    assert len((await answered(machine, call(policy))).attempts) == 3
    machine = engine(FAILED)
    error = await failed(machine, call(RetryPolicy.batch(), idempotent=True))
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
    machine = engine(FAILED, other)
    error = await failed(machine, call(policy))
    assert isinstance(error, FunctionError)
    assert (error.error_type, error.gave_up) == ("KeyError", GaveUp.NOT_RETRYABLE)
    assert len(machine.script.sent) == 2


@pytest.mark.anyio
async def test_a_function_that_failed_is_a_response_if_the_caller_wants_it_so() -> None:
    machine = engine(FAILED, FAILED, FAILED)
    wanted = call(RetryPolicy(function=AGAIN), raise_on_function_error=False)
    response = await answered(machine, wanted)
    assert response.function_error == "Unhandled"
    assert [attempt.kind for attempt in response.attempts] == [FailureKind.FUNCTION] * 3
    other = await failed(engine(REJECTED), wanted)
    assert type(other) is RejectedError


@pytest.mark.anyio
async def test_a_backing_off_execution_holds_no_permit() -> None:
    clock = StuckClock()
    machine = engine(THROTTLED, OK, limit=1, clock=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(machine.execute, call(every(AGAIN)), b"")
        await clock.asleep.wait()
        assert left_over(machine) == (0, 0)
        with anyio.fail_after(60):
            assert (await answered(machine, call())).json() == "done"
        group.cancel_scope.cancel()


def hang(begun: anyio.Event) -> Callable[[], Awaitable[Reply]]:
    async def answer() -> Reply:
        begun.set()
        await anyio.sleep_forever()
        raise AssertionError

    return answer


@pytest.mark.anyio
async def test_cancelling_in_an_attempt_gives_the_permit_back_and_is_not_a_retry() -> None:
    begun = anyio.Event()
    machine = engine(hang(begun), OK)
    async with anyio.create_task_group() as group:
        group.start_soon(machine.execute, call(every(FOR_EVER), idempotent=True), b"")
        await begun.wait()
        assert left_over(machine) == (1, 0)
        group.cancel_scope.cancel()
    assert left_over(machine) == (0, 0)
    assert len(machine.script.sent) == 1


@pytest.mark.anyio
async def test_cancelling_while_waiting_for_a_permit_sends_nothing() -> None:
    machine = engine(OK)
    await machine.limiter.permit(function_key(call().parameters)).__aenter__()
    async with anyio.create_task_group() as group:
        group.start_soon(machine.execute, call(every(FOR_EVER)), b"")
        await wait_all_tasks_blocked()
        assert left_over(machine) == (1, 1)
        group.cancel_scope.cancel()
    assert left_over(machine) == (1, 0)
    assert machine.script.sent == []


@pytest.mark.anyio
async def test_cancelling_in_backoff_sends_nothing_more() -> None:
    clock = StuckClock()
    machine = engine(THROTTLED, OK, clock=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(machine.execute, call(every(FOR_EVER)), b"")
        await clock.asleep.wait()
        group.cancel_scope.cancel()
    assert left_over(machine) == (0, 0)
    assert len(machine.script.sent) == 1


@pytest.mark.anyio
async def test_a_scope_that_is_cancelled_already_ends_an_execution_with_a_deadline_too() -> None:
    machine = engine(OK)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await machine.execute(call(every(FOR_EVER), timeout=60), b"")
        pytest.fail("the cancellation was swallowed")
    assert left_over(machine) == (0, 0)


@pytest.mark.anyio
async def test_a_deadline_in_an_attempt_leaves_it_unknown_whether_it_ran() -> None:
    machine = engine(THROTTLED, hang(anyio.Event()))
    policy = RetryPolicy(throttled=Backoff(wait=wait_fixed(0), stop=stop_never))
    error = await failed(machine, call(policy, timeout=SHORT))
    assert type(error) is DeadlineExceededError
    assert isinstance(error, TimeoutError)
    assert "waiting for the answer" in str(error)
    assert error.delivery is Delivery.UNKNOWN
    assert error.gave_up is GaveUp.DEADLINE
    assert [attempt.code for attempt in error.attempts] == [
        "TooManyRequestsException",
        "Interrupted",
    ]
    assert len(machine.script.sent) == 2
    assert left_over(machine) == (0, 0)


@pytest.mark.anyio
async def test_a_deadline_while_waiting_for_a_permit_means_that_nothing_was_sent() -> None:
    machine = engine(OK)
    await machine.limiter.permit(function_key(call().parameters)).__aenter__()
    error = await failed(machine, call(timeout=SHORT))
    assert type(error) is DeadlineExceededError
    assert error.delivery is Delivery.NOT_SENT
    assert error.attempts == ()
    assert error.elapsed == pytest.approx(SHORT)
    assert "waiting for a permit: the limit is 1" in str(error)
    assert error.__cause__ is None
    assert left_over(machine) == (1, 0)
    assert machine.script.sent == []


@pytest.mark.anyio
async def test_a_deadline_in_backoff_tells_of_the_failure_before_it() -> None:
    throttled = replace(THROTTLED, retry_after="3")
    machine = engine(throttled, clock=StuckClock())
    # A hint that is cut to less than the deadline, on a clock that never wakes up.
    at_once = Backoff(wait=wait_fixed(0), stop=stop_never)
    policy = RetryPolicy(throttled=at_once, max_retry_after=0.01)
    error = await failed(machine, call(policy, timeout=0.5))
    assert type(error) is DeadlineExceededError
    assert isinstance(error.__cause__, ThrottledError)
    assert error.delivery is Delivery.REJECTED
    assert error.retry_after == 3.0
    assert len(error.attempts) == len(machine.script.sent) == 1
    assert left_over(machine) == (0, 0)


@pytest.mark.anyio
async def test_a_wait_across_the_deadline_is_not_started() -> None:
    machine = engine(replace(THROTTLED, retry_after="30"))
    error = await failed(machine, call(every(FOR_EVER), timeout=20))
    assert type(error) is ThrottledError
    assert (error.gave_up, error.retry_after) == (GaveUp.DEADLINE, 30.0)
    assert machine.clock.slept == []


@pytest.mark.anyio
async def test_an_error_that_would_wait_too_long_keeps_its_own_hint_and_its_own_cause() -> None:
    own = ConnectionResetError("mine")
    machine = engine(
        replace(THROTTLED, retry_after="3"), replace(THROTTLED, retry_after="30", cause=own)
    )
    error = await failed(machine, call(every(FOR_EVER), timeout=20))
    assert type(error) is ThrottledError
    assert (error.gave_up, error.retry_after) == (GaveUp.DEADLINE, 30.0)
    assert error.__cause__ is own
    assert len(error.attempts) == 2


@pytest.mark.anyio
async def test_a_budget_is_kept_for_each_function_and_says_when_it_was_the_reason() -> None:
    budget = RetryBudget(ratio=0, per_second=0, burst=1)
    policy = replace(every(FOR_EVER), budget=budget)
    machine = engine(THROTTLED, THROTTLED, THROTTLED, OK)
    error = await failed(machine, call(policy))
    assert (error.gave_up, len(error.attempts)) == (GaveUp.BUDGET, 2)
    other = replace(call(policy), parameters=checked("other"))
    assert len((await answered(machine, other)).attempts) == 2


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
            machine = engine(*(ANSWERS[name] for name in own), *[OK] * 9, limit=limit, clock=clock)
            ended = await machine.execute(call(policy, idempotent=idempotent), b"")
            assert len(ended.attempts) == len(machine.script.sent) == machine.tally.attempts
            assert [a.number for a in ended.attempts] == [*range(1, len(ended.attempts) + 1)]
            for attempt, name in zip(ended.attempts, own, strict=False):
                if attempt.delay is not None:
                    assert attempt.delay >= (7.0 if name == "hinted" else 2.0)
                    assert idempotent or attempt.delivery is not Delivery.UNKNOWN
            assert left_over(machine) == (0, 0)

    anyio.run(play, backend=backend)
