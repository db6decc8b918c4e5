"""After every fault of the table, no key, secret, token, payload or client context is visible."""

import asyncio
import base64
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from tenacity import stop_never

from asyncinvoke import Backoff, FixedLimit, InvocationError, Invoker, Response, RetryPolicy
from asyncinvoke.otel import OpenTelemetry
from tests.doubles.certificates import Authority, Identity
from tests.doubles.counting_server import STALL, Act, CountingServer
from tests.doubles.messages import (
    Received,
    chunk_frame,
    error_answer,
    stream_answer,
)
from tests.doubles.waiting import until

from .conftest import THREE_WAYS
from .faults import FAULTS, LARGE, Environment, Prepare, answered
from .invokers import invoked, new_session, open_invoker, result_of_call
from .secrets import CONTEXT, KEY, PAYLOAD, SECRET, TOKEN, leaks_of, shown_in


def quoting(status: int, code: str) -> Prepare:
    """An answer that quotes the request with its headers, as Lambda's do for some codes."""

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
"""Slow cases that test nothing that similar ones do not."""

SCENES: dict[str, Prepare] = {
    **{name: each.prepare for name, each in FAULTS.items() if not name.startswith(SLOW)},
    **QUOTES,
}


class LogHandler(logging.Handler):
    """Records the output of our loggers, with arguments and tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.hook: OpenTelemetry | None = None

    def emit(self, record: logging.LogRecord) -> None:
        # A JSON formatter writes the attributes.
        self.lines.append(f"{self.format(record)} {vars(record)!r}")
        if record.exc_info and record.exc_info[1]:
            self.lines += [f"logged {leak}" for leak in leaks_of(record.exc_info[1])]


class Exporter(SpanExporter):
    """Records spans together with the log lines."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._lines += [span.to_json() for span in spans]
        return SpanExportResult.SUCCESS


@pytest.fixture
def log() -> Iterator[LogHandler]:
    handler, logger = LogHandler(), logging.getLogger("asyncinvoke")
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
    log: LogHandler,
) -> None:
    phases = ("STS", "token", "SYN", "TLS", "proxy", "upload", "quoted")
    leaks: set[str] = set()
    for number, (name, prepare) in enumerate(SCENES.items()):
        if not (name.startswith(phase) if phase else not name.startswith(phases)):
            continue
        directory = tmp_path / str(number)
        directory.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            environment = Environment(
                monkeypatch=patch, directory=directory, authority=authority, identity=identity
            )
            leaks |= {
                f"{name}: {leak}" for leak in await leaks_in(prepare, environment, transport, log)
            }
    leaks |= {f"log shows {secret}" for line in log.lines for secret in shown_in(line)}
    assert not leaks, "\n".join(sorted(leaks))


async def leaks_in(
    prepare: Prepare, environment: Environment, transport: str, log: LogHandler
) -> set[str]:
    with prepare(environment) as staged:
        payload: object = {"n": PAYLOAD}
        if staged.payload is LARGE:
            # Large enough to be cut; the remainder is recognizable wherever it is cut.
            payload = b'"' + f"{PAYLOAD} ".encode() * 20_000 + b'"'
        options = {"session": secret_session(), "transport": transport, "limit": FixedLimit(5)}
        options["hooks"] = [log.hook]
        async with open_invoker(staged.url, **{**options, **staged.options}) as invoker:
            staged.begin()
            ended = await invoked(invoker, payload, **{**CALL, **staged.call})
    if isinstance(ended, Response):
        return shown_in(repr(ended)) - {"payload"}
    return leaks_of(ended)


@contextlib.contextmanager
def failing() -> Iterator[CountingServer]:
    """A server whose functions fail, and whose streams break off."""

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
    ended = await result_of_call(invoker.function("f", **CALL)({"n": PAYLOAD}))
    assert isinstance(ended, InvocationError)
    return ended


async def by_event(invoker: Invoker) -> BaseException:
    ended = await result_of_call(invoker.send_event("f", {"n": PAYLOAD}, **CALL))
    assert isinstance(ended, InvocationError)
    return ended


@pytest.mark.anyio
@pytest.mark.parametrize("way", [by_map, by_stream, by_handle, by_event])
@on_three_ways
async def test_no_way_to_call_shows_a_secret(way: Any, transport: str, log: LogHandler) -> None:
    with failing() as server:
        async with open_invoker(
            server.url, session=secret_session(), transport=transport, hooks=[log.hook]
        ) as invoker:
            error = await way(invoker)
            leaks = leaks_of(error)
    leaks |= {f"log shows {secret}" for line in log.lines for secret in shown_in(line)}
    assert not leaks, "\n".join(sorted(leaks))


class Interrupt(BaseException):
    """An exception as a signal handler may raise it, at any point."""


async def cancelled_by_a_scope(call: Callable[[], Awaitable[object]], at: Event) -> None:
    """Cancel a call in progress by a cancel scope, and raise the cancellation if visible."""

    async def watch() -> None:
        await until(at.is_set)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        try:
            await call()
        except anyio.get_cancelled_exc_class() as error:
            raise Interrupt from error


