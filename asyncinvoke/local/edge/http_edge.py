"""HTTP to and from the service's own values: paths, headers, bodies."""

import re
import uuid
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

from aiohttp import web

from asyncinvoke.local.checks import Request
from asyncinvoke.local.edge.received import ReceivedInvocations
from asyncinvoke.local.edge.streaming import StreamedAnswer
from asyncinvoke.local.http.listener import read_body
from asyncinvoke.local.management.router import BODY_LIMIT, ApiRequest, Management
from asyncinvoke.local.protocol import answers
from asyncinvoke.local.protocol.answers import Answer

_INVOKE = re.compile(
    r"/2015-03-31/functions/([^/]+)/invocations"
    r"|/2021-11-15/functions/([^/]+)/response-streaming-invocations"
    r"|/2014-11-13/functions/([^/]+)/invoke-async/?"
)


class Output(Protocol):
    """Where a stream goes while its function runs."""

    def begin(self, head: Answer) -> None:
        """Take the status and the headers."""
        ...

    async def write(self, piece: bytes) -> None:
        """Take a piece; returns once it may be given another."""
        ...


class Service(Protocol):
    """What stands behind the edge."""

    async def invoke(
        self, request: Request, request_id: str, output: Output | None = None
    ) -> Answer:
        """Answer one Invoke request; a stream is written to `output` meanwhile."""
        ...


class HttpEdge:
    """The handler of the endpoint's HTTP server."""

    def __init__(
        self, service: Service, management: Management, received: ReceivedInvocations
    ) -> None:
        self._service = service
        self._management = management
        self._received = received

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Read one request, let the service answer it, write the answer."""
        request_id = str(uuid.uuid4())
        invoked = invoked_function(request)
        if invoked is None:
            return respond(request, await self._manage(request, request_id))
        invoke = await self.read(request, invoked, request_id)
        if not invoke.streams:
            return respond(request, await self._service.invoke(invoke, request_id))
        stream = StreamedAnswer(request)
        answer = await self._service.invoke(invoke, request_id, stream)
        return await stream.finish(answer) or respond(request, answer)

    async def read(self, request: web.BaseRequest, invoked: "Invoked", request_id: str) -> Request:
        """Read an Invoke request to its end, and keep it if such are kept."""
        headers = request.headers
        body, size = await read_body(request, answers.SYNC_LIMIT)
        invoke = Request(
            function_name=invoked.name,
            qualifier=request.rel_url.query.get("Qualifier"),
            # What InvokeAsync was, before there were Events.
            invocation_type="Event"
            if invoked.is_async
            else headers.get("X-Amz-Invocation-Type", "RequestResponse"),
            log_type=headers.get("X-Amz-Log-Type", "None"),
            client_context=headers.get("X-Amz-Client-Context"),
            tenant_id=headers.get("X-Amz-Tenant-Id"),
            trace_id=headers.get("X-Amzn-Trace-Id"),
            body=body,
            size=size,
            streams=invoked.streams,
        )
        self._received.add(invoke, request_id)
        return invoke

    async def _manage(self, request: web.BaseRequest, request_id: str) -> Answer:
        body, size = await read_body(request, BODY_LIMIT)
        if size > BODY_LIMIT:
            return answers.upload_too_large(request_id, BODY_LIMIT)
        asked = ApiRequest(
            method=request.method,
            path=request.rel_url.raw_path,
            query=request.rel_url.query,
            body=body,
        )
        answer = self._management.answer(asked, request_id)
        return answer or answers.unknown_operation(request_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoked:
    """Which function a request invokes, and by which operation."""

    name: str
    """The name or ARN, percent-decoded."""
    streams: bool
    """Whether it is InvokeWithResponseStream."""
    is_async: bool
    """Whether it is InvokeAsync."""


def invoked_function(request: web.BaseRequest) -> Invoked | None:
    """Tell what a request invokes; None if it invokes nothing."""
    match = _INVOKE.fullmatch(request.rel_url.raw_path)
    if match is None or request.method != "POST":
        return None
    return Invoked(
        name=unquote(match[1] or match[2] or match[3]),
        streams=match[2] is not None,
        is_async=match[3] is not None,
    )


def respond(request: web.BaseRequest, answer: Answer) -> web.Response:
    """Return the HTTP answer."""
    headers = answer.headers
    if request.keep_alive:
        headers["Connection"] = "keep-alive"
    return web.Response(status=answer.status, headers=headers, body=answer.body)
