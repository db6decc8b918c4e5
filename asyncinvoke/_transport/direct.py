"""The direct transport: the bytes that aiobotocore would send, prepared once and signed anew.

It steps aside, to the reference transport, for a client that does more to its requests than sign
them: event handlers that are not the SDK's own, or another signature than Version 4.
"""

import logging
import time
from typing import Any

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.answers import AnswerReader
from asyncinvoke._transport.client import ClientTransport
from asyncinvoke._transport.exceptions import failure_from
from asyncinvoke._transport.senders import AiohttpSender, Sender, SessionSender
from asyncinvoke._transport.sigv4 import Credentials
from asyncinvoke._transport.template import Template, UnsuitableError, make_template

_logger = logging.getLogger("asyncinvoke")

_MOST_TEMPLATES = 1024

# Every event that can see or change an Invoke request or its answer.
_EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "response-received",
    "before-parse",
    "needs-retry",
    "after-call",
    "after-call-error",
)


class DirectTransport:
    """Sends what aiobotocore would send, without asking it each time."""

    def __init__(self, client: Any) -> None:
        """Take hold of the client's parts.

        Raises:
            AttributeError: A private name of aiobotocore that this relies on is missing.
        """
        self._client = client
        self._reference = ClientTransport(client)
        self._reader = AnswerReader(client)
        self._signer = client._request_signer  # noqa: SLF001
        self._emitter = client.meta.events._emitter  # noqa: SLF001
        http_session = client._endpoint.http_session  # noqa: SLF001
        self._sender: Sender = (
            AiohttpSender(http_session)
            if AiohttpSender.reachable(http_session)
            else SessionSender(http_session)
        )
        self._templates: dict[tuple[InvokeParameters, bool], Template] = {}
        self._handlers: object = self._emitter._lookup_cache  # noqa: SLF001
        self._has_foreign = self._has_foreign_handlers()
        self._is_unsuitable = False
        self._second = 0
        self._timestamp = ""

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Send once and read the whole answer; a failure is a value."""
        # botocore replaces this cache whenever a handler is registered or removed.
        if self._emitter._lookup_cache is not self._handlers:  # noqa: SLF001
            self._handlers = self._emitter._lookup_cache  # noqa: SLF001
            self._has_foreign = self._has_foreign_handlers()
        credentials = self._signer._credentials  # noqa: SLF001
        if self._has_foreign or self._is_unsuitable or credentials is None:
            return await self._reference.send(parameters, payload, progress)
        try:
            frozen: Credentials = await credentials.get_frozen_credentials()
            template = self._templates.get((parameters, frozen.token is None))
            if template is None:
                template = await self._prepare(parameters, frozen)
            headers = template.headers(frozen, self._now(), payload)
            answer = await self._sender.send(template, headers, payload)
        except UnsuitableError as unsuitable:
            self._is_unsuitable = True
            _tell(str(unsuitable))
            return await self._reference.send(parameters, payload, progress)
        except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
            return failure_from(error)
        return self._reader.read(*answer)

    async def _prepare(self, parameters: InvokeParameters, credentials: Credentials) -> Template:
        template = await make_template(self._client, parameters, credentials)
        if len(self._templates) >= _MOST_TEMPLATES:
            self._templates.clear()
        self._templates[parameters, credentials.token is None] = template
        return template

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        return self._timestamp

    def _has_foreign_handlers(self) -> bool:
        for event in _EVENTS:
            for handler in self._emitter._handlers.prefix_search(f"{event}.lambda.Invoke"):  # noqa: SLF001
                module = getattr(getattr(handler, "__func__", handler), "__module__", None) or ""
                if module.split(".")[0] not in ("botocore", "aiobotocore", "asyncinvoke"):
                    _tell(f"a handler of {module or handler!r} listens to {event}")
                    return True
        return False


def _tell(why: str) -> None:
    _logger.debug("using aiobotocore's own invoke, not the direct transport: %s", why)
