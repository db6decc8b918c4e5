"""Every recorded answer at the client: the verdict, the error, and whether it is retried."""

import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest

from asyncinvoke import (
    FailureKind,
    FunctionError,
    GaveUp,
    InvocationError,
    Invoker,
    NotReadyError,
    RejectedError,
    Response,
    ResponseStream,
    ServiceError,
    ThrottledError,
)
from asyncinvoke._retries.classify import CODES
from asyncinvoke.local import Answer, Streamed
from asyncinvoke.local.protocol import event_stream
from asyncinvoke.testing import InstantClock
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.doubles.sessions import SESSION

from .recorded import SUCCESSES
from .recorded_functions import FUNCTIONS
from .recorded_refusals import REFUSALS
from .recorded_streams import STREAMS, StreamVector
from .vector import REQUEST_ID, Meaning, Vector, filled

pytestmark = pytest.mark.anyio

ATTEMPTS = 3  # of RetryPolicy.standard(), for each kind of failure
FAILURES = [*REFUSALS, *FUNCTIONS]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, kw_only=True)
class Wire:
    endpoint: FaultEndpoint
    invoker: Invoker


@pytest.fixture
async def wire(transport: str) -> AsyncIterator[Wire]:
    async with (
        FaultEndpoint() as endpoint,
        Invoker(
            endpoint_url=endpoint.url,
            session=SESSION,
            transport=transport,  # type: ignore[arg-type]
            clock=InstantClock(),
        ) as invoker,
    ):
        yield Wire(endpoint=endpoint, invoker=invoker)


# Instead of Lambda's messages, which quote the payload or the request's headers.
OWN_WORDS = {
    "InvalidRequestContentException": "the payload is not JSON that Lambda can parse",
    "InvalidSignatureException": "the signature is not that of the secret key at this time",
}


def expected_message(vector: Vector) -> str:
    """Return the expected message of the error: one line of at most 300 characters."""
    text = " ".join(vector.message.split())
    return OWN_WORDS.get(vector.code or "") or (f"{text[:300]}..." if len(text) > 300 else text)


