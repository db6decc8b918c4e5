"""Stands before all else at the edge: refuses requests that nobody signed, as the service does.

No signature is checked, only that there is one: any credentials will do. A web page cannot send
one, since a browser asks the server before it sends an `Authorization` header for a page.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web

from asyncinvoke.local.edge.http_edge import respond
from asyncinvoke.local.protocol import refusals

_logger = logging.getLogger(__name__)

_SCHEMES = ("aws4-hmac-sha256", "aws4-ecdsa-p256-sha256")


class SignedEdge:
    """The handler of the endpoint's HTTP server.

    Args:
        edge: Where requests go that are signed.
        allow_unsigned: Whether others go there as well.
    """

    def __init__(
        self,
        edge: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        allow_unsigned: bool,
    ) -> None:
        self._edge = edge
        self._allow_unsigned = allow_unsigned
        self._has_told = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; refuse it before its body is read if it is not signed."""
        signature = request.headers.get("Authorization", "").lower()
        if self._allow_unsigned or signature.startswith(_SCHEMES):
            return await self._edge(request)
        if not self._has_told:
            self._has_told = True
            _logger.warning(
                "refused a request that is not signed: allow_unsigned=True (--allow-unsigned) "
                "takes such, as curl sends them"
            )
        refused = respond(request, refusals.unsigned().answer(str(uuid.uuid4())))
        refused.headers["Connection"] = "close"
        refused.force_close()
        return refused
