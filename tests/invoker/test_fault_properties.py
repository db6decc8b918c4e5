"""Invariants for random sequences of faults and arbitrary answers."""

import functools
import string
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tenacity import stop_after_attempt, stop_never, wait_random_exponential

from asyncinvoke import (
    Backoff,
    Delivery,
    FixedLimit,
    InvocationError,
    Invoker,
    Response,
    RetryPolicy,
)
from asyncinvoke._model.failure import TransportFault
from asyncinvoke.local import (
    Answer,
    Close,
    Raw,
    Reset,
    Step,
    Truncated,
    error,
    function_error,
    throttle,
)
from asyncinvoke.testing import InstantClock
from tests.doubles.fault_endpoint import FaultEndpoint

Transport: TypeAlias = Literal["direct", "client"]
SESSION = AioSession()
PATIENT = RetryPolicy(
    throttled=Backoff(wait=wait_random_exponential(max=5), stop=stop_never),
    not_ready=Backoff(wait=wait_random_exponential(max=5), stop=stop_after_attempt(4)),
    service=Backoff(wait=wait_random_exponential(max=5), stop=stop_after_attempt(4)),
    transport=Backoff(wait=wait_random_exponential(max=5), stop=stop_after_attempt(4)),
)

HINTED = [
    (throttle(retry_after="2"), 2.0),
    (throttle(retry_after="0.5"), 0.5),
    (throttle(amz_retry_after="3500"), 3.5),
    (throttle(retry_after="soon"), 0.0),
    (throttle(retry_after="86400"), 60.0),  # cut to max_retry_after
]
UNHINTED: list[Step] = [
    throttle(),
    error(409, "ResourceConflictException", "Pending"),
    error(500, "ServiceException"),
    error(404, "ResourceNotFoundException"),
    Reset(),
    Reset(read=False),
    Close(),
    Truncated(answer=Answer(payload=b"0123456789")),
    Raw(),
    function_error(),
]
steps = st.sampled_from([*HINTED, *((step, 0.0) for step in UNHINTED)])
scripts = st.lists(steps, max_size=6)

both_loops = pytest.mark.parametrize("backend", ["asyncio", "trio"])
both_transports = pytest.mark.parametrize("transport", ["direct", "client"])
many_examples = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def run(backend: str, body: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    anyio.run(functools.partial(body, *arguments), backend=backend)


@both_loops
@both_transports
@many_examples
@given(
    executions=st.lists(
        st.tuples(scripts, st.booleans(), st.none() | st.floats(0.5, 8)), min_size=1, max_size=5
    )
)
def test_for_any_faults_attempts_equal_deliveries_and_waits_keep_to_hint_and_deadline(
    backend: str,
    transport: Transport,
    executions: list[tuple[list[tuple[Step, float]], bool, float | None]],
) -> None:
    run(backend, check_executions, transport, executions)


async def check_executions(
    transport: Transport,
    executions: list[tuple[list[tuple[Step, float]], bool, float | None]],
) -> None:
    clock = InstantClock()
    async with (
        FaultEndpoint() as endpoint,
        # One invoker for all, because opening one takes longer than using it.
        Invoker(
            endpoint_url=endpoint.url,
            session=SESSION,
            clock=clock,
            retry=PATIENT,
            # An adaptive limit would sometimes wait as well.
            limit=FixedLimit(3),
            transport=transport,
        ) as invoker,
    ):
        for number, (script, idempotent, timeout) in enumerate(executions):
            name = f"f{number}"
            endpoint.script(name, *(step for step, _ in script))
            before = invoker.statistics()
            slept_before = len(clock.slept)
            began = clock.monotonic()
            ended: Response | InvocationError
            try:
                ended = await invoker.invoke(
                    name,
                    idempotent=idempotent,
                    # Simulated time passes only in waits; the endpoint answers at once.
                    timeout=timeout,
                )
            except InvocationError as failed:
                ended = failed

            # A deadline that expires on a busy machine may end the last attempt in any phase.
            cut_off = ended.attempts[-1].code == TransportFault.INTERRUPTED
            in_doubt = ended.attempts[-1].delivery is Delivery.UNKNOWN
            answered = len(ended.attempts) - cut_off
            assert answered <= endpoint.deliveries(name) <= answered + (cut_off and in_doubt)
            slept = clock.slept[slept_before:]
            assert [attempt.delay for attempt in ended.attempts[:-1]] == slept
            for delay, (_, hint) in zip(slept, script, strict=False):
                assert delay >= hint
            assert ended.attempts[-1].delay is None
            if timeout is not None:
                assert sum(slept) < timeout
                # Waits advance the clock, and do not cross the deadline.
                assert clock.monotonic() - began - sum(slept) < timeout + 30
            statistics = invoker.statistics()
            assert (statistics.in_flight, statistics.waiting) == (0, 0)
            attempts = statistics.attempts - before.attempts
            assert statistics.retries - before.retries == attempts - 1


header_text = st.text(string.ascii_letters + string.digits + " -_/;=,.", max_size=30)
answers = st.builds(
    Answer,
    status_code=st.integers(200, 599),
    payload=st.binary(max_size=60)
    | st.sampled_from(
        [b"{}", b"[]", b'{"message": 3}', b'{"__type": ["x"]}', b"null", b'"x"', b"{" * 3000]
    ),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "x-amzn-ErrorType",
                "X-Amz-Function-Error",
                "X-Amz-Log-Result",
                "X-Amz-Executed-Version",
                "Content-Type",
                "Retry-After",
                "x-amz-retry-after",
                "Location",
                "Content-Encoding",
            ]
        ),
        header_text,
        max_size=4,
    ),
)
hostile = (
    answers
    | st.builds(Raw, sent=st.binary(max_size=200))
    | st.builds(Raw, sent=st.binary(max_size=60).map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest))
)


@both_loops
@both_transports
@many_examples
@given(steps=st.lists(hostile, min_size=1, max_size=12))
def test_hostile_answers_raise_nothing_but_our_own_errors_and_never_hang(
    backend: str, transport: Transport, steps: list[Step]
) -> None:
    run(backend, check_hostile, transport, steps)


async def check_hostile(transport: Transport, steps: list[Step]) -> None:
    config = AioConfig(read_timeout=1)
    async with (
        FaultEndpoint() as endpoint,
        Invoker(
            endpoint_url=endpoint.url,
            session=SESSION,
            config=config,
            retry=RetryPolicy(),
            transport=transport,
        ) as invoker,
    ):
        endpoint.script("f", *steps)
        for _ in steps:
            ended: Response | InvocationError
            try:
                ended = await invoker.invoke("f", b"{}", log_type="Tail", timeout=10)
            except InvocationError as failed:
                ended = failed
            assert len(ended.attempts) == 1
            assert str(ended)
        assert endpoint.deliveries("f") == len(steps)
        assert invoker.statistics().in_flight == 0
