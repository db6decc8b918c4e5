"""Every fault, on both event loops, idempotent or not: the error raised, and the deliveries."""

import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from asyncinvoke import (
    Delivery,
    FixedLimit,
    FunctionError,
    InvocationError,
    Invoker,
    NotReadyError,
    RejectedError,
    Response,
    ServiceError,
    ThrottledError,
    ThrottleReason,
    TransportError,
)
from asyncinvoke.local import (
    Answer,
    Close,
    Raw,
    Reset,
    Stall,
    Step,
    Truncated,
    error,
    function_error,
    throttle,
)
from asyncinvoke.testing import InstantClock
from tests.doubles.addresses import refused_port, silent_port
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.doubles.waiting import until

SESSION = AioSession()
COUNT = 300  # executions at once, three times as many as the limit
ATTEMPTS = 3  # of RetryPolicy.standard(), for each kind of failure
HTML = b"<html><body>Service Unavailable</body></html>"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault of every attempt, and the expected result."""

    step: Step
    raises: type[InvocationError]
    delivery: Delivery
    repeated: bool | None
    """Whether it is retried: always, never, or (None) only if the call is idempotent."""


REJECTED, UNKNOWN, EXECUTED = Delivery.REJECTED, Delivery.UNKNOWN, Delivery.EXECUTED

CASES: dict[str, Case] = {
    **{
        f"throttled: {reason}": Case(
            step=throttle(reason.value), raises=ThrottledError, delivery=REJECTED, repeated=True
        )
        for reason in ThrottleReason
    },
    "throttled, no reason": Case(
        step=throttle(None), raises=ThrottledError, delivery=REJECTED, repeated=True
    ),
    "throttled, Retry-After": Case(
        step=throttle(retry_after="2.5"), raises=ThrottledError, delivery=REJECTED, repeated=True
    ),
    "throttled, x-amz-retry-after": Case(
        step=throttle(amz_retry_after="1500"),
        raises=ThrottledError,
        delivery=REJECTED,
        repeated=True,
    ),
    "429, empty": Case(
        step=Answer(status_code=429, payload=b""),
        raises=ThrottledError,
        delivery=REJECTED,
        repeated=True,
    ),
    "EC2 throttled": Case(
        step=error(502, "EC2ThrottledException"),
        raises=ThrottledError,
        delivery=REJECTED,
        repeated=True,
    ),
    "pending": Case(
        step=error(409, "ResourceConflictException", "the following state: Pending"),
        raises=NotReadyError,
        delivery=REJECTED,
        repeated=True,
    ),
    "failed for good": Case(
        step=error(409, "ResourceConflictException", "the following state: Failed"),
        raises=RejectedError,
        delivery=REJECTED,
        repeated=False,
    ),
    "snap start is not ready": Case(
        step=error(409, "SnapStartNotReadyException"),
        raises=NotReadyError,
        delivery=REJECTED,
        repeated=True,
    ),
    "file system timeout": Case(
        step=error(408, "EFSMountTimeoutException"),
        raises=NotReadyError,
        delivery=REJECTED,
        repeated=True,
    ),
    "not found": Case(
        step=error(404, "ResourceNotFoundException"),
        raises=RejectedError,
        delivery=REJECTED,
        repeated=False,
    ),
    "key disabled, a permanent 502": Case(
        step=error(502, "KMSDisabledException"),
        raises=RejectedError,
        delivery=REJECTED,
        repeated=False,
    ),
    "service exception": Case(
        step=error(500, "ServiceException"), raises=ServiceError, delivery=UNKNOWN, repeated=None
    ),
    "503, HTML": Case(
        step=Answer(status_code=503, payload=HTML, headers={"Content-Type": "text/html"}),
        raises=ServiceError,
        delivery=UNKNOWN,
        repeated=None,
    ),
    "504, empty": Case(
        step=Answer(status_code=504, payload=b""),
        raises=ServiceError,
        delivery=UNKNOWN,
        repeated=None,
    ),
    "500, not JSON": Case(
        step=Answer(status_code=500, payload=b"{"),
        raises=ServiceError,
        delivery=UNKNOWN,
        repeated=None,
    ),
    "500, not even text": Case(
        step=Answer(status_code=500, payload=b"\xff\xfe{"),
        raises=ServiceError,
        delivery=UNKNOWN,
        repeated=None,
    ),
    "function error": Case(
        step=function_error("KeyError", "x"),
        raises=FunctionError,
        delivery=EXECUTED,
        repeated=False,
    ),
    "reset, request read": Case(
        step=Reset(), raises=TransportError, delivery=UNKNOWN, repeated=None
    ),
    "reset, request not read": Case(
        step=Reset(read=False), raises=TransportError, delivery=UNKNOWN, repeated=None
    ),
    "closed": Case(step=Close(), raises=TransportError, delivery=UNKNOWN, repeated=None),
    "body cut short": Case(
        step=Truncated(answer=Answer(payload=b"0123456789")),
        raises=TransportError,
        delivery=UNKNOWN,
        repeated=None,
    ),
    "error body cut short": Case(
        step=Truncated(answer=error(500, "ServiceException")),
        raises=ServiceError,
        delivery=UNKNOWN,
        repeated=None,
    ),
    "stall": Case(step=Stall(), raises=TransportError, delivery=UNKNOWN, repeated=None),
    "stall in the headers": Case(
        step=Stall(sent=b"HTTP/1.1 200 OK\r\n"),
        raises=TransportError,
        delivery=UNKNOWN,
        repeated=None,
    ),
    "stall in the body": Case(
        step=Stall(sent=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        raises=TransportError,
        delivery=UNKNOWN,
        repeated=None,
    ),
    "garbage": Case(step=Raw(), raises=TransportError, delivery=UNKNOWN, repeated=None),
}


SHORT = 0.3
"""A read timeout in seconds, for peers that never send anything."""


@contextlib.asynccontextmanager
async def open_invoker(
    url: str, *, read_timeout: float = 60, connect_timeout: float = 60, **options: Any
) -> AsyncIterator[Invoker]:
    # A session keeps the service model, which takes longer to load than most of these tests.
    options.setdefault("session", SESSION)
    # Long if something answers, because a busy machine may be silent, too.
    config = AioConfig(read_timeout=read_timeout, connect_timeout=connect_timeout)
    async with Invoker(endpoint_url=url, clock=InstantClock(), config=config, **options) as invoker:
        yield invoker


def read_timeout_of(case: Case) -> float:
    """Return the read timeout of attempts of this case."""
    return SHORT if isinstance(case.step, Stall) else 60


async def fail(endpoint: FaultEndpoint, invoker: Invoker, case: Case, name: str) -> InvocationError:
    endpoint.script_forever(name, itertools.repeat(case.step))
    with pytest.raises(InvocationError) as raised:
        await invoker.invoke(name, {"n": 1})
    # Written requests arrive, though a busy machine may be silent for that long.
    await until(lambda: endpoint.deliveries(name) >= len(raised.value.attempts))
    return raised.value


@pytest.mark.anyio
@pytest.mark.parametrize("idempotent", [False, True], ids=["not idempotent", "idempotent"])
@pytest.mark.parametrize("name", CASES)
async def test_a_call_is_delivered_exactly_as_often_as_its_attempts_say(
    name: str, idempotent: bool, transport: str
) -> None:
    case = CASES[name]
    async with (
        FaultEndpoint() as endpoint,
        open_invoker(
            endpoint.url,
            transport=transport,
            idempotent=idempotent,
            read_timeout=read_timeout_of(case),
        ) as invoker,
    ):
        raised = await fail(endpoint, invoker, case, "f")

        repeated = idempotent if case.repeated is None else case.repeated
        assert endpoint.deliveries("f") == len(raised.attempts) == (ATTEMPTS if repeated else 1)
        assert type(raised) is case.raises
        assert raised.delivery is case.delivery
        assert [attempt.number for attempt in raised.attempts] == [
            *range(1, len(raised.attempts) + 1)
        ]
        assert {attempt.delivery for attempt in raised.attempts} == {case.delivery}
        statistics = invoker.statistics()
        assert (statistics.in_flight, statistics.waiting) == (0, 0)
        assert statistics.attempts == endpoint.deliveries("f")

        # The pool is still usable.
        assert (await invoker.invoke("g")).status_code == 200


@pytest.mark.anyio
async def test_what_may_have_run_is_not_run_again_unless_the_caller_allows_it(
    transport: str,
) -> None:
    ambiguous = [case for case in CASES.values() if case.delivery is Delivery.UNKNOWN]

    async def try_one(invoker: Invoker, name: str, case: Case) -> None:
        raised = await fail(endpoint, invoker, case, name)
        assert endpoint.deliveries(name) == 1
        assert raised.gave_up == "delivery_unknown"

    async with (
        FaultEndpoint() as endpoint,
        open_invoker(endpoint.url, transport=transport, read_timeout=SHORT) as hasty,
        open_invoker(endpoint.url, transport=transport) as invoker,
    ):
        async with anyio.create_task_group() as tasks:
            for number, case in enumerate(ambiguous):
                if isinstance(case.step, Stall):
                    tasks.start_soon(try_one, hasty, f"f{number}", case)
        for number, case in enumerate(ambiguous):
            if not isinstance(case.step, Stall):
                await try_one(invoker, f"f{number}", case)
        for number, options in enumerate(
            [
                {"idempotent": True},
                {"durable_execution_name": "order-1"},
                {"invocation_type": "DryRun"},
            ]
        ):
            endpoint.script(f"g{number}", Reset())
            response = await invoker.invoke(f"g{number}", **options)  # type: ignore[arg-type]
            assert len(response.attempts) == endpoint.deliveries(f"g{number}") == 2


def test_asyncio_and_trio_and_both_transports_behave_alike() -> None:
    async def table(transport: str) -> dict[tuple[str, bool], tuple[object, ...]]:
        seen: dict[tuple[str, bool], tuple[object, ...]] = {}

        async def look(invoker: Invoker, name: str, idempotent: bool, function: str) -> None:
            raised = await fail(endpoint, invoker, CASES[name], function)
            seen[name, idempotent] = (
                type(raised),
                raised.code,
                raised.status_code,
                raised.delivery,
                raised.gave_up,
                raised.retry_after,
                endpoint.deliveries(function),
                [(a.number, a.kind, a.code, a.reason) for a in raised.attempts],
            )

        async with FaultEndpoint() as endpoint:
            # Stalls are tested alone, because a busy machine may be silent, too.
            for stalls in (False, True):
                options: dict[str, Any] = {
                    "read_timeout": SHORT if stalls else 60,
                    "transport": transport,
                    # With an adaptive limit, throttled calls would slow down the others.
                    "limit": FixedLimit(100),
                }
                async with (
                    open_invoker(endpoint.url, idempotent=False, **options) as once,
                    open_invoker(endpoint.url, idempotent=True, **options) as again,
                    anyio.create_task_group() as tasks,
                ):
                    for number, (name, case) in enumerate(CASES.items()):
                        if isinstance(case.step, Stall) == stalls:
                            tasks.start_soon(look, once, name, False, f"f{number}")
                            tasks.start_soon(look, again, name, True, f"g{number}")
        return seen

    tables = [
        anyio.run(table, transport, backend=backend)
        for transport in ("direct", "client")
        for backend in ("asyncio", "trio")
    ]
    for other in tables:
        assert other == tables[0]
    assert len(tables[0]) == 2 * len(CASES)


@pytest.mark.anyio
@pytest.mark.parametrize("idempotent", [False, True])
@pytest.mark.parametrize("fault", ["refused", "unanswering", "no such host"])
async def test_without_a_connection_nothing_was_sent_and_trying_again_is_safe(
    fault: str, idempotent: bool, transport: str
) -> None:
    with silent_port() as port:
        url, code, says = {
            "refused": (
                f"http://127.0.0.1:{refused_port()}",
                "ConnectFailed",
                "{} refuses connections",
            ),
            "unanswering": (f"http://127.0.0.1:{port}", "ConnectTimeout", "{} does not answer"),
            "no such host": (
                "http://lambda.invalid",
                "ConnectFailed",
                "the name of {} cannot be resolved",
            ),
        }[fault]
        async with open_invoker(
            url,
            transport=transport,
            idempotent=idempotent,
            connect_timeout=SHORT if fault == "unanswering" else 60,
        ) as invoker:
            with pytest.raises(TransportError) as raised:
                await invoker.invoke("f")
    assert raised.value.delivery is Delivery.NOT_SENT
    assert raised.value.code == code
    assert raised.value.message.startswith(says.format(url))
    assert len(raised.value.attempts) == ATTEMPTS


@pytest.mark.anyio
async def test_hundreds_of_executions_with_mixed_faults_do_not_mix_up(transport: str) -> None:
    steps: list[tuple[Step, ...]] = [
        (),
        (throttle(),),
        (throttle(), error(409, "SnapStartNotReadyException")),
        (Reset(),),
        (Close(), throttle()),
    ]
    ended: dict[int, Response] = {}

    async def one(number: int) -> None:
        ended[number] = await invoker.invoke(f"f{number}", {"n": number})

    async with (
        FaultEndpoint() as endpoint,
        open_invoker(
            endpoint.url, transport=transport, idempotent=True, limit=FixedLimit(100)
        ) as invoker,
    ):
        for number in range(COUNT):
            answer = Answer(payload=str(number).encode())
            endpoint.script(f"f{number}", *steps[number % len(steps)], answer)
        async with anyio.create_task_group() as group:
            for number in range(COUNT):
                group.start_soon(one, number)

        for number, response in ended.items():
            assert response.json() == number
            own = len(steps[number % len(steps)]) + 1
            assert len(response.attempts) == endpoint.deliveries(f"f{number}") == own
            assert {request.payload for request in endpoint.requests(f"f{number}")} == {
                b'{"n":%d}' % number
            }
        assert len(ended) == COUNT
        assert invoker.statistics().in_flight == 0
