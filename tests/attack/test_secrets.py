"""After every fault of the table: no key, secret, token, payload or client context is to be seen."""

import base64
import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from asyncinvoke import FixedLimit, InvocationError, Invoker, Response
from asyncinvoke.otel import OpenTelemetry
from tests.doubles.certificates import Authority, Identity
from tests.doubles.counting_server import STALL, Act, CountingServer
from tests.doubles.messages import (
    Received,
    chunk_frame,
    error_answer,
    stream_answer,
)

from .conftest import THREE_WAYS
from .faults import FAULTS, LARGE, Prepare, Stage, answered
from .invokers import end_of, invoked, new_session, open_invoker
from .secrets import CONTEXT, KEY, PAYLOAD, SECRET, TOKEN, leaks_of, shown_in


def quoting(status: int, code: str) -> Prepare:
    """The answer quotes the request, headers and all, as Lambda's own do for some codes."""

    def quote(request: Received) -> bytes:
        headers = "\\n".join(f"{name}:{value}" for name, value in request.headers.items())
        body = request.body.decode()
        return error_answer(status, code, f"The request was POST\\n{headers}\\n\\n{body}")

    return answered(Act(sent=quote))


QUOTES = {
    "quoted: signature does not match": quoting(403, "SignatureDoesNotMatch"),
    "quoted: invalid signature": quoting(403, "InvalidSignatureException"),
    "quoted: incomplete signature": quoting(403, "IncompleteSignatureException"),
    "quoted: unknown client": quoting(403, "UnrecognizedClientException"),
    "quoted: payload is not JSON": quoting(400, "InvalidRequestContentException"),
}
SLOW = ("silence in the body", "an answer beyond Lambda's limit")
"""What takes long, and shows nothing that its neighbours do not."""

SCENES: dict[str, Prepare] = {
    **{name: each.prepare for name, each in FAULTS.items() if not name.startswith(SLOW)},
    **QUOTES,
}


class Lines(logging.Handler):
    """Keeps what our loggers say, arguments and tracebacks included."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.hook: OpenTelemetry | None = None

    def emit(self, record: logging.LogRecord) -> None:
        # Its attributes are what a JSON formatter writes.
        self.lines.append(f"{self.format(record)} {vars(record)!r}")
        if record.exc_info and record.exc_info[1]:
            self.lines += [f"logged {leak}" for leak in leaks_of(record.exc_info[1])]


class Exporter(SpanExporter):
    """Keeps what spans say among the lines."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._lines += [span.to_json() for span in spans]
        return SpanExportResult.SUCCESS


@pytest.fixture
def log() -> Iterator[Lines]:
    handler, logger = Lines(), logging.getLogger("asyncinvoke")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Exporter(handler.lines)))
    handler.hook = OpenTelemetry(tracer_provider=provider)
    yield handler
    provider.shutdown()
    logger.removeHandler(handler)
    logger.setLevel(level)


def secret_session() -> Any:
    return new_session(key=KEY, secret=SECRET, token=TOKEN)


CALL: dict[str, Any] = {"client_context": {"custom": {"who": CONTEXT}}}


on_three_ways = pytest.mark.parametrize(("anyio_backend", "transport"), THREE_WAYS)


@pytest.mark.anyio
@pytest.mark.parametrize("phase", ["STS", "token", "SYN", "TLS", "proxy", "upload", "quoted", ""])
@on_three_ways
async def test_no_fault_shows_a_secret(
    phase: str,
    transport: str,
    authority: Authority,
    identity: Identity,
    tmp_path: Path,
    log: Lines,
) -> None:
    phases = ("STS", "token", "SYN", "TLS", "proxy", "upload", "quoted")
    leaks: set[str] = set()
    for number, (name, prepare) in enumerate(SCENES.items()):
        if not (name.startswith(phase) if phase else not name.startswith(phases)):
            continue
        directory = tmp_path / str(number)
        directory.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            stage = Stage(
                monkeypatch=patch, directory=directory, authority=authority, identity=identity
            )
            leaks |= {f"{name}: {leak}" for leak in await leaks_in(prepare, stage, transport, log)}
    leaks |= {f"log shows {secret}" for line in log.lines for secret in shown_in(line)}
    assert not leaks, "\n".join(sorted(leaks))


