"""The fake against the real transports: the same calls have the same results."""

import contextlib
import itertools
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import anyio
import pytest
from aiobotocore.config import AioConfig

from asyncinvoke import FixedLimit, InvocationError, Invoker, Response
from asyncinvoke.local import (
    Answer,
    Close,
    LocalLambda,
    Raw,
    Reset,
    Stall,
    Step,
    Streamed,
    Truncated,
    error,
    function_error,
    stream,
    throttle,
)
from asyncinvoke.local.protocol import event_stream
from asyncinvoke.testing import FakeLambda, InstantClock
from tests.doubles.handlers import echo
from tests.doubles.sessions import SESSION
from tests.doubles.waiting import LONGER

pytestmark = pytest.mark.anyio

TransportName = Literal["direct", "client"]
TRANSPORTS: tuple[TransportName, ...] = ("direct", "client")


@contextlib.asynccontextmanager
async def real(
    url: str, transport: TransportName, *, read_timeout: float = 60
) -> AsyncIterator[Invoker]:
    async with Invoker(
        session=SESSION,
        endpoint_url=url,
        transport=transport,
        config=AioConfig(read_timeout=read_timeout),
        limit=FixedLimit(100),
        clock=InstantClock(),
    ) as invoker:
        yield invoker


def fake(transport: FakeLambda) -> Invoker:
    return Invoker(transport=transport, limit=FixedLimit(100), clock=InstantClock())


def facts_of(ended: InvocationError | Response) -> dict[str, Any]:
    """Return the facts of a result, without IDs, times and messages of HTTP libraries."""
    attempts = [
        (a.number, a.kind, a.delivery, a.status_code, a.code, a.reason) for a in ended.attempts
    ]
    common = {"type": type(ended), "attempts": attempts, "status": ended.status_code}
    if isinstance(ended, Response):
        return common | {
            "payload": ended.payload.replace((ended.request_id or "?").encode(), b"ID"),
            "version": ended.executed_version,
            "function error": ended.function_error,
            "log": lines_of(ended),
        }
    response = getattr(ended, "response", None)
    return common | {
        "says": message_of(ended),
        "code": ended.code,
        "delivery": ended.delivery,
        "gave up": ended.gave_up,
        "retry after": ended.retry_after,
        "response": None if response is None else facts_of(response),
    }


def message_of(error: InvocationError) -> str | None:
    if error.status_code is None:
        return None
    return re.sub(r" in [\d.]+ s", "", str(error)).replace(error.request_id or "?", "ID")


def lines_of(response: Response) -> list[str] | None:
    if response.log_result is None:
        return None
    log = response.log_result.replace(response.request_id or "?", "ID")
    return re.sub(r"\d+(\.\d+)? (ms|MB)", "N", log).splitlines()


async def invoked(invoker: Invoker, name: str, payload: object = None, **options: Any) -> Any:
    try:
        return facts_of(await invoker.invoke(name, payload, **options))
    except InvocationError as raised:
        return facts_of(raised)


async def streamed(invoker: Invoker, name: str, payload: object = None, **options: Any) -> Any:
    chunks: list[bytes] = []
    try:
        async with invoker.stream(name, payload, **options) as response:
            head = (response.status_code, response.executed_version, response.content_type)
            request_id = (response.request_id or "?").encode()
            async for chunk in response:
                chunks.append(chunk.replace(request_id, b"ID"))
            assert response.response is not None
            return head, b"".join(chunks), facts_of(response.response)
    except InvocationError as raised:
        return chunks, facts_of(raised)


