"""An aiohttp server as a block: nothing of it remains after leaving."""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientPayloadError, HttpVersion10, web
from aiohttp.http_exceptions import HttpProcessingError

from asyncinvoke.local.http import access
from asyncinvoke.local.http.access import LOOPBACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a connection may take, so that slow, silent and many ones do no harm."""

    header: int = 65_536
    """Largest header line, in bytes."""
    silence: float = 60.0
    """Seconds for which a connection may be idle, or take to send the head of a request, or stay
    silent within a body."""
    body: float = 600.0
    """Seconds that a body may take."""
    lingering: float = 2.0
    """Seconds for which the body of a refused request is dropped, so that its sender hears why."""
    connections: int = 10_000
    """Connections at once, or fewer if the process may not open so many files."""

    def most_connections(self) -> int:
        """Return how many connections are taken; some files are kept for other things."""
        try:
            import resource
        except ImportError:  # Windows has no such limit
            return self.connections
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files == resource.RLIM_INFINITY:
            return self.connections
        return max(min(self.connections, files - FILES_KEPT), 1)


FILES_KEPT = 100
"""Files of this process that no connection gets."""

BACKLOG = 4096
"""Connections that may wait to be accepted; the operating system may allow fewer."""

SHUTDOWN_GRACE = 1.0
"""Seconds for connections whose requests are done already to close."""

RequestHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

LIMITS = Limits()

_logger = logging.getLogger(__name__)

# What aiohttp has to say of a request that is no HTTP is a traceback, and its sender gets a 400.
_quiet = logging.getLogger(f"{__name__}.aiohttp")
_quiet.addFilter(lambda record: not record.exc_info or not _is_the_clients(record.exc_info[1]))


def _is_the_clients(error: BaseException | None) -> bool:
    return isinstance(error, (HttpProcessingError, web.RequestPayloadError))


class _Request(web.BaseRequest):
    authority: str | None = (
        None  # what the target says of a host, which is nothing in a request to a server
    )

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
async def listen(
    handler: RequestHandler,
    sock: socket.socket,
    *,
    limits: Limits = LIMITS,
    allowed_hosts: frozenset[str] = frozenset(),
) -> AsyncIterator[int]:
    """Serve on a socket until the block is left, which cancels running requests; yield the port.

    A request that a web page may have sent is refused before its body is read.
    """
    running: set[asyncio.Task[Any]] = set()
    told: set[str] = set()

    loop = asyncio.get_running_loop()

    def new_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> _Request:
        request = _Request(message, payload, protocol, writer, task, loop)
        request.authority = message.url.raw_authority or None
        return request

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        running.add(request.task)
        try:
            reason = _refusal_of(request, allowed_hosts)
            if reason is None:
                return await handler(request)
            if reason not in told:  # once: whoever sends many must not fill a terminal
                told.add(reason)
                _logger.warning("refused a request: %s", reason)
            return _refused(reason)
        except (ConnectionError, ClientPayloadError):
            return web.Response(status=400)  # to a client that went away within its own request
        except web.RequestPayloadError:
            response = web.Response(status=400)  # to a body that is not encoded as its head says
            response.force_close()
            return response
        except TimeoutError:
            response = web.Response(status=408)
            response.force_close()
            return response
        finally:
            running.discard(request.task)

    server = web.Server(
        handle,
        request_factory=new_request,
        access_log=None,
        logger=_quiet,
        max_field_size=limits.header,
        max_line_size=limits.header,
        keepalive_timeout=limits.silence,
        lingering_time=limits.lingering,
    )
    most = limits.most_connections()

    def new_connection() -> asyncio.Protocol:
        return server() if len(server.connections) < most else _OneTooMany()

    listening = await loop.create_server(new_connection, sock=sock, backlog=BACKLOG)
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


async def read_body(
    request: web.BaseRequest, limit: int, *, limits: Limits = LIMITS
) -> tuple[bytes, int]:
    """Read a body to its end; return at most its first `limit` bytes, and its whole size.

    What exceeds the limit is read and dropped, so that the client hears the answer instead of a
    broken connection.

    Raises:
        TimeoutError: It takes too long.
    """
    if not request.body_exists:
        return b"", 0
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    size = 0
    loop = asyncio.get_running_loop()
    until = loop.time() + limits.body
    async with asyncio.timeout(limits.silence) as silence:
        while chunk := await request.content.readany():
            silence.reschedule(min(loop.time() + limits.silence, until))
            size += len(chunk)
            if len(body) < limit:
                body += chunk
    return bytes(body[:limit]), size


def _refusal_of(request: web.BaseRequest, allowed_hosts: frozenset[str]) -> str | None:
    headers = request.headers
    return access.refusal_of(
        hosts=headers.getall("Host", ()),
        origins=headers.getall("Origin", ()),
        sites=headers.getall("Sec-Fetch-Site", ()),
        authority=request.authority if isinstance(request, _Request) else None,
        is_old=request.version <= HttpVersion10,
        allowed_hosts=allowed_hosts,
    )


def _refused(reason: str) -> web.Response:
    """Return the answer to what a web page may have sent. AWS has none: its names are its own."""
    response = web.json_response(
        {"Message": f"This endpoint does not take this request: {reason}."},
        status=403,
        headers={
            "x-amzn-ErrorType": "AccessDeniedException",
            "x-amzn-RequestId": str(uuid.uuid4()),
        },
    )
    response.force_close()  # its body is not read
    return response


class _OneTooMany(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
