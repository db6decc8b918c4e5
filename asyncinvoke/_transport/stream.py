"""InvokeWithResponseStream: one attempt, and its body as it comes, on either backend.

aiobotocore builds, signs and sends the request. Its own event stream does not read httpx's answers,
so the body is taken from the HTTP library and parsed here.
"""

import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol

import anyio

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import StreamEnd, StreamHead
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.client import stream_arguments
from asyncinvoke._transport.exceptions import failure_from
from asyncinvoke._transport.frames import FrameReader

_LAST_WORDS = 1.0
"""Seconds that a body may take to end after `InvokeComplete`, so that its connection is kept."""


class StreamTransport:
    """Opens streams through an aiobotocore client whose own retries are off."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> "OpenStream | Failure":
        """Invoke once and read the answer's head; a failure is a value."""
        progress.phase = Phase.WRITTEN  # as far as it may have come
        try:
            answer = await self._client.invoke_with_response_stream(
                **stream_arguments(parameters, payload)
            )
        except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
            return failure_from(error)
        head = StreamHead(
            status_code=answer["StatusCode"],
            executed_version=answer.get("ExecutedVersion"),
            request_id=answer["ResponseMetadata"].get("RequestId"),
            content_type=answer.get("ResponseStreamContentType"),
        )
        return OpenStream(head, _body(answer["EventStream"]._raw_stream))  # noqa: SLF001


class OpenStream:
    """A stream whose head has come."""

    def __init__(self, head: StreamHead, body: "_Body") -> None:
        self.head = head
        self._body = body
        self._frames = FrameReader()
        self._ready: deque[bytes | StreamEnd | Failure] = deque()

    async def receive(self) -> bytes | StreamEnd | Failure:
        """Return the next chunk or how the stream ended; a failure is a value.

        Nothing is read ahead: the service is slowed down to the caller's pace.
        """
        while not self._ready:
            try:
                data = await self._body.read()
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
                return failure_from(error)
            if not data:
                return Failure(fault=TransportFault.TRUNCATED, message="no InvokeComplete came")
            self._ready.extend(self._frames.feed(data))
        return self._ready.popleft()

    async def finish(self) -> None:
        """After the end: keep the connection if the body ends soon, and close it otherwise."""
        try:
            # The answer is complete, whatever happens: only the connection can be lost.
            with contextlib.suppress(Exception), anyio.move_on_after(_LAST_WORDS):
                while await self._body.read():
                    pass
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        with anyio.CancelScope(shield=True):
            await self._body.aclose()


class _Body(Protocol):
    async def read(self) -> bytes:
        """Return what has come of the body, at least one byte; nothing at its end."""
        ...

    async def aclose(self) -> None:
        """Return up the rest."""
        ...


def _body(raw: Any) -> _Body:
    return _HttpxBody(raw) if hasattr(raw, "aiter_raw") else _AiohttpBody(raw)


class _AiohttpBody:
    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def read(self) -> bytes:
        """Return what has come of the body."""
        data: bytes = await self._raw.content.readany()
        return data

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self._raw.close()


class _HttpxBody:
    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._pieces: AsyncIterator[bytes] = raw.aiter_raw()

    async def read(self) -> bytes:
        """Return what has come of the body."""
        return await anext(self._pieces, b"")

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        await self._raw.aclose()
        # The iterator holds others that only its end closes; trio would warn of those left over.
        with contextlib.suppress(Exception):
            while await self.read():
                pass
