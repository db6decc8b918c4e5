"""Lambda's Runtime API (2018-06-01), which AWS's runtime uses over HTTP, for one environment.

`environment` serves one for each worker process on its own port, because `AWS_LAMBDA_RUNTIME_API` is
only a host and a port.
"""

import json
import secrets
from typing import Protocol

from aiohttp import web

from asyncinvoke.local.execution.function_errors import RESPONSE_LIMIT
from asyncinvoke.local.execution.invocation import Invocation
from asyncinvoke.local.http.listener import Limits, read_body

LIMITS = Limits(
    header=2 * 1024 * 1024,  # AWS's runtime sends a stack trace of up to 1 MiB in a header
    silence=3600.0,  # a connection is idle while the handler runs
    body=3600.0,
)
"""The limits on connections of the runtime."""

_BASE = "/2018-06-01/runtime/"
_NEXT = _BASE + "invocation/next"
_INIT_ERROR = _BASE + "init/error"


def for_function(trace_id: str) -> str:
    """Return a trace id in the form that functions receive, with capitals and a parent.

    One sent by the caller is passed on unchanged.
    """
    if not trace_id.startswith("root="):
        return trace_id
    root, _, sampled = trace_id.partition(";")
    return f"R{root[1:]};Parent={secrets.token_hex(8)};S{sampled[1:]}"


class Worker(Protocol):
    """The side of the environment that this API calls."""

    async def next(self) -> tuple[Invocation, int]:
        """Wait for the next invocation; return it with its deadline, in ms since the epoch."""
        ...

    def responded(self, payload: bytes, content_type: str) -> None:
        """Receive the handler's response."""
        ...

    def failed(self, payload: bytes) -> None:
        """Receive an error of the handler, or of the runtime's start."""
        ...


class RuntimeApi:
    """The request handler of one environment's HTTP server."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._current: str | None = None

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Respond to one request of the runtime."""
        path = request.rel_url.raw_path
        if request.method == "GET" and path == _NEXT:
            return await self._next()
        if request.method != "POST":
            return web.Response(status=404)
        call = f"{_BASE}invocation/{self._current}"
        if path not in (f"{call}/response", f"{call}/error", _INIT_ERROR):
            return web.Response(status=400)
        payload, _ = await read_body(request, RESPONSE_LIMIT + 1, limits=LIMITS)
        if path == f"{call}/response":
            content_type = request.headers.get("Content-Type", "application/json")
            self._worker.responded(payload, content_type)
        else:
            self._worker.failed(payload)
        self._current = None
        return web.json_response({"status": "OK"}, status=202)

    async def _next(self) -> web.Response:
        invocation, deadline = await self._worker.next()
        self._current = invocation.request_id
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
            "Lambda-Runtime-Trace-Id": for_function(invocation.trace_id),
        }
        if invocation.client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = json.dumps(invocation.client_context)
        if invocation.tenant_id is not None:
            headers["Lambda-Runtime-Aws-Tenant-Id"] = invocation.tenant_id
        return web.Response(body=invocation.payload, headers=headers)