STEPS: dict[str, Step] = {
    "success": Answer(payload=b'{"n": 1}'),
    "success of a version": Answer(headers={"X-Amz-Executed-Version": "7"}),
    "throttle": throttle(),
    "throttle of the function": throttle("ReservedFunctionConcurrentInvocationLimitExceeded"),
    "throttle with no reason": throttle(None),
    "throttle with an unknown reason": throttle("Moon"),
    "throttle with Retry-After": throttle(retry_after="2.5"),
    "throttle with x-amz-retry-after": throttle(amz_retry_after="1500"),
    "another code with a reason": error(502, "EC2ThrottledException", Reason="None of ours"),
    "429, empty": Answer(status_code=429, payload=b""),
    "pending": error(409, "ResourceConflictException", "the following state: Pending"),
    "not found": error(404, "ResourceNotFoundException", "no such function"),
    "key disabled": error(502, "KMSDisabledException"),
    "code with a link": Answer(
        status_code=400, payload=b"{}", headers={"x-amzn-ErrorType": "ValidationException:http://x"}
    ),
    "code in the body": Answer(
        status_code=403, payload=b'{"__type": "com#AccessDeniedException", "message": "no"}'
    ),
    "service": error(500, "ServiceException", "oops"),
    "503, HTML": Answer(status_code=503, payload=b"<html><body>busy</body></html>"),
    "504, empty": Answer(status_code=504, payload=b""),
    "500, not JSON": Answer(status_code=500, payload=b"{"),
    "500, not even text": Answer(status_code=500, payload=b"\xff\xfe{"),
    "500, no object": Answer(status_code=500, payload=b"[1]"),
    "redirect": Answer(status_code=307, payload=b"", headers={"Location": "http://127.0.0.1:9/"}),
    "function error": function_error("KeyError", "x"),
    "reset": Reset(),
    "reset, not read": Reset(read=False),
    "closed": Close(),
    "cut short": Truncated(answer=Answer(payload=b"0123456789")),
    "cut short at its end": Truncated(answer=Answer(payload=b"0123"), sent=4),
    "error cut short": Truncated(answer=error(500, "ServiceException")),
    "stall that ends": Stall(seconds=0.01),
    "garbage": Raw(),
    "nothing": Raw(sent=b""),
}


Call = Callable[[Invoker, str], Awaitable[Any]]


def set_up(local: LocalLambda | FakeLambda, cases: Mapping[str, Sequence[Step]]) -> dict[str, str]:
    """Create a function for each case; return their names."""
    names = {case: f"f{number}" for number, case in enumerate(cases)}
    for case, steps in cases.items():
        local.function(names[case], echo)
        for step in steps:
            local.fault(step, function_name=names[case], count=1)
    return names


async def results_of(
    local: LocalLambda | FakeLambda, invoker: Invoker, names: dict[str, str], call: Call
) -> dict[str, Any]:
    """Make the calls of all cases concurrently; return the results and the deliveries."""
    ended: dict[str, Any] = {}

    async def one(case: str) -> None:
        result = await call(invoker, names[case])
        counted = local.statistics().functions[names[case]]
        ended[case] = (result, counted.invocations, counted.executions, counted.faults)

    async with anyio.create_task_group() as group:
        for case in names:
            group.start_soon(one, case)
    assert invoker.statistics().attempts == local.statistics().invocations
    return ended


async def compare(
    cases: Mapping[str, Sequence[Step]], call: Call, *, read_timeout: float = 60
) -> dict[str, Any]:
    """Play steps for a call over each transport; return their common result."""
    stand_in = FakeLambda(read_timeout=read_timeout)
    names = set_up(stand_in, cases)
    async with fake(stand_in) as invoker:
        faked = await results_of(stand_in, invoker, names, call)
    for transport in TRANSPORTS:
        async with (
            LocalLambda() as local,
            real(local.url, transport, read_timeout=read_timeout) as invoker,
        ):
            set_up(local, cases)
            ended = await results_of(local, invoker, names, call)
        for case in cases:
            assert faked[case] == ended[case], (transport, case)
    return faked


@pytest.mark.parametrize("idempotent", [False, True])
async def test_each_step_has_the_same_result(idempotent: bool) -> None:
    await compare(
        {case: [step] * 3 for case, step in STEPS.items()},
        lambda invoker, name: invoked(invoker, name, {"n": 1}, idempotent=idempotent),
    )


NO_CONTENT = Answer(status_code=204, payload=b"dropped")


@pytest.mark.parametrize("step", [NO_CONTENT, Truncated(answer=NO_CONTENT)])
async def test_what_has_no_body_cannot_be_cut_short(step: Step) -> None:
    ended = await compare(
        {"dry run": [step]},
        lambda invoker, name: invoked(invoker, name, invocation_type="DryRun"),
    )
    result, *counted = ended["dry run"]
    assert (result["status"], result["payload"], counted) == (204, b"", [1, 0, 1])


async def test_an_unexpected_status_without_a_body_is_named_however_its_body_would_end() -> None:
    step = Truncated(answer=Answer(status_code=304, payload=b"dropped"))
    ended = await compare({"once": [step]}, lambda invoker, name: invoked(invoker, name, 7))
    result, *_ = ended["once"]
    assert result["code"] == "UnexpectedStatus"


async def test_a_throttle_and_then_what_the_handler_says() -> None:
    ended = await compare({"once": [throttle()]}, lambda invoker, name: invoked(invoker, name, 7))
    result, invocations, executions, faults = ended["once"]
    assert result["payload"] == b"7"
    assert [attempt[0] for attempt in result["attempts"]] == [1, 2]
    assert (invocations, executions, faults) == (2, 1, 1)