async def timed_out_by_asyncio(call: Callable[[], Awaitable[object]], at: Event) -> None:
    """Time out as `asyncio.wait_for` and `asyncio.timeout` do, which chain two errors."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as timeout:

        async def watch() -> None:
            await until(at.is_set)
            timeout.reschedule(loop.time())

        watching = asyncio.create_task(watch())
        try:
            await call()
        finally:
            await watching


CALLS: dict[str, Callable[[Invoker], Awaitable[object]]] = {
    "invoke": lambda invoker: invoker.invoke("f", {"n": PAYLOAD}, **CALL),
    "stream": by_stream,
    "map": by_map,
    "upload": lambda invoker: invoker.invoke("f", f'"{PAYLOAD * 100_000}"'.encode(), **CALL),
}


@pytest.mark.anyio
@pytest.mark.parametrize("way", [cancelled_by_a_scope, timed_out_by_asyncio])
@on_three_ways
async def test_no_interruption_shows_a_secret(
    way: Any, transport: str, anyio_backend: object
) -> None:
    if way is timed_out_by_asyncio and anyio_backend == "trio":
        return
    leaks: set[str] = set()
    for name, call in CALLS.items():
        stalls = Act(sent=b"", then="stall", body_read=1, name="stall in the body")
        with CountingServer(default=stalls, receive_buffer=4096) as server:
            options = {"session": secret_session(), "transport": transport, "clock": None}
            async with open_invoker(server.url, **options) as invoker:
                begun = Event()

                async def once(
                    call: Any = call, begun: Event = begun, server: Any = server
                ) -> None:
                    async with anyio.create_task_group() as tasks:

                        async def watch() -> None:
                            await until(lambda: server.begun)
                            begun.set()

                        tasks.start_soon(watch)
                        await call(invoker)

                caught: BaseException | None = None
                try:
                    await way(once, begun)
                except BaseException as error:
                    caught = error
                assert caught is not None, name
                leaks |= {f"{name}: {leak}" for leak in leaks_of(caught)}
    assert not leaks, "\n".join(sorted(leaks))


@pytest.mark.anyio
@on_three_ways
async def test_no_error_of_the_callers_own_code_shows_a_secret_in_our_frames(
    transport: str,
) -> None:
    def never(_: object) -> float:
        raise OSError("the policy's own")

    policy = RetryPolicy(service=Backoff(wait=never, stop=stop_never))

    async def block(invoker: Invoker) -> None:
        async with invoker.stream("f", {"n": PAYLOAD}, **CALL) as stream:
            await anext(stream)
            raise OSError("the block's own")

    async def mapped(invoker: Invoker) -> None:
        payloads = [{"n": PAYLOAD}] * 9
        async with invoker.map("f", payloads, retry=policy, idempotent=True, **CALL) as run:
            async for _ in run:
                pass

    ways: dict[str, Callable[[Invoker], Awaitable[object]]] = {
        "a policy": lambda invoker: invoker.invoke(
            "f", {"n": PAYLOAD}, retry=policy, idempotent=True, **CALL
        ),
        "a policy of a map": mapped,
        "a block": block,
    }
    leaks: set[str] = set()
    with failing() as server:
        async with open_invoker(
            server.url, session=secret_session(), transport=transport
        ) as invoker:
            for name, way in ways.items():
                with pytest.raises(OSError, match="own") as raised:
                    await way(invoker)
                leaks |= {f"{name}: {leak}" for leak in leaks_of(raised.value)}
    assert not leaks, "\n".join(sorted(leaks))


@pytest.mark.anyio
async def test_neither_a_refusal_nor_a_deadline_shows_a_secret() -> None:
    with CountingServer(default=STALL) as server:
        async with open_invoker(server.url, session=secret_session()) as invoker:
            refused = await result_of_call(invoker.invoke("f", {"n": PAYLOAD}, timeout=-1, **CALL))
            late = await result_of_call(invoker.invoke("f", {"n": PAYLOAD}, timeout=0.2, **CALL))
    leaks = {leak for each in (refused, late) for leak in leaks_of(each)}  # type: ignore[arg-type]
    assert not leaks, "\n".join(sorted(leaks))


@pytest.mark.parametrize("padding", ["", "x", "xx"])
def test_the_search_finds_what_is_there(padding: str) -> None:
    """A search that never finds anything would pass all tests above."""
    assert shown_in(f"x{SECRET}y") == {"secret"}
    encoded = base64.b64encode(f'{{"who{padding}": "{CONTEXT}"}}'.encode())
    assert shown_in(encoded) == {"client context"}
    error = ValueError("harmless")
    error.__cause__ = KeyError(TOKEN)
    assert leaks_of(error) == {
        f"token in {where} of KeyError behind it" for where in ("str", "repr", "args")
    }
