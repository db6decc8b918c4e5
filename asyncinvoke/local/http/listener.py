"""An aiohttp server that is a block: on leaving it nothing of it is left."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientPayloadError, web

from asyncinvoke.local.http.addresses import LOOPBACK

MAX_HEADER = 2 * 1024 * 1024
"""Largest header, in bytes: AWS's runtime sends a stack trace of up to 1 MiB as one."""

BACKLOG = 4096
"""Connections that may wait to be accepted; the operating system may allow fewer."""

SHUTDOWN_GRACE = 1.0
"""Seconds for connections whose requests are done already to close."""

RequestHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Request(web.BaseRequest):
    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        # Lambda does not say what serves it, and aiohttp would.
        response.headers.popall("Server", None)


def open_socket(port: int = 0, host: str = LOOPBACK) -> socket.socket:
    """Bind a port; 0 takes a free one.

    Raises:
        OSError: The port is in use, or this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {reason}") from None


@asynccontextmanager
async def listen(handler: RequestHandler, sock: socket.socket) -> AsyncIterator[int]:
    """Serve on a socket until the block is left, which cancels running requests; yield the port."""
    running: set[asyncio.Task[Any]] = set()

    loop = asyncio.get_running_loop()

    def new_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> _Request:
        return _Request(message, payload, protocol, writer, task, loop)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        running.add(request.task)
        try:
            return await handler(request)
        except (ConnectionError, ClientPayloadError):
            return web.Response(status=400)  # to a client that went away within its own request
        finally:
            running.discard(request.task)

    server = web.Server(
        handle,
        request_factory=new_request,
        access_log=None,
        max_field_size=MAX_HEADER,
        max_line_size=MAX_HEADER,
    )
    listening = await loop.create_server(server, sock=sock, backlog=BACKLOG)
    try:
        yield sock.getsockname()[1]
    finally:
        listening.close()
        server.pre_shutdown()
        tasks = tuple(running)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await server.shutdown(SHUTDOWN_GRACE)


async def read_body(request: web.BaseRequest, limit: int) -> tuple[bytes, int]:
    """Read a body to its end; return at most its first `limit` bytes, and its whole size.

    What exceeds the limit is read and dropped, so that the client hears the answer instead of a
    broken connection.
    """
    if not request.body_exists:
        return b"", 0
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    size = 0
    while chunk := await request.content.readany():
        size += len(chunk)
        if len(body) < limit:
            body += chunk
    return bytes(body[:limit]), size
