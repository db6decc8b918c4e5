"""Every recorded answer that the endpoint can produce, over a raw socket."""

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from botocore.eventstream import EventStreamBuffer

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.execution import logs

from . import functions
from .raw import RawAnswer, exchange, invoke_path, request
from .recorded import DRY_RUN, STREAM, SUCCESSES
from .recorded_functions import AGENT, FUNCTIONS, LANGUAGES, TAIL
from .recorded_refusals import BODIES, FORBIDDEN, NAMES, REFUSALS, STATES, THROTTLES
from .recorded_streams import STREAMS, StreamVector
from .vector import Call, Vector, as_json, matches

pytestmark = pytest.mark.anyio
ALL = [*SUCCESSES, *REFUSALS, *FUNCTIONS]


def ways(vectors: list[Vector]) -> list[Any]:
    """Return each vector with each kind of handler that produces it."""
    return [
        pytest.param(vector, vector.call, kind, id=f"{vector.name}, {kind}")
        for vector in vectors
        if vector.call is not None
        for kind in (("process",) if vector.call.source else vector.call.kinds)
    ]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def handler_of(call: Call, kind: str, folder: Path) -> Any:
    if call.source is not None:
        module = folder / "module.py"
        module.write_text(call.source, encoding="utf-8")
        return f"{module}:handler"
    if kind == "process":
        return f"{functions.__file__}:{call.handler}"
    return getattr(functions, call.handler or "")


async def answer_to(
    call: Call, kind: str, folder: Path, *, status: int, streams: bool
) -> RawAnswer:
    async with LocalLambda(**call.endpoint) as local:
        if call.handler is not None:
            function = local.function("f", handler_of(call, kind, folder), **call.options)
            function.alias("live", function.publish_version())
        for method, path, body in call.before:
            sent = request(method, path, body)
            (done,) = await to_thread.run_sync(partial(exchange, local.url, sent))
            assert done.status < 300
        path = invoke_path(call.name, call.qualifier, streams=streams)
        sent = request("POST", path, call.body, dict(call.headers)) * call.times
        answers = await to_thread.run_sync(partial(exchange, local.url, sent, call.times))
    return [answer for answer in answers if answer.status == status][-1]


def check(vector: Vector, call: Call, answer: RawAnswer) -> None:
    headers = dict(answer.headers)
    assert len(headers) == len(answer.headers)
    assert headers.keys() == vector.headers.keys()
    known = {
        "id": headers["x-amzn-RequestId"],
        "number": str(len(answer.body)),
        "seconds": f"{call.options.get('timeout', 3):.2f}",
    }
    assert matches("<id>", known["id"])
    for name, template in vector.headers.items():
        assert matches(template, headers[name], **known), (name, headers[name])
    del known["number"]
    # White space is not recorded; keys, their order and values are.
    body = as_json(json.loads(answer.body)) if answer.body else ""
    assert matches(vector.body, body, **known), body[:1000]
    if vector.log is not None:
        log = base64.b64decode(headers["X-Amz-Log-Result"]).decode()
        assert matches(vector.log, log, **known), log


def test_what_the_endpoint_never_answers_is_known() -> None:
    never = {vector.name for vector in ALL if vector.call is None}
    elsewhere = {vector.name for vector in [*LANGUAGES, *FORBIDDEN] if vector.call is None}
    assert never - elsewhere - {vector.name for vector in AGENT} == {
        # It has no tracing, no custom runtimes, no SnapStart and no permanently failed functions.
        "an active trace",
        "a custom runtime's content type",
        "throttled by ConcurrentSnapshotCreateLimitExceeded",
        "Failed",
        # It is not an answer of Invoke.
        "an update in progress",
        # Former forms, and newer ones that are not fully known.
        "an unknown function in 2023",
        "a payload that is too large, in the model's code",
        "an Event of more than 262144 bytes",
        "an Event of more than 131072 bytes",
        "a timeout until 2024",
        "the memory is used up, in the newer form",
    }


def test_what_is_a_guess_for_invoke_is_known() -> None:
    """Every other answer was recorded from Invoke itself."""
    assert {vector.name for vector in ALL if vector.is_guess and vector not in FORBIDDEN} == {
        "throttled by ConcurrentInvocationLimitExceeded",
        "throttled by FunctionInvocationRateLimitExceeded",
        "throttled by ReservedFunctionInvocationRateLimitExceeded",
        "throttled by CallerRateLimitExceeded",
        "throttled by ConcurrentSnapshotCreateLimitExceeded",
        "an update in progress",
        "a body that is no object",
    }


@pytest.mark.parametrize(("vector", "call", "kind"), ways(ALL))
async def test_the_endpoint_answers_as_recorded(
    vector: Vector, call: Call, kind: str, tmp_path: Path
) -> None:
    if kind == "process":
        pytest.importorskip("awslambdaric", reason="needs asyncinvoke[local]")
    check(vector, call, await answer_to(call, kind, tmp_path, status=vector.status, streams=False))


async def test_a_log_is_cut_to_its_last_4096_bytes_even_within_a_character(tmp_path: Path) -> None:
    pytest.importorskip("awslambdaric", reason="needs asyncinvoke[local]")
    assert logs.tail("ä".encode() * 2048 + b"x") == "ä".encode()[1:] + "ä".encode() * 2047 + b"x"
    call = Call(handler="floods", headers=TAIL)
    answer = await answer_to(call, "process", tmp_path, status=200, streams=False)
    log = base64.b64decode(dict(answer.headers)["X-Amz-Log-Result"])
    assert len(log) == 4096
    shown = log[: log.index(b"END RequestId: ")]
    assert shown == ("ä" * 4096).encode()[-len(shown) :]


# Refused before the first byte, a stream is an ordinary answer.
NO_STREAM = [
    *(vector for vector in SUCCESSES if vector.call and vector.call.headers == DRY_RUN),
    *NAMES,
    *BODIES,
    *STATES,
    *THROTTLES,
]


@pytest.mark.parametrize(("vector", "call", "kind"), ways(NO_STREAM))
async def test_a_stream_that_is_refused_is_answered_as_recorded(
    vector: Vector, call: Call, kind: str, tmp_path: Path
) -> None:
    check(vector, call, await answer_to(call, kind, tmp_path, status=vector.status, streams=True))


@pytest.mark.parametrize(
    "vector", [pytest.param(vector, id=vector.name) for vector in STREAMS if vector.handler]
)
async def test_a_stream_is_made_of_the_known_frames(vector: StreamVector, tmp_path: Path) -> None:
    call = Call(handler=vector.handler, headers=vector.headers)
    answer = await answer_to(call, "callable", tmp_path, status=200, streams=True)
    headers = dict(answer.headers)
    assert headers.keys() == STREAM.keys()
    assert all(matches(template, headers[name]) for name, template in STREAM.items())
    buffer = EventStreamBuffer()
    buffer.add_data(answer.body)
    frames = [(frame.headers, frame.payload.decode()) for frame in buffer]
    assert [headers for headers, _ in frames] == [headers for headers, _ in vector.frames]
    for (_, template), (_, payload) in zip(vector.frames, frames, strict=True):
        assert matches(template, payload, id=headers["x-amzn-RequestId"]), payload
