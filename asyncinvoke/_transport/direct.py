"""The direct transport: the bytes that aiobotocore would send, prepared once and signed anew.

It steps aside, to the reference transport, while somebody wraps or listens to the client's calls,
and for a client whose signature is not Version 4.
"""

import logging
from typing import Any, TypeAlias

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._recent import Recent
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.answers import ACCEPTED, read_answer, read_failure, read_stream_head
from asyncinvoke._transport.arguments import INVOKE, STREAM
from asyncinvoke._transport.base import Stream
from asyncinvoke._transport.bodies import read_whole
from asyncinvoke._transport.client import ClientTransport
from asyncinvoke._transport.credentials import KeptCredentials, failure_before_sending
from asyncinvoke._transport.exceptions import failure_from
from asyncinvoke._transport.interception import Interception
from asyncinvoke._transport.outgoing import Filled
from asyncinvoke._transport.senders import AiohttpSender, Sender, SessionSender
from asyncinvoke._transport.sigv4 import Moment
from asyncinvoke._transport.stream import OpenStream
from asyncinvoke._transport.template import Template, UnsuitableError, make_template
from asyncinvoke._transport.under_way import UnderWay

_logger = logging.getLogger("asyncinvoke")

_MOST_TEMPLATES = 512
"""How many are kept at least; the old ones among them up to as many again."""


class DirectTransport:
    """Sends what aiobotocore would send, without asking it each time."""

    def __init__(self, client: Any) -> None:
        """Take hold of the client's parts.

        Raises:
            AttributeError: A private name of aiobotocore that this relies on is missing.
        """
        self._client = client
        self._reference = ClientTransport(client)
        self._credentials = KeptCredentials(client._request_signer)  # noqa: SLF001
        self._interception = Interception(client)
        self._told: set[str] = set()
        http_session = client._endpoint.http_session  # noqa: SLF001
        self._sender: Sender = (
            AiohttpSender(http_session)
            if AiohttpSender.reachable(http_session)
            else SessionSender(http_session)
        )
        self._templates: Recent[_Kind, Template | UnsuitableError] = Recent(_MOST_TEMPLATES)
        self._under_way = UnderWay()

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Send once and read the whole answer; a failure is a value."""
        if self._steps_aside():
            return await self._reference.send(parameters, payload, progress)
        return await self._under_way.until_closed(
            self._send(parameters, payload, progress), progress
        )

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        """Send once and wait for the head of the answer; a failure is a value."""
        if self._steps_aside():
            return await self._reference.open(parameters, payload, progress)
        return await self._under_way.until_closed(
            self._open(parameters, payload, progress), progress
        )

    async def aclose(self) -> None:
        """End the calls that are under way."""
        await self._reference.aclose()
        await self._under_way.aclose()

    def _steps_aside(self) -> bool:
        found = self._interception.found()
        if found is not None and found not in self._told:
            self._told.add(found)
            _logger.info(
                "calls go through aiobotocore's own invoke, at about four times the CPU, while %s",
                found,
            )
        return found is not None or not self._credentials.exist

    async def _send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        filled = await self._fill(INVOKE, parameters, payload, progress)
        if isinstance(filled, Failure):
            return filled
        if filled is None:
            return await self._reference.send(parameters, payload, progress)
        try:
            status_code, headers, body = await self._sender.open(filled, progress)
            progress.phase = Phase.HEAD_READ
            content = await read_whole(body)
        except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
            return failure_from(error, progress.phase)
        progress.phase = Phase.BODY_READ
        return read_answer(status_code, headers, content, ACCEPTED[parameters.invocation_type])

    async def _open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        filled = await self._fill(STREAM, parameters, payload, progress)
        if isinstance(filled, Failure):
            return filled
        if filled is None:
            return await self._reference.open(parameters, payload, progress)
        try:
            status_code, headers, body = await self._sender.open(filled, progress)
            progress.phase = Phase.HEAD_READ
            if status_code != 200:
                return read_failure(status_code, headers, await read_whole(body))
        except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
            return failure_from(error, progress.phase)
        return OpenStream(read_stream_head(status_code, headers), body)

    async def _fill(
        self, operation: str, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Filled | Failure | None:
        """Return the request, or `None` where only aiobotocore can make it."""
        progress.phase = Phase.CREDENTIALS
        moment = self._credentials.kept()
        if moment is None:
            asked = await self._credentials.fetch()
            if isinstance(asked, Failure):
                return asked
            moment = asked
        kind = _kind(operation, parameters, moment)
        template = self._templates.get(kind)
        if template is None:
            try:
                template = await self._make(operation, parameters, moment)
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
                return failure_before_sending(error)
            if self._steps_aside():
                return None  # somebody came meanwhile; what is meant for one call may be in it now
            self._templates.put(kind, template)
        if isinstance(template, UnsuitableError):
            return None
        return Filled(template, moment, parameters, payload)

    async def _make(
        self, operation: str, parameters: InvokeParameters, moment: Moment
    ) -> Template | UnsuitableError:
        try:
            return await make_template(self._client, operation, parameters, moment)
        except UnsuitableError as unsuitable:
            _logger.debug(
                "using aiobotocore's own invoke, not the direct transport: %s", unsuitable
            )
            return unsuitable.with_traceback(None)


_Kind: TypeAlias = tuple[object, ...]


def _kind(operation: str, parameters: InvokeParameters, moment: Moment) -> _Kind:
    """Return what a template is for: of what belongs to one call, only whether it is there."""
    return (
        operation,
        parameters.target,
        parameters.invocation_type,
        parameters.log_type,
        parameters.client_context is None,
        parameters.durable_execution_name is None,
        parameters.tenant_id is None,
        moment.credentials.token is None,
    )
