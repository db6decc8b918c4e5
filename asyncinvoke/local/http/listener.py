"""An aiohttp server as an async context manager, with limits on connections."""

import asyncio
import contextlib
import logging
import os
import socket
import uuid
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientPayloadError, HttpVersion10, web
from aiohttp.http_exceptions import HttpProcessingError

from asyncinvoke.local.http import access
from asyncinvoke.local.http.access import LOOPBACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on connections, which protect the endpoint from slow, silent and numerous clients."""

    header: int = 65_536
    """Maximum size of a header line, in bytes."""
    silence: float = 60.0
    """Seconds for which a connection may be idle, send the head of a request, or be silent within a
    body."""
    body: float = 600.0
    """Seconds for which a body may be sent."""
    lingering: float = 2.0
    """Seconds for which the body of a rejected request is read and dropped, so that the client can
    read the response."""
    connections: int = 10_000
    """Maximum number of concurrent connections; fewer if the open-file limit is lower."""

    def most_connections(self) -> int:
        """Return the maximum number of connections under this process's open-file limit."""
        try:
            import resource
        except ImportError:  # Windows has no such limit
            return self.connections
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files == resource.RLIM_INFINITY:
            return self.connections
        return max(min(self.connections, files - FILES_KEPT), 1)


FILES_KEPT = 100
"""Open files reserved for other purposes than connections."""

BACKLOG = 4096
"""Maximum number of connections waiting to be accepted; the operating system may allow fewer."""

SHUTDOWN_GRACE = 1.0
"""Seconds to wait on shutdown for connections without running requests to close."""

RequestHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

LIMITS = Limits()

_logger = logging.getLogger(__name__)

# aiohttp logs a traceback for requests that are not valid HTTP, which get a 400.
_quiet = logging.getLogger(f"{__name__}.aiohttp")
_quiet.addFilter(lambda record: not record.exc_info or not _is_client_error(record.exc_info[1]))


def _is_client_error(error: BaseException | None) -> bool:
    return isinstance(error, (HttpProcessingError, web.RequestPayloadError))


class _Request(web.BaseRequest):
    # The host and port of an absolute request target, which only requests to a proxy should have.
    authority: str | None = None

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        # Lambda sends no Server header; aiohttp would.
        response.headers.popall("Server", None)


def open_socket(port: int = 0, host: str = LOOPBACK) -> socket.socket:
    """Return a socket bound to a port; 0 picks a free one.

    Raises:
        OSError: The port is in use, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {reason}") from None
    listening = _Listening(fileno=bound.detach())
    _open.add(listening)
    return listening


class _Listening(socket.socket):
    """A socket whose backlog does not depend on how many connections the loop accepts at once."""

    def listen(self, _: int = BACKLOG, /) -> None:
        super().listen(BACKLOG)


_open: weakref.WeakSet[_Listening] = weakref.WeakSet()


def _close_in_child() -> None:
    # A forked child accepts nothing, but its copies would keep the ports in use: after its parent's end
    # nobody could listen there, and clients would wait for an answer.
    for each in list(_open):
        each.close()
        if each.fileno() >= 0:
            # uvloop keeps it open, and would close the descriptor again, whatever that is by then.
            with contextlib.suppress(OSError), open(os.devnull, "rb") as nowhere:
                os.dup2(nowhere.fileno(), each.fileno(), inheritable=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


class _Requests:
    """The requests of one listener: access control, errors of clients, cancellation at the end."""

    def __init__(self, handler: RequestHandler, allowed_hosts: frozenset[str]) -> None:
        self._handler = handler
        self._allowed_hosts = allowed_hosts
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[Any]] = set()
        self._logged: set[str] = set()

    def new_request(
        self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any
    ) -> _Request:
        request = _Request(message, payload, protocol, writer, task, self._loop)
        request.authority = message.url.raw_authority or None
        return request

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._running.add(request.task)
        try:
            reason = _refusal_of(request, self._allowed_hosts)
            if reason is None:
                return await self._handler(request)
            self.log_once(f"refused a request: {reason}")
            return _refused(reason)
        except (ConnectionError, ClientPayloadError):
            return web.Response(status=400)  # the client disconnected within its request
        except web.RequestPayloadError:
            return _closing(400)  # the body is not encoded as the headers say
        except TimeoutError:
            return _closing(408)
        finally:
            self._running.discard(request.task)

    async def cancel(self) -> None:
        tasks = tuple(self._running)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def log_once(self, text: str) -> None:
        # Only once: a client that sends many requests must not fill a terminal.
        if text not in self._logged:
            self._logged.add(text)
            _logger.warning("%s", text)


@contextlib.asynccontextmanager
async def listen(
    handler: RequestHandler,
    sock: socket.socket,
    *,
    limits: Limits = LIMITS,
    allowed_hosts: frozenset[str] = frozenset(),
) -> AsyncIterator[int]:
    """Serve on a socket until the block is left, which cancels running requests; yield the port.

    Requests that a web page may have sent are rejected before their body is read.
    """
    requests = _Requests(handler, allowed_hosts)
    server = web.Server(
        requests.handle,
        request_factory=requests.new_request,
        access_log=None,
        logger=_quiet,
        max_field_size=limits.header,
        max_line_size=limits.header,
        keepalive_timeout=limits.silence,
        lingering_time=limits.lingering,
    )
    most = limits.most_connections()

    def new_connection() -> asyncio.Protocol:
        if len(server.connections) < most:
            return server()
        why = (
            "as many as it takes" if most == limits.connections else "the open-file limit less 100"
        )
        requests.log_once(f"closed a connection: {most:,} are open, {why}")
        return _OneTooMany()

    loop = asyncio.get_running_loop()
    # What asyncio calls the backlog is also how often it tries to accept before it waits. Without a
    # file for the connection it reports each of these tries, and plans to begin again after each.
    listening = await loop.create_server(new_connection, sock=sock, backlog=1)
    sock.listen(BACKLOG)  # uvloop has told the system 1
    try:
        yield sock.getsockname()[1]
    finally:
        listening.close()
        server.pre_shutdown()
        await requests.cancel()
        await server.shutdown(SHUTDOWN_GRACE)


async def read_body(
    request: web.BaseRequest, limit: int, *, limits: Limits = LIMITS
) -> tuple[bytes, int]:
    """Read a body to its end; return at most its first `limit` bytes, and its total size.

    The rest is read and dropped, so that the client receives a response instead of a reset.

    Raises:
        TimeoutError: The body exceeds a time limit.
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
    """Return the response to a request that a web page may have sent; AWS has no equivalent."""
    response = web.json_response(
        {"Message": f"This endpoint does not take this request: {reason}."},
        status=403,
        headers={
            "x-amzn-ErrorType": "AccessDeniedException",
            "x-amzn-RequestId": str(uuid.uuid4()),
        },
    )
    response.force_close()  # the body is not read
    return response


def _closing(status: int) -> web.Response:
    """Return an empty response after which the connection is closed."""
    response = web.Response(status=status)
    response.force_close()
    return response


class _OneTooMany(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
