"""The connection that a request came by, as faults are played on it."""

import asyncio
import socket
import struct

from aiohttp import web

from asyncinvoke.local.edge.http_edge import respond
from asyncinvoke.local.edge.streaming import begun
from asyncinvoke.local.protocol.answers import Answer

LOOK = 0.02
"""How often a silent connection is looked at for a client that went away, in seconds."""


class AiohttpWire:
    """The wire of one request to aiohttp's server.

    Args:
        request: The request.
    """

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._transport = request.transport  # None once the client went away by itself
        self.response: web.StreamResponse = web.Response(status=400)
        """What to give back to the server; of a broken connection nobody reads it."""

    async def answer(self, answer: Answer) -> None:
        """Send an answer as a whole."""
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
        """Send bytes that aiohttp knows nothing of."""
        if self._transport is not None and data:
            self._transport.write(data)

    async def stall(self, seconds: float) -> None:
        """Send nothing for a time, or until the client goes away."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        # The server tells nobody that a client has gone: its transport has to be looked at.
        while self._is_open() and (left := until - loop.time()) > 0:  # noqa: ASYNC110  # see above
            await asyncio.sleep(min(left, LOOK))

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
            # Lingering for no time turns the close into a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()
