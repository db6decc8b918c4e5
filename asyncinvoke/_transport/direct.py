"""The direct transport: the bytes that aiobotocore would send, prepared once and signed anew.

It steps aside, to the reference transport, while somebody wraps or listens to the client's calls,
and for a client whose signature is not Version 4.
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
from asyncinvoke._transport.interception import Interception
from asyncinvoke._transport.senders import AiohttpSender, Sender, SessionSender
from asyncinvoke._transport.sigv4 import Credentials
from asyncinvoke._transport.template import Template, UnsuitableError, make_template

_logger = logging.getLogger("asyncinvoke")

_MOST_TEMPLATES = 1024


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
        self._interception = Interception(client)
        http_session = client._endpoint.http_session  # noqa: SLF001
        self._sender: Sender = (
            AiohttpSender(http_session)
            if AiohttpSender.reachable(http_session)
            else SessionSender(http_session)
        )
        self._templates: dict[tuple[InvokeParameters, bool], Template] = {}
        self._is_unsuitable = False
        self._told: set[str] = set()
        self._second = 0
        self._timestamp = ""

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Send once and read the whole answer; a failure is a value."""
        credentials = self._signer._credentials  # noqa: SLF001
        if self._is_unsuitable or credentials is None or self._is_intercepted():
            return await self._reference.send(parameters, payload, progress)
        try:
            frozen: Credentials = await credentials.get_frozen_credentials()
            template = self._templates.get((parameters, frozen.token is None))
            if template is None:
                template = await self._prepare(parameters, frozen)
                if self._is_intercepted():
                    # By whoever came meanwhile; what is meant for one call may be in it now.
                    self._templates.clear()
                    return await self._reference.send(parameters, payload, progress)
            headers = template.headers(frozen, self._now(), payload)
            answer = await self._sender.send(template, headers, payload)
        except UnsuitableError as unsuitable:
            if not self._is_intercepted():
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

    def _is_intercepted(self) -> bool:
        found = self._interception.found()
        if found is None:
            return False
        if found not in self._told:
            self._told.add(found)
            _logger.info(
                "calls go through aiobotocore's own invoke, at about four times the CPU, while %s",
                found,
            )
        return True


def _tell(why: str) -> None:
    _logger.debug("using aiobotocore's own invoke, not the direct transport: %s", why)
