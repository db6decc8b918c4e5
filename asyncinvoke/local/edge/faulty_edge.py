"""Applies injected faults to requests before they reach the edge."""

import asyncio
import socket
import struct
import time
from functools import partial
from typing import Protocol

from aiohttp import web

from asyncinvoke.local.edge.http_edge import (
    HttpEdge,
    InvocationService,
    invoke_path,
    received_head,
    respond,
)
from asyncinvoke.local.edge.observing import AnsweredInvocation, Listener
from asyncinvoke.local.edge.streaming import CollectedStream, begun
from asyncinvoke.local.faults import player
from asyncinvoke.local.faults.injected import Faults, InjectedFault
from asyncinvoke.local.faults.steps import is_read
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.received import ReceivedInvocation

POLL_INTERVAL = 0.02
"""Seconds between two checks whether the client of a stalled connection has disconnected."""


class AiohttpWire:
    """The wire of one request to aiohttp's server.

    Args:
        request: The request.
    """

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._transport = request.transport  # None once the client has disconnected
        self.response: web.StreamResponse = web.Response(status=400)
        """The response to return to the server; it is not sent on a broken connection."""

    async def answer(self, answer: Answer) -> None:
        """Send a whole response."""
        connection = {name.lower(): value for name, value in answer.headers.items()}.get(
            "connection"
        )
        self.response = respond(self._request, answer)
        if connection is not None:
            self.response.headers["Connection"] = connection
            if connection.lower() == "close":
                self.response.force_close()

    async def begin(self, head: Answer, *, length: int | None) -> None:
        """Send a status and headers."""
        if length is None:
            self.response = begun(self._request, head.status_code, dict(head.headers))
        else:
            self.response = web.StreamResponse(status=head.status_code, headers=head.headers)
            self.response.content_length = length
        await self.response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        """Send a part of the body."""
        await self.response.write(data)

    async def finish(self) -> None:
        """End the body."""
        await self.response.write_eof()

    async def send(self, data: bytes) -> None:
        """Send raw bytes, bypassing aiohttp."""
        if self._transport is not None and data:
            self._transport.write(data)

    async def stall(self, seconds: float) -> None:
        """Send nothing for some seconds, or until the client disconnects."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        # The server does not report a disconnected client: poll its transport.
        while self._is_open() and (left := until - loop.time()) > 0:  # noqa: ASYNC110  # see above
            await asyncio.sleep(min(left, POLL_INTERVAL))

    async def close(self) -> None:
        """End the connection with a FIN."""
        if self._transport is not None:
            self._transport.close()

    async def reset(self) -> None:
        """End the connection with an RST."""
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None and self._is_open():
            # A linger time of 0 turns the close into a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()


class CountingService(InvocationService, Protocol):
    """A service that counts faults."""

    def count_fault(self, function_name: str, *, arrived: bool) -> None:
        """Count a request to which a fault applies.

        Args:
            function_name: The name or ARN in the request.
            arrived: Whether to count the request as an invocation as well.
        """
        ...


class FaultyEdge:
    """The handler of the endpoint's HTTP server.

    Args:
        edge: Handles requests to which no fault applies.
        service: The service behind it, without a listener.
        faults: The faults.
        listener: Called with each request to which a fault applied; None for no listener.
    """

    def __init__(
        self,
        edge: HttpEdge,
        service: CountingService,
        faults: Faults,
        listener: Listener | None,
    ) -> None:
        self._edge = edge
        self._service = service
        self._faults = faults
        self._listener = listener

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request, or play its fault."""
        if not self._faults.are_set:
            return await self._edge(request)
        path = invoke_path(request)
        fault = None if path is None else self._faults.take(path.name)
        if path is None or fault is None:
            return await self._edge(request)
        return await self._play(fault, request, received_head(request, path))

    async def _play(
        self, fault: InjectedFault, request: web.BaseRequest, received: ReceivedInvocation
    ) -> web.StreamResponse:
        self._service.count_fault(received.function_name, arrived=not fault.after_run)
        if is_read(fault.step):
            received = await self._edge.read(request, received)
        began = time.monotonic()
        run = partial(self._run, received) if fault.after_run else None
        answer = await player.answer_of(fault.step, received.request_id, run=run)
        wire = AiohttpWire(request)
        try:
            await player.play(fault.step, answer, wire)
        finally:
            if self._listener is not None:
                duration = time.monotonic() - began
                name = type(fault.step).__name__
                self._listener(
                    AnsweredInvocation.of(received, answer, duration=duration, fault=name)
                )
        return wire.response

    async def _run(self, received: ReceivedInvocation) -> Answer:
        if not received.streams:
            return await self._service.invoke(received)
        stream = CollectedStream()
        return stream.finish(await self._service.invoke(received, stream))
