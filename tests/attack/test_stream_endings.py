"""Streams end in time, with the error that was received, and only with errors of this library."""

import json
import math
from collections.abc import Mapping

import anyio
import pytest

from asyncinvoke import (
    AsyncInvokeError,
    ConfigurationError,
    DeadlineExceededError,
    FunctionError,
    Invoker,
    Response,
    ResponseStream,
    TransportError,
)
from asyncinvoke._transport import stream as transported
from tests.doubles.counting_server import Act, CountingServer, Ending
from tests.doubles.messages import (
    HeaderValue,
    chunk_frame,
    complete_frame,
    frame,
    stream_answer,
)
from tests.doubles.waiting import LONGER, until

from .conftest import LOOPS
from .invokers import open_invoker

FAILED = complete_frame(ErrorCode="Unhandled", ErrorDetails='{"errorType": "KeyError"}')


def never_ending(*frames: bytes) -> Act:
    """Send frames, and never end the body."""
    return Act(sent=stream_answer(*frames, is_ended=False), then="stall")


async def consume(
    invoker: Invoker, timeout: float | None = None
) -> tuple[list[bytes], Response | AsyncInvokeError | None]:
    """Read a stream to its end; raise any error that is not of this library."""
    chunks: list[bytes] = []
    try:
        async with invoker.stream("f", timeout=timeout) as stream:
            async for chunk in stream:
                chunks.append(chunk)
            return chunks, stream.response
    except AsyncInvokeError as error:
        return chunks, error