ONE = event_stream.payload_chunk(b"one")
END = event_stream.invoke_complete()
DAMAGED = ONE[:-6] + bytes([ONE[-6] ^ 1]) + ONE[-5:]

STREAMS: dict[str, Step] = {
    "chunks": stream(b"one", b"", b"two", log_result="RU5E"),
    "no chunks": stream(),
    "an error at its end": stream(b"one", error_code="Unhandled", error_details="oops"),
    "an error at once": stream(error_code="Unhandled", error_details='{"errorType": "Busy"}'),
    "throttle": throttle(),
    "cut off": Streamed(frames=(ONE,), ending="closed"),
    "cut off at once": Streamed(ending="closed"),
    "no end": Streamed(frames=(ONE,)),
    "damaged": Streamed(frames=(ONE, DAMAGED, END)),
    "exception": Streamed(frames=(event_stream.exception("ServiceException", "oops"),)),
    "no stream": Answer(),
    "no stream, longer": Answer(payload=b"x" * 100),
    "closed": Close(),
    "error cut short": Truncated(answer=error(500, "ServiceException")),
}

STALLS: dict[str, Step] = {
    "stall": Stall(),
    "stall in the body": Stall(sent=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
    "stalled stream": Streamed(frames=(ONE,), ending="stalled"),
    "stalled at once": Streamed(ending="stalled"),
}


@pytest.mark.parametrize("idempotent", [False, True])
async def test_each_stream_has_the_same_result(idempotent: bool) -> None:
    await compare(
        {case: [step] * 3 for case, step in STREAMS.items()},
        lambda invoker, name: streamed(invoker, name, {"n": 1}, idempotent=idempotent),
    )


async def test_each_stall_has_the_same_result() -> None:
    async def call(invoker: Invoker, name: str) -> Any:
        # The stream gets the first of two stalls; the other call gets the second, and then an
        # answer.
        return [
            await streamed(invoker, name),
            await invoked(invoker, name, idempotent=True),
        ]

    cases = {case: [step] * 2 for case, step in STALLS.items()}
    for patience in LONGER[:2]:
        with contextlib.suppress(AssertionError):  # a busy machine may be silent, too
            await compare(cases, call, read_timeout=patience)
            return
    await compare(cases, call, read_timeout=LONGER[2])


@pytest.mark.parametrize("transport", ["direct", "client", "fake"])
async def test_a_reset_in_mid_stream_truncates_the_body_on_every_transport(transport: Any) -> None:
    local: LocalLambda | FakeLambda
    async with contextlib.AsyncExitStack() as stack:
        if transport == "fake":
            local = FakeLambda()
            invoker = await stack.enter_async_context(fake(local))
        else:
            local = await stack.enter_async_context(LocalLambda())
            local.function("f", echo)
            invoker = await stack.enter_async_context(real(local.url, transport))
        local.fault(Streamed(frames=(ONE,), ending="reset"))
        chunks, result = await streamed(invoker, "f")
    assert chunks == [b"one"]
    assert (result["code"], result["delivery"]) == ("TruncatedBody", "executed")


LOST: list[Step] = [Reset(), Close(), Truncated(), error(500, "ServiceException"), throttle()]


@pytest.mark.parametrize("after_run", [False, True])
async def test_faults_meet_the_same_requests_before_or_after_the_run(after_run: bool) -> None:
    results: list[Any] = []

    async def call(local: LocalLambda | FakeLambda, invoker: Invoker) -> None:
        local.function("f", echo)
        ended = []
        for step in LOST:
            fault = local.fault(step, probability=0.5, seed=3, after_run=after_run)
            ended += [await invoked(invoker, "f", n, idempotent=True) for n in range(3)]
            ended.append(await streamed(invoker, "f", 1, idempotent=True))
            ended.append(fault.played)
            fault.remove()
        counted = local.statistics()
        ended.append((counted.invocations, counted.executions, counted.faults))
        ended += [(each.payload, each.streams) for each in local.requests]
        results.append(ended)

    async with LocalLambda(keep_requests=1000) as local, real(local.url, "direct") as invoker:
        await call(local, invoker)
    stand_in = FakeLambda()
    async with fake(stand_in) as invoker:
        await call(stand_in, invoker)
    assert results[0] == results[1]


def in_thread(event: Any, context: Any) -> Any:
    return [event, "zwö"]


async def gives_bytes(event: Any, context: Any) -> bytes:
    return b"\x00\xff"


async def describes(event: Any, context: Any) -> Any:
    return {
        "id": context.aws_request_id,
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "custom": context.client_context and context.client_context.custom,
        "tenant": context.tenant_id,
        "memory": context.memory_limit_in_mb,
        "group": context.log_group_name,
        "in time": 0 < context.get_remaining_time_in_millis() <= 3000,
    }


async def fails(event: Any, context: Any) -> Any:
    raise LookupError("no such thing: ü")


def exits(event: Any, context: Any) -> Any:
    sys.exit(event)


async def gives_no_json(event: Any, context: Any) -> Any:
    return {1, 2}


async def yields(event: Any, context: Any) -> AsyncIterator[bytes | str]:
    yield b"one"
    yield "zwö"


def yields_in_thread(event: Any, context: Any) -> Iterator[bytes]:
    yield b"one"
    yield b"two"


async def fails_late(event: Any, context: Any) -> AsyncIterator[bytes]:
    yield b"one"
    raise LookupError("no such thing")


async def yields_a_number(event: Any, context: Any) -> AsyncIterator[Any]:
    yield b"one"
    yield 2


HANDLERS = [
    echo,
    in_thread,
    gives_bytes,
    describes,
    fails,
    exits,
    gives_no_json,
    yields,
    yields_in_thread,
    fails_late,
    yields_a_number,
]
NAMES = [handler.__name__ for handler in HANDLERS]
CALLS: dict[str, dict[str, Any]] = {
    "plainly": {},
    "with the log": {"log_type": "Tail"},
    "for one who raises nothing": {"raise_on_function_error": False, "log_type": "Tail"},
}


async def compare_handlers(call: Callable[[Invoker], Any]) -> Any:
    results: dict[str, Any] = {}
    for transport in TRANSPORTS:
        async with LocalLambda() as local, real(local.url, transport) as invoker:
            for handler in HANDLERS:
                local.function(handler.__name__, handler).alias("live", "$LATEST")
            results[transport] = await call(invoker)
    async with fake(FakeLambda({each.__name__: each for each in HANDLERS})) as invoker:
        result = await call(invoker)
    for transport in TRANSPORTS:
        assert result == results[transport], transport
    return result


@pytest.mark.parametrize("how", CALLS)
async def test_handlers_answer_the_same(how: str) -> None:
    async def call(invoker: Invoker) -> dict[str, Any]:
        return {name: await invoked(invoker, name, 3, **CALLS[how]) for name in NAMES}

    result = await compare_handlers(call)
    assert json.loads(result["echo"]["payload"]) == 3


@pytest.mark.parametrize("how", CALLS)
async def test_handlers_stream_the_same(how: str) -> None:
    async def call(invoker: Invoker) -> dict[str, Any]:
        return {name: await streamed(invoker, name, 3, **CALLS[how]) for name in NAMES}

    result = await compare_handlers(call)
    assert result["yields"][1] == "onezwö".encode()


async def test_events_dry_runs_and_options_have_the_same_results() -> None:
    async def call(invoker: Invoker) -> list[Any]:
        return [
            await invoked(invoker, "echo", invocation_type="Event"),
            await invoked(invoker, "fails", invocation_type="Event"),
            await invoked(invoker, "fails", invocation_type="DryRun"),
            await invoked(invoker, "echo"),
            await invoked(invoker, "echo", b"{"),
            await invoked(invoker, "echo", b'{"n": NaN}'),
            await invoked(invoker, "nobody"),
            await invoked(invoker, "nobody", qualifier="live", invocation_type="Event"),
            await invoked(
                invoker,
                "describes:live",
                client_context={"custom": {"a": 1}},
                tenant_id="blue",
            ),
            await invoked(
                invoker, "arn:aws:lambda:us-east-1:123456789012:function:describes:$LATEST"
            ),
        ]

    await compare_handlers(call)


async def leave_early(invoker: Invoker) -> None:
    async with invoker.stream("endless") as response:
        async for _ in response:
            break


async def test_a_handler_whose_stream_is_left_early_is_closed(anyio_backend: str) -> None:
    closed = []

    async def endless(event: Any, context: Any) -> AsyncIterator[bytes]:
        try:
            for _ in itertools.count():
                yield b"more"
        finally:
            closed.append(True)

    async with fake(FakeLambda({"endless": endless})) as invoker:
        await leave_early(invoker)
        assert closed == [True]
        assert invoker.statistics().in_flight == 0


async def test_a_deadline_ends_a_handler(anyio_backend: str) -> None:
    begun: list[Any] = []

    async def sleeps(event: Any, context: Any) -> None:
        begun.append(event)
        await anyio.sleep_forever()

    async with fake(FakeLambda({"sleeps": sleeps})) as invoker:
        for timeout in LONGER:
            result = await invoked(invoker, "sleeps", timeout=timeout)
            if begun:
                break
    assert (result["code"], result["delivery"]) == ("Interrupted", "unknown")
