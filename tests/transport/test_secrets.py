"""After every fault, no remains of a call show a key, token, payload or client context."""

import base64
import json
import logging
import pickle
import socket
import traceback
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from asyncinvoke import FixedLimit, InvocationError, Invoker, RetryPolicy
from asyncinvoke._model.delivery import Progress
from asyncinvoke._request.parameters import checked
from asyncinvoke.local import (
    Answer,
    Close,
    Raw,
    Reset,
    Stall,
    Step,
    Streamed,
    Truncated,
    error,
    throttle,
)
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.doubles.inside import transport_of

pytestmark = pytest.mark.anyio

SESSION = AioSession()
KEY, SECRET, TOKEN = "AKIDHIDDEN", "hidden-secret-key", "hidden-session-token"
PAYLOAD = b'{"card": "hidden-payload"}'
CONTEXT = {"custom": {"user": "hidden-context"}}
ENCODED = base64.b64encode(json.dumps(CONTEXT, separators=(",", ":")).encode()).decode()
HIDDEN = [SECRET, TOKEN, "hidden-payload", "hidden-context", ENCODED, "Signature="]
CANONICAL = (
    f"The canonical string should have been POST /2015 host:lambda x-amz-client-context:{ENCODED} "
    f"x-amz-security-token:{TOKEN} for {PAYLOAD.decode()}"
)

STEPS: dict[str, Step] = {
    "throttle": throttle(),
    "not found": error(404, "ResourceNotFoundException"),
    "wrong signature": error(403, "InvalidSignatureException", CANONICAL),
    "wrong signature, another word": error(403, "SignatureDoesNotMatch", CANONICAL),
    "incomplete signature": error(403, "IncompleteSignatureException", CANONICAL),
    "payload that is no JSON": error(400, "InvalidRequestContentException", CANONICAL),
    "service": error(500, "ServiceException"),
    "HTML that quotes": Answer(status_code=502, payload=f"<html>{CANONICAL}</html>".encode()),
    "JSON that quotes": Answer(
        status_code=403, payload=json.dumps({"message": CANONICAL}).encode()
    ),
    "a login page": Answer(status_code=302, payload=CANONICAL.encode()),
    "garbage that quotes": Raw(sent=CANONICAL.encode() + b"\r\n\r\n"),
    "header that quotes": Raw(sent=f"HTTP/1.1 200 OK\r\n{CANONICAL}\r\n\r\n".encode()),
    "reset": Reset(),
    "reset early": Reset(read=False),
    "close": Close(),
    "truncated": Truncated(answer=Answer(payload=PAYLOAD), sent=5),
    "stall": Stall(),
    "stall in the body": Stall(sent=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + PAYLOAD),
    "a stream that breaks off": Streamed(frames=(), ending="reset"),
    "frames that are none": Answer(payload=CANONICAL.encode()),
}


ONLY_STREAMS = {"a stream that breaks off", "frames that are none"}


def frames(error: BaseException) -> Iterator[dict[str, object]]:
    """Return the locals of the transport's frames in an error and its causes."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "asyncinvoke/_transport" in frame.f_code.co_filename:
            yield frame.f_locals


def all_of(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop()
        if id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [e for e in (found.__cause__, found.__context__) if e is not None]


def shown_by(error: BaseException) -> str:
    """Return everything that a log, a pickle, a debugger or a crash reporter would show."""
    shown: list[object] = []
    for each in all_of(error):
        shown += [str(each), repr(each), each.args, vars(each), *frames(each)]
    return " ".join([repr(shown), repr(pickle.dumps(error))])


async def call(invoker: Invoker) -> BaseException:
    with pytest.raises(InvocationError) as raised:
        await invoker.invoke("f", PAYLOAD, client_context=CONTEXT)
    return raised.value


async def stream(invoker: Invoker) -> BaseException:
    with pytest.raises(InvocationError) as raised:
        await drain(invoker)
    return raised.value


async def drain(invoker: Invoker) -> None:
    async with invoker.stream("f", PAYLOAD, client_context=CONTEXT) as chunks:
        async for _ in chunks:
            pass


def open_invoker(url: str, transport: Any, *, read_timeout: float = 0.1) -> Invoker:
    return Invoker(
        session=SESSION,
        endpoint_url=url,
        transport=transport,
        config=AioConfig(read_timeout=read_timeout, connect_timeout=0.2),
        retry=RetryPolicy(),
        limit=FixedLimit(9),
    )


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    SESSION.set_credentials(KEY, SECRET, TOKEN)


async def test_no_answer_and_no_fault_leaves_a_secret_behind(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="asyncinvoke"):
        async with FaultEndpoint() as endpoint, open_invoker(endpoint.url, transport) as invoker:
            for name, step in STEPS.items():
                endpoint.script("f", step, step)
                ended = [await stream(invoker)]
                if name not in ONLY_STREAMS:
                    ended.append(await call(invoker))
                for error in ended:
                    for hidden in HIDDEN:
                        assert hidden not in shown_by(error), (name, hidden)
    for hidden in HIDDEN:
        assert hidden not in caplog.text


async def test_no_connection_leaves_a_secret_behind(transport: str) -> None:
    with socket.socket() as unused, socket.socket() as deaf:
        unused.bind(("127.0.0.1", 0))
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        urls = [
            f"http://127.0.0.1:{unused.getsockname()[1]}",
            f"https://127.0.0.1:{deaf.getsockname()[1]}",
            "http://lambda.invalid",
        ]
        for url in urls:
            async with open_invoker(url, transport) as invoker:
                for error in (await call(invoker), await stream(invoker)):
                    for hidden in HIDDEN:
                        assert hidden not in shown_by(error), (url, hidden)


async def test_a_cancelled_call_shows_no_key_and_no_signature(transport: str) -> None:
    caught: list[BaseException] = []
    async with (
        FaultEndpoint() as endpoint,
        open_invoker(endpoint.url, transport, read_timeout=60) as invoker,
    ):
        endpoint.script("f", Stall())
        sends: Any = transport_of(invoker)

        async def send() -> None:
            try:
                await sends.send(checked("f", client_context=CONTEXT), PAYLOAD, Progress())
            except BaseException as error:
                caught.append(error)
                raise

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            while not endpoint.requests("f"):
                await anyio.sleep(0.001)
            group.cancel_scope.cancel()
    (cancelled,) = caught
    shown = repr([list(frames(each)) for each in all_of(cancelled)])
    for hidden in (SECRET, TOKEN, "Signature="):
        assert hidden not in shown


async def test_what_is_kept_between_calls_shows_nothing(transport: str) -> None:
    async with FaultEndpoint() as endpoint, open_invoker(endpoint.url, transport) as invoker:
        await invoker.invoke("f", PAYLOAD, client_context=CONTEXT)
        sends: Any = transport_of(invoker)
        kept = [sends, *vars(sends).values()]
        shown = repr([vars(each) for each in kept if hasattr(each, "__dict__")])
    for hidden in HIDDEN:
        assert hidden not in shown