@pytest.fixture
def unlimited_wait_for_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the deadline limits the wait for the end of a body."""
    monkeypatch.setattr(transported, "_LAST_WORDS", math.inf)


async def consume_in_time(
    act: Act, transport: str, expected: type[Response | AsyncInvokeError]
) -> tuple[list[bytes], object]:
    """Read streams with longer and longer timeouts until one ends as expected.

    On a busy machine the timeout may expire before the frames arrive. So only the end of a stream
    with enough time counts, and that it comes before twice the timeout.
    """
    chunks: list[bytes] = []
    ended: object = None
    for timeout in LONGER:
        with CountingServer(Act(sent=stream_answer(complete_frame())), act) as server:
            async with open_invoker(server.url, transport=transport, clock=None) as invoker:
                # One-time preparation does not count towards the timeout.
                assert isinstance((await consume(invoker))[1], Response)
                with anyio.move_on_after(2 * timeout) as scope:
                    chunks, ended = await consume(invoker, timeout)
                assert invoker.statistics().in_flight == 0
        if not scope.cancelled_caught and isinstance(ended, expected):
            break
    return chunks, ended


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", LOOPS, indirect=True)
async def test_one_task_at_a_time_takes_chunks_until_the_block_is_left(transport: str) -> None:
    ends: list[BaseException] = []

    async def take(stream: ResponseStream) -> None:
        try:
            await anext(stream)
        except (AsyncInvokeError, anyio.ClosedResourceError) as error:
            ends.append(error)

    with CountingServer(default=never_ending(chunk_frame(b"one"))) as server, anyio.fail_after(60):
        async with (
            open_invoker(server.url, transport=transport) as invoker,
            anyio.create_task_group() as tasks,
        ):
            async with invoker.stream("f") as stream:
                assert await anext(stream) == b"one"
                tasks.start_soon(take, stream)
                tasks.start_soon(take, stream)
                await until(lambda: ends)
            await until(lambda: len(ends) == 2)
            assert invoker.statistics().in_flight == 0
    refused, left = ends
    assert isinstance(refused, ConfigurationError)
    assert "only one task at a time" in str(refused)
    assert type(left) is anyio.ClosedResourceError, "the service is not to blame"


@pytest.mark.anyio
@pytest.mark.usefixtures("unlimited_wait_for_end")
async def test_a_stream_that_has_received_its_end_does_not_wait_beyond_its_deadline(
    transport: str,
) -> None:
    act = never_ending(chunk_frame(b"one"), complete_frame())
    chunks, response = await consume_in_time(act, transport, Response)
    assert chunks == [b"one"]
    assert isinstance(response, Response), repr(response)


@pytest.mark.anyio
async def test_a_stream_that_falls_silent_ends_at_its_deadline(transport: str) -> None:
    act = never_ending(chunk_frame(b"one"))
    for timeout in LONGER:
        with CountingServer(act) as server, anyio.fail_after(60):
            async with open_invoker(server.url, transport=transport, clock=None) as invoker:
                chunks, error = await consume(invoker, timeout)
                assert invoker.statistics().in_flight == 0
        assert isinstance(error, DeadlineExceededError), repr(error)
        if chunks:  # a busy machine may need more time for the first one
            assert error.delivery.may_have_run
            break
    assert chunks == [b"one"]


@pytest.mark.anyio
@pytest.mark.parametrize("before", [[], [b"one"]], ids=["first", "after a chunk"])
@pytest.mark.usefixtures("unlimited_wait_for_end")
async def test_a_function_error_that_has_arrived_is_raised_whatever_the_deadline(
    before: list[bytes], transport: str
) -> None:
    act = never_ending(*(chunk_frame(chunk) for chunk in before), FAILED)
    chunks, error = await consume_in_time(act, transport, FunctionError)
    assert chunks == before
    assert isinstance(error, FunctionError), repr(error)
    assert error.error_type == "KeyError"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", LOOPS, indirect=True)
@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_stream_that_is_cut_anywhere_raises(then: Ending, transport: str) -> None:
    frames = [chunk_frame(b"alpha"), chunk_frame(b"beta!"), complete_frame()]
    whole = stream_answer(*frames)
    # The end of each frame, without the line ending of its HTTP chunk.
    ends = [len(stream_answer(*frames[:n], is_ended=False)) - 2 for n in (1, 2, 3)]
    cuts = sorted({*range(0, len(whole), 11), *ends, *(end - 1 for end in ends)})
    contradictions = []
    with CountingServer(*(Act(sent=whole[:cut], then=then) for cut in cuts)) as server:
        async with open_invoker(server.url, transport=transport) as invoker:
            for cut in cuts:
                chunks, ended = await consume(invoker)
                arrived = [b"alpha", b"beta!"][: sum(cut >= end for end in ends[:2])]
                if then == "reset":  # which may overtake sent data
                    is_true = chunks == arrived[: len(chunks)]
                else:
                    is_true = chunks == arrived and isinstance(ended, Response) == (cut >= ends[2])
                if isinstance(ended, TransportError):
                    is_true &= ended.delivery.may_have_run
                else:
                    is_true &= isinstance(ended, Response) and cut >= ends[2]
                if not is_true:
                    contradictions.append(f"{cut} of {len(whole)}: {chunks} {ended!r}")
            assert invoker.statistics().in_flight == 0
        assert server.whole == len(cuts)
    assert not contradictions, "\n".join(contradictions)


def message(**headers: HeaderValue) -> Mapping[str, HeaderValue]:
    return {f":{name.replace('_', '-')}": value for name, value in headers.items()}


def complete_of(payload: bytes) -> bytes:
    return frame(message(message_type="event", event_type="InvokeComplete"), payload)


ODD_FRAMES = {
    "ErrorCode is a number": complete_frame(ErrorCode=5),
    "ErrorCode is an object": complete_frame(ErrorCode={"a": 1}, ErrorDetails="x"),
    "ErrorCode is a list": complete_frame(ErrorCode=["Unhandled"]),
    "ErrorDetails is a number": complete_frame(ErrorCode="Unhandled", ErrorDetails=7),
    "ErrorDetails is an object": complete_frame(ErrorCode="Unhandled", ErrorDetails={"a": 1}),
    "ErrorDetails holds odd members": complete_frame(
        ErrorCode="Unhandled", ErrorDetails=json.dumps({"errorType": 1, "errorMessage": [2]})
    ),
    "LogResult is a number": complete_frame(LogResult=7),
    "LogResult is not base64": complete_frame(LogResult="%%%"),
    "the end is a list": complete_of(b"[1]"),
    "the end is null": complete_of(b"null"),
    "the end is not JSON": complete_of(b"{"),
    "the end is not UTF-8": complete_of(b"\xff\xfe"),
    "the end is nested deeply": complete_of(b"[" * 100_000),
    "event type is a number": frame(message(message_type="event", event_type=7), b"x"),
    "event type is a boolean": frame(message(message_type="event", event_type=True), b"x"),
    "event type is bytes": frame(message(message_type="event", event_type=b"\xff"), b"x"),
    "event type is missing": frame(message(message_type="event"), b"x"),
    "message type is a number": frame(message(message_type=1), b"x"),
    "message type is missing": frame({}, b"x"),
    "exception type is a number": frame(
        message(message_type="exception", exception_type=3), b'{"message": 4}'
    ),
    "exception type is missing": frame(message(message_type="exception"), b"[]"),
    "error code is bytes": frame(
        message(message_type="error", error_code=b"\xff", error_message=True), b""
    ),
    "error code is missing": frame(message(message_type="error"), b""),
    "unknown event": frame(message(message_type="event", event_type="Later"), b"\xff"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("first", [True, False], ids=["first", "after a chunk"])
async def test_frames_with_odd_members_raise_nothing_but_our_own_errors(
    first: bool, transport: str
) -> None:
    before = [] if first else [chunk_frame(b"one")]
    acts = [Act(sent=stream_answer(*before, odd, complete_frame())) for odd in ODD_FRAMES.values()]
    foreign: dict[str, str] = {}
    with CountingServer(*acts) as server:
        async with open_invoker(server.url, transport=transport) as invoker:
            for name in ODD_FRAMES:
                try:
                    chunks, ended = await consume(invoker)
                except Exception as error:
                    foreign[name] = repr(error)
                else:
                    assert chunks in ([], [b"one"], [b"x"], [b"one", b"x"])
                    if isinstance(ended, TransportError):
                        assert ended.delivery.may_have_run, name
            assert invoker.statistics().in_flight == 0
        assert server.whole == len(ODD_FRAMES)
    assert not foreign
