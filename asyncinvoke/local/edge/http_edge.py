"""Translates between HTTP and the values of the service: paths, headers, bodies, signatures."""

import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import unquote

from aiohttp import web

from asyncinvoke.local.edge.streaming import StreamedAnswer
from asyncinvoke.local.http.listener import read_body
from asyncinvoke.local.management.router import BODY_LIMIT, Management, ManagementRequest
from asyncinvoke.local.protocol import refusals
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.received import ReceivedInvocation
from asyncinvoke.local.protocol.refusals import SYNC_LIMIT, upload_too_large

_INVOKE = re.compile(
    r"/2015-03-31/functions/([^/]+)/invocations"
    r"|/2021-11-15/functions/([^/]+)/response-streaming-invocations"
    r"|/2014-11-13/functions/([^/]+)/invoke-async/?"
)


class Sink(Protocol):
    """The destination of a stream while its function is running."""

    def begin(self, head: Answer) -> None:
        """Start the response with a status and headers."""
        ...

    async def write(self, piece: bytes) -> None:
        """Write a piece; return once the client is ready for the next."""
        ...


class InvocationService(Protocol):
    """The service behind the edge."""

    async def invoke(self, request: ReceivedInvocation, sink: Sink | None = None) -> Answer:
        """Return the response to an Invoke request; write a stream to `sink` meanwhile."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokePath:
    """The function and operation in the path of an Invoke request."""

    name: str
    """The name or ARN, percent-decoded."""
    streams: bool
    """Whether it is InvokeWithResponseStream."""
    is_async: bool
    """Whether it is InvokeAsync."""


class HttpEdge:
    """The handler of the endpoint's HTTP server.

    Args:
        service: Handles Invoke requests.
        management: Handles all other requests.
        keep: Called with each completely received Invoke request.
    """

    def __init__(
        self,
        service: InvocationService,
        management: Management,
        keep: Callable[[ReceivedInvocation], None],
    ) -> None:
        self._service = service
        self._management = management
        self._keep = keep

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request."""
        path = invoke_path(request)
        if path is None:
            return respond(request, await self._manage(request))
        received = await self.read(request, received_head(request, path))
        if not received.streams:
            return respond(request, await self._service.invoke(received))
        stream = StreamedAnswer(request)
        answer = await self._service.invoke(received, stream)
        return await stream.finish(answer) or respond(request, answer)

    async def read(self, request: web.BaseRequest, head: ReceivedInvocation) -> ReceivedInvocation:
        """Read the payload of an Invoke request."""
        body, size = await read_body(request, SYNC_LIMIT)
        received = replace(head, payload=body, size=size)
        self._keep(received)
        return received

    async def _manage(self, request: web.BaseRequest) -> Answer:
        request_id = str(uuid.uuid4())
        body, size = await read_body(request, BODY_LIMIT)
        if size > BODY_LIMIT:
            operation = "CreateFunction" if request.method == "POST" else "UpdateFunctionCode"
            return upload_too_large(BODY_LIMIT, operation).answer(request_id)
        managed = ManagementRequest(
            method=request.method,
            path=request.rel_url.raw_path,
            query=request.rel_url.query,
            body=body,
            tag_keys=tuple(request.rel_url.query.getall("tagKeys", ())),
        )
        return await self._management.answer(managed, request_id)


def invoke_path(request: web.BaseRequest) -> InvokePath | None:
    """Return the function that a request invokes; None for any other operation."""
    match = _INVOKE.fullmatch(request.rel_url.raw_path)
    if match is None or request.method != "POST":
        return None
    return InvokePath(
        name=unquote(match[1] or match[2] or match[3]),
        streams=match[2] is not None,
        is_async=match[3] is not None,
    )


def received_head(request: web.BaseRequest, path: InvokePath) -> ReceivedInvocation:
    """Return an Invoke request without its payload."""
    headers = request.headers
    return ReceivedInvocation(
        request_id=str(uuid.uuid4()),
        function_name=path.name,
        qualifier=request.rel_url.query.get("Qualifier"),
        # InvokeAsync is the predecessor of Events.
        invocation_type="Event"
        if path.is_async
        else headers.get("X-Amz-Invocation-Type", "RequestResponse"),
        log_type=headers.get("X-Amz-Log-Type", "None"),
        encoded_client_context=headers.get("X-Amz-Client-Context"),
        tenant_id=headers.get("X-Amz-Tenant-Id"),
        trace_id=headers.get("X-Amzn-Trace-Id"),
        durable_execution_name=headers.get("X-Amz-Durable-Execution-Name"),
        streams=path.streams,
        payload=b"",
        size=0,
    )


def respond(request: web.BaseRequest, answer: Answer) -> web.Response:
    """Return the HTTP response."""
    headers = dict(answer.headers)
    if request.keep_alive:
        headers["Connection"] = "keep-alive"
    return web.Response(status=answer.status_code, headers=headers, body=answer.payload)


_logger = logging.getLogger(__name__)

_SCHEMES = ("aws4-hmac-sha256", "aws4-ecdsa-p256-sha256")


class SignedEdge:
    """The handler of the endpoint's HTTP server, which rejects unsigned requests.

    Signatures are required but not verified, so any credentials will do. A web page cannot send one:
    for an `Authorization` header a browser first sends a preflight request.

    Args:
        edge: Handles accepted requests.
        allow_unsigned: Whether to accept unsigned requests.
    """

    def __init__(
        self,
        edge: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        allow_unsigned: bool,
    ) -> None:
        self._edge = edge
        self._allow_unsigned = allow_unsigned
        self._has_warned = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request; reject an unsigned one before its body is read."""
        signature = request.headers.get("Authorization", "").lower()
        if self._allow_unsigned or signature.startswith(_SCHEMES):
            return await self._edge(request)
        if not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "refused a request that is not signed: allow_unsigned=True (--allow-unsigned) "
                "takes such, as curl sends them"
            )
        refused = respond(request, refusals.unsigned().answer(str(uuid.uuid4())))
        refused.headers["Connection"] = "close"
        refused.force_close()
        return refused