async def leaks_in(prepare: Prepare, stage: Stage, transport: str, log: Lines) -> set[str]:
    with prepare(stage) as scene:
        payload: object = {"n": PAYLOAD}
        if scene.payload is LARGE:
            # Large enough to be cut, and to be searched for in many frames.
            payload = b'"' + PAYLOAD.encode() + LARGE[-300_000:]
        options = {"session": secret_session(), "transport": transport, "limit": FixedLimit(5)}
        options["hooks"] = [log.hook]
        async with open_invoker(scene.url, **{**options, **scene.options}) as invoker:
            scene.begin()
            ended = await invoked(invoker, payload, **{**CALL, **scene.call})
    if isinstance(ended, Response):
        return shown_in(repr(ended)) - {"payload"}
    return leaks_of(ended)


@contextlib.contextmanager
def failing() -> Iterator[CountingServer]:
    """A server whose answers fail a function, and whose streams break off."""

    def decide(request: Received) -> Act:
        if "response-streaming" in request.target:
            broken = stream_answer(chunk_frame(b"one"), is_ended=False)
            return Act(sent=broken, then="close")
        return Act(sent=error_answer(500, "ServiceException"))

    with CountingServer(default=decide) as server:
        yield server


async def by_map(invoker: Invoker) -> BaseException:
    async with invoker.map("f", [{"n": PAYLOAD}], **CALL) as run:
        (outcome,) = [outcome async for outcome in run]
    try:
        outcome.unwrap()
    except InvocationError as error:
        assert not shown_in(repr(outcome))
        return error
    raise AssertionError


async def by_stream(invoker: Invoker) -> BaseException:
    try:
        async with invoker.stream("f", {"n": PAYLOAD}, **CALL) as stream:
            async for _ in stream:
                pass
    except InvocationError as error:
        return error
    raise AssertionError


async def by_handle(invoker: Invoker) -> BaseException:
    ended = await end_of(invoker.function("f", **CALL)({"n": PAYLOAD}))
    assert isinstance(ended, InvocationError)
    return ended


async def by_event(invoker: Invoker) -> BaseException:
    ended = await end_of(invoker.send_event("f", {"n": PAYLOAD}, **CALL))
    assert isinstance(ended, InvocationError)
    return ended


@pytest.mark.anyio
@pytest.mark.parametrize("way", [by_map, by_stream, by_handle, by_event])
@on_three_ways
async def test_no_way_to_call_shows_a_secret(way: Any, transport: str, log: Lines) -> None:
    with failing() as server:
        async with open_invoker(
            server.url, session=secret_session(), transport=transport, hooks=[log.hook]
        ) as invoker:
            error = await way(invoker)
            leaks = leaks_of(error)
    leaks |= {f"log shows {secret}" for line in log.lines for secret in shown_in(line)}
    assert not leaks, "\n".join(sorted(leaks))


@pytest.mark.anyio
async def test_neither_a_refusal_nor_a_deadline_shows_a_secret() -> None:
    with CountingServer(default=STALL) as server:
        async with open_invoker(server.url, session=secret_session()) as invoker:
            refused = await end_of(invoker.invoke("f", {"n": PAYLOAD}, timeout=-1, **CALL))
            late = await end_of(invoker.invoke("f", {"n": PAYLOAD}, timeout=0.2, **CALL))
    leaks = {leak for each in (refused, late) for leak in leaks_of(each)}  # type: ignore[arg-type]
    assert not leaks, "\n".join(sorted(leaks))


@pytest.mark.parametrize("padding", ["", "x", "xx"])
def test_the_search_finds_what_is_there(padding: str) -> None:
    """One that finds nothing anywhere would pass everything above."""
    assert shown_in(f"x{SECRET}y") == {"secret"}
    encoded = base64.b64encode(f'{{"who{padding}": "{CONTEXT}"}}'.encode())
    assert shown_in(encoded) == {"client context"}
    error = ValueError("harmless")
    error.__cause__ = KeyError(TOKEN)
    assert leaks_of(error) == {
        f"token in {where} of KeyError behind it" for where in ("str", "repr", "args")
    }