@contextlib.contextmanager
def named_on_failure(name: str) -> Iterator[None]:
    """Name the vector that failed. One invoker is used for all, because opening one takes time."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"vector: {name}")
        raise


def played(vector: Vector) -> Answer:
    """Return the bytes of a recorded answer."""
    headers = {name: filled(text) for name, text in vector.headers.items()}
    # The ID in this text.
    headers.pop("Content-Length", None)
    if vector.log is not None:
        headers["X-Amz-Log-Result"] = base64.b64encode(filled(vector.log).encode()).decode()
    return Answer(status_code=vector.status, payload=filled(vector.body).encode(), headers=headers)


def check(raised: InvocationError, means: Meaning) -> None:
    assert type(raised) is means.raises
    assert raised.delivery is means.delivery
    assert raised.retry_after is None
    assert raised.gave_up is (GaveUp.ATTEMPTS if means.is_repeated else GaveUp.NOT_RETRYABLE)
    assert len(raised.attempts) == (ATTEMPTS if means.is_repeated else 1)
    assert {attempt.kind for attempt in raised.attempts} == {means.kind}
    assert {attempt.delivery for attempt in raised.attempts} == {means.delivery}
    if isinstance(raised, ThrottledError):
        assert (raised.reason, raised.scope) == (means.reason, means.scope)
    if isinstance(raised, FunctionError):
        assert raised.error_type == means.error_type
        assert raised.error_message == (means.error_message and filled(means.error_message))
        assert raised.stack_trace == tuple(map(filled, means.stack_trace))


async def test_a_recorded_success_is_a_response(wire: Wire) -> None:
    for vector in SUCCESSES:
        wire.endpoint.script("f", played(vector))
        sent = vector.call.headers if vector.call else {}
        invocation_type: Any = sent.get("X-Amz-Invocation-Type", "RequestResponse")
        with named_on_failure(vector.name):
            response = await wire.invoker.invoke("f", invocation_type=invocation_type)
            assert response.status_code == vector.status
            assert response.payload == filled(vector.body).encode()
            assert response.executed_version == vector.headers.get("X-Amz-Executed-Version")
            assert response.request_id == REQUEST_ID
            assert (response.function_error, response.log_result) == (None, None)


@pytest.mark.parametrize("streams", [False, True], ids=["invoke", "stream"])
async def test_a_recorded_refusal_is_an_error_of_its_kind(wire: Wire, streams: bool) -> None:
    for number, vector in enumerate(REFUSALS):
        # A separate function, because each function has a retry budget.
        name = f"f{number}"
        wire.endpoint.script(name, *[played(vector)] * ATTEMPTS)
        with named_on_failure(vector.name):
            with pytest.raises(InvocationError) as raised:
                await begin(wire.invoker, name, streams=streams)
            assert vector.means
            check(raised.value, vector.means)
            assert (raised.value.status_code, raised.value.code) == (vector.status, vector.code)
            assert raised.value.message == expected_message(vector)
            assert raised.value.request_id == REQUEST_ID
            assert len(raised.value.attempts) == wire.endpoint.deliveries(name)


async def begin(invoker: Invoker, name: str, *, streams: bool) -> None:
    if streams:
        await invoker.stream(name).__aenter__()
    else:
        await invoker.invoke(name)


async def test_a_recorded_answer_of_a_function_is_read_as_a_whole(wire: Wire) -> None:
    for number, vector in enumerate(FUNCTIONS):
        name = f"f{number}"
        wire.endpoint.script(name, played(vector))
        with named_on_failure(vector.name):
            response = await answer_of(vector, wire.invoker, name)
            assert response.payload == filled(vector.body).encode()
            assert response.log_result == (vector.log and filled(vector.log))
            assert (response.executed_version, response.request_id) == ("$LATEST", REQUEST_ID)
            assert wire.endpoint.deliveries(name) == 1


async def answer_of(vector: Vector, invoker: Invoker, name: str) -> Response:
    if vector.means is None:
        return await invoker.invoke(name, log_type="Tail")
    with pytest.raises(FunctionError) as raised:
        await invoker.invoke(name, log_type="Tail")
    check(raised.value, vector.means)
    assert raised.value.function_error == vector.headers["X-Amz-Function-Error"]
    return raised.value.response


async def test_a_log_that_was_cut_within_a_character_is_read(wire: Wire) -> None:
    tail = ("ä" * 4096).encode()[-4095:]
    log = base64.b64encode(tail).decode()
    wire.endpoint.script("f", Answer(headers={"X-Amz-Log-Result": log}))
    response = await wire.invoker.invoke("f", log_type="Tail")
    assert response.log_result == "\ufffd" + "ä" * 2047


async def test_a_stream_ends_as_its_last_frame_says(wire: Wire) -> None:
    for vector in STREAMS:
        frames = [
            event_stream.frame(headers, filled(payload).encode())
            for headers, payload in vector.frames
        ]
        headers = {"x-amzn-RequestId": REQUEST_ID}
        wire.endpoint.script("f", Streamed(frames=tuple(frames), headers=headers))
        with named_on_failure(vector.name):
            assert await chunks_of(vector, wire.invoker) == [
                filled(payload).encode()
                for headers, payload in vector.frames
                if headers.get(":event-type") == "PayloadChunk"
            ]


async def chunks_of(vector: StreamVector, invoker: Invoker) -> list[bytes]:
    chunks: list[bytes] = []

    async def drain() -> ResponseStream:
        async with invoker.stream("f", log_type="Tail") as stream:
            async for chunk in stream:
                chunks.append(chunk)
        return stream

    if vector.means is None:
        stream = await drain()
        assert stream.response
        assert stream.response.request_id == REQUEST_ID
        return chunks
    with pytest.raises(vector.means.raises) as raised:
        await drain()
    check(raised.value, vector.means)
    assert vector.code in (None, raised.value.code)
    return chunks


async def test_every_error_of_the_service_model_arrives_as_its_own_kind(wire: Wire) -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    types = {
        FailureKind.THROTTLED: ThrottledError,
        FailureKind.NOT_READY: NotReadyError,
        FailureKind.SERVICE: ServiceError,
        FailureKind.REJECTED: RejectedError,
    }
    shapes = model.operation_model("Invoke").error_shapes
    assert len(shapes) > 40
    for shape in shapes:
        # The model spells the key in lower case for some, and capitalized for others.
        (key,) = shape.members.keys() & {"message", "Message"}
        kind, delivery = CODES[shape.name]
        status = shape.metadata["error"]["httpStatusCode"]
        answer = Answer(
            status_code=status,
            payload=f'{{"Type":"User","{key}":"the reason"}}'.encode(),
            headers={"x-amzn-ErrorType": shape.name},
        )
        wire.endpoint.script(shape.name, *[answer] * ATTEMPTS)
        with pytest.raises(InvocationError) as raised:
            await wire.invoker.invoke(shape.name)
        assert type(raised.value) is types[kind]
        assert (raised.value.code, raised.value.status_code) == (shape.name, status)
        assert raised.value.message == OWN_WORDS.get(shape.name, "the reason")
        assert raised.value.delivery is delivery
        assert len(raised.value.attempts) == wire.endpoint.deliveries(shape.name)
