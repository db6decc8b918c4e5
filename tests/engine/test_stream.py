"""The chunks of a stream as the engine yields them."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import pytest
from tenacity import stop_never, wait_fixed

from asyncinvoke import (
    Backoff,
    DeadlineExceededError,
    Delivery,
    FixedLimit,
    GaveUp,
    Invoker,
    TransportError,
)
from asyncinvoke._engine import waits
from asyncinvoke._engine.stream import ResponseStream, open_stream
from asyncinvoke._engine.waits import GuardedTransport, Waits, WaitScope, guarded
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import StreamHead
from asyncinvoke._transport.stream import OpenStream
from asyncinvoke.local.protocol import event_stream
from tests.doubles.engine import THROTTLED, call, engine, every

pytestmark = pytest.mark.anyio


class SingleReadBody:
    """A body that arrives in one read."""

    def __init__(self, count: int) -> None:
        frames = [event_stream.payload_chunk(b"%d" % number) for number in range(count)]
        self._pieces = [*frames, event_stream.invoke_complete()]

    async def read(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces

    async def aclose(self) -> None:
        pass


class StreamingTransport:
    """A transport that returns such streams: this library's, or custom ones."""

    def __init__(self, count: int, *, is_ours: bool, body: SingleReadBody | None = None) -> None:
        self._body = SingleReadBody(count) if body is None else body
        self.keeps_deadline = is_ours

    async def open(self, *_: Any) -> Any:
        head = StreamHead(
            status_code=200, executed_version=None, request_id=None, content_type=None
        )
        opened = OpenStream(head, self._body, math.inf)
        if self.keeps_deadline:
            return opened
        return _CustomStream(opened)

    send = open

    async def aclose(self) -> None:
        pass


class _CustomStream:
    """A custom stream, with what the contract requires and an additional attribute."""

    chunks = ("something else",)

    def __init__(self, opened: OpenStream) -> None:
        self.head = opened.head
        self.receive = opened.receive
        self.finish = opened.finish
        self.aclose = opened.aclose


@asynccontextmanager
async def streamed(transport: Any) -> AsyncIterator[ResponseStream]:
    scripted = engine()
    its = guarded(transport, scripted.engine.waits)
    async with open_stream(scripted.engine, its, call(), b"{}") as stream:
        yield stream


@pytest.mark.parametrize(("is_ours", "expected"), [(True, 0), (False, 103)])
async def test_only_a_stream_of_the_callers_own_has_a_scope_for_each_wait(
    monkeypatch: pytest.MonkeyPatch, is_ours: bool, expected: int
) -> None:
    scopes: list[float] = []

    def counted(all_waits: Waits, deadline: float) -> WaitScope:
        scopes.append(deadline)
        return WaitScope(all_waits, deadline)

    monkeypatch.setattr(waits, "WaitScope", counted)
    async with streamed(StreamingTransport(100, is_ours=is_ours)) as stream:
        chunks = [chunk async for chunk in stream]
    assert chunks == [b"%d" % number for number in range(100)]
    # For each chunk, for opening, for the end, and for the rest of the connection's data.
    assert len(scopes) == expected


async def test_chunks_that_had_arrived_are_not_taken_after_the_block() -> None:
    async with streamed(StreamingTransport(3, is_ours=True)) as stream:
        assert await anext(stream) == b"0"
    with pytest.raises(anyio.ClosedResourceError):
        await anext(stream)


class StallingTransport:
    """A custom transport whose stream has one chunk, and then stalls."""

    def __init__(self) -> None:
        self.head = StreamHead(status_code=200)
        self._chunks = iter([b"one"])

    async def open(self, *_: Any) -> Any:
        return self

    send = open

    async def receive(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        await self.finish()
        raise AssertionError

    async def finish(self) -> None:
        await anyio.sleep_forever()

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("closes", [True, False])
async def test_a_stream_of_the_callers_that_stalls_is_ended(closes: bool) -> None:
    waits, transport = Waits(), StallingTransport()
    # Only waits are interrupted, so everything before the stall succeeds.
    progress = Progress(math.inf if closes else time.monotonic())
    with anyio.fail_after(60):
        opened = await GuardedTransport(transport, waits).open(call().parameters, b"{}", progress)
        assert not isinstance(opened, Failure)
        assert await opened.receive() == b"one"
        if closes:
            waits.close()
        fault = TransportFault.CLOSED if closes else TransportFault.INTERRUPTED
        assert await opened.receive() == Failure(fault=fault, phase=Phase.HEAD_READ)
        await opened.finish()


class SilentTransport:
    """A custom transport that ignores deadlines, and never answers."""

    async def open(self, *_: Any) -> Any:
        await anyio.sleep_forever()

    send = open


async def test_a_transport_of_the_callers_that_gives_no_stream_is_ended_by_the_timeout() -> None:
    transport: Any = SilentTransport()
    with anyio.fail_after(60):
        async with Invoker(transport=transport) as invoker:
            with pytest.raises(DeadlineExceededError, match=r"timeout of 0\.01 s passed"):
                await invoker.stream("f", timeout=0.01).__aenter__()
            assert invoker.statistics().in_flight == 0


async def test_a_stream_without_a_permit_in_time_was_not_sent_and_names_the_limit() -> None:
    transport: Any = StreamingTransport(3, is_ours=True)
    with anyio.fail_after(60):
        async with (
            Invoker(transport=transport, limit=FixedLimit(1)) as invoker,
            invoker.stream("f") as first,
        ):
            with pytest.raises(DeadlineExceededError, match="the limit is 1") as raised:
                await invoker.stream("f", timeout=0.01).__aenter__()
            assert raised.value.delivery is Delivery.NOT_SENT
            assert raised.value.gave_up is GaveUp.DEADLINE
            assert raised.value.attempts == ()
            assert [chunk async for chunk in first] == [b"0", b"1", b"2"]
            assert invoker.statistics().in_flight == 0


class BreakingBody(SingleReadBody):
    """A body that breaks off after its first chunk."""

    def __init__(self) -> None:
        self._pieces = [event_stream.payload_chunk(b"one")]

    async def read(self) -> list[bytes]:
        return await super().read() or self.broken()

    def broken(self) -> list[bytes]:
        raise OSError("the wire")


async def test_asking_a_broken_stream_again_raises_the_same_error_with_its_cause() -> None:
    transport = StreamingTransport(0, is_ours=True, body=BreakingBody())
    async with streamed(transport) as stream:
        assert await anext(stream) == b"one"
        for _ in range(3):
            with pytest.raises(TransportError) as raised:
                await anext(stream)
            assert isinstance(raised.value.__cause__, OSError)


async def test_a_retry_of_a_stream_is_counted_when_its_attempt_begins() -> None:
    class ThrottledOnce(StreamingTransport):
        answers: ClassVar = [THROTTLED]

        async def open(self, *_: Any) -> Any:
            return self.answers.pop() if self.answers else await super().open()

    scripted = engine()
    policy = every(Backoff(wait=wait_fixed(1), stop=stop_never))
    transport = ThrottledOnce(1, is_ours=True)
    async with open_stream(scripted.engine, transport, call(policy), b"{}") as stream:
        assert (scripted.tally.attempts, scripted.tally.retries) == (2, 1)
        assert [chunk async for chunk in stream] == [b"0"]
