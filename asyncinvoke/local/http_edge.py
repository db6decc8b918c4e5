"""HTTP to and from the service's own values: paths, headers, bodies."""

import re
import uuid
from typing import Protocol
from urllib.parse import unquote

from aiohttp import web

from asyncinvoke.local import answers
from asyncinvoke.local.answers import Answer
from asyncinvoke.local.listener import read_body
from asyncinvoke.local.requests import Request

_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


class Service(Protocol):
    """What stands behind the edge."""

    async def invoke(self, request: Request, request_id: str) -> Answer:
        """Answer one Invoke request."""
        ...


class HttpEdge:
    """The handler of the endpoint's HTTP server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Read one request, let the service answer it, write the answer."""
        request_id = str(uuid.uuid4())
        match = _INVOKE.fullmatch(request.rel_url.raw_path)
        if match is None or request.method != "POST":
            return _response(request, answers.unknown_operation(request_id))
        headers = request.headers
        body, size = await read_body(request, answers.SYNC_LIMIT)
        invoke = Request(
            function_name=unquote(match[1]),
            qualifier=request.rel_url.query.get("Qualifier"),
            invocation_type=headers.get("X-Amz-Invocation-Type", "RequestResponse"),
            log_type=headers.get("X-Amz-Log-Type", "None"),
            client_context=headers.get("X-Amz-Client-Context"),
            tenant_id=headers.get("X-Amz-Tenant-Id"),
            trace_id=headers.get("X-Amzn-Trace-Id"),
            body=body,
            size=size,
        )
        return _response(request, await self._service.invoke(invoke, request_id))


def _response(request: web.BaseRequest, answer: Answer) -> web.Response:
    headers = answer.headers
    if request.keep_alive:
        headers["Connection"] = "keep-alive"
    return web.Response(status=answer.status, headers=headers, body=answer.body)
