"""The reference transport: aiobotocore's own operations, with nothing hidden and nothing repeated.

Each call is made on a copy of the client whose HTTP session is one of ours, in front of the client's.
It notes when sending begins, so that what fails before that was surely not sent; it keeps the answer
as it came, so that a body which breaks the SDK's parser does not overrule the status line; and it
follows no redirect, which would deliver the payload twice. The caller's own objects are untouched,
and whoever has wrapped or listens to them still does.
"""

import copy
from collections.abc import Mapping
from typing import Any

from aiobotocore.client import AioBaseClient

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply, StreamHead, decode_log_result
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.answers import ACCEPTED, read_failure
from asyncinvoke._transport.base import Stream
from asyncinvoke._transport.bodies import read_whole
from asyncinvoke._transport.credentials import KeptCredentials
from asyncinvoke._transport.noting import NotingSession
from asyncinvoke._transport.sdk_request import client_arguments, stream_arguments
from asyncinvoke._transport.stream import OpenStream
from asyncinvoke._transport.under_way import UnderWay
from asyncinvoke._transport.wires import Wires


class ClientTransport:
    """Invokes through an aiobotocore client whose own retries are off.

    Args:
        client: The open client.
        wires: The ways over the wire that it has; by default those of its HTTP session.
        credentials: Its credentials, as they are kept; by default those of its signer.
    """

    keeps_deadline = True

    def __init__(
        self,
        client: Any,
        *,
        wires: Wires | None = None,
        credentials: KeptCredentials | None = None,
    ) -> None:
        self._client = client
        self._under_way = UnderWay()
        # A stand-in of the caller's has neither.
        if isinstance(client, AioBaseClient):
            wires = wires or Wires(client._endpoint.http_session)  # noqa: SLF001
            credentials = credentials or KeptCredentials(client._request_signer)  # noqa: SLF001
        self._wires = wires
        self._credentials = credentials

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Invoke once and read the whole answer; a failure is a value."""
        return await self._under_way.wait_for(self._send(parameters, payload, progress), progress)

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        """Invoke once and wait for the answer's head; a failure is a value."""
        return await self._under_way.wait_for(self._open(parameters, payload, progress), progress)

    async def aclose(self) -> None:
        """End: calls under way fail as closed, each with its true phase, and no more are sent."""
        if self._wires is not None:
            await self._wires.aclose()
        await self._under_way.aclose()

    async def _send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        failed = await self._ask_for_credentials(progress)
        if failed is not None:
            return failed
        accepted = ACCEPTED[parameters.invocation_type]
        client, noting = self._noting(progress, whole=True)
        try:
            answer = await client.invoke(**client_arguments(parameters, payload))
            content = await noting.payload_of(answer)
        except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
            # aiobotocore's frames keep the error that keeps them, and ours the payload.
            return noting.failure(error.with_traceback(None), accepted)
        finally:
            await noting.aclose()
        progress.phase = Phase.BODY_READ
        if answer["StatusCode"] != accepted:
            return read_failure(answer["StatusCode"], noting.headers, content, accepted)
        return _reply(answer, content)

    async def _open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        failed = await self._ask_for_credentials(progress)
        if failed is not None:
            return failed
        client, noting = self._noting(progress, whole=False)
        try:
            answer = await client.invoke_with_response_stream(
                **stream_arguments(parameters, payload)
            )
            if answer["StatusCode"] != 200:
                content = await read_whole(noting.body())
                return read_failure(answer["StatusCode"], noting.headers, content)
        except BaseException as error:
            await noting.aclose()
            if isinstance(error, Exception):  # whatever it is, it becomes a value
                return noting.failure(error.with_traceback(None), 200)
            raise
        progress.phase = Phase.HEAD_READ
        head = StreamHead(
            status_code=answer["StatusCode"],
            executed_version=answer.get("ExecutedVersion"),
            request_id=answer["ResponseMetadata"].get("RequestId"),
            content_type=answer.get("ResponseStreamContentType"),
        )
        body = self._under_way.body(noting.body(), progress)
        return OpenStream(head, body, progress.deadline)

    async def _ask_for_credentials(self, progress: Progress) -> Failure | None:
        """Have the credentials renewed, if that is due, before aiobotocore asks for them."""
        progress.phase = Phase.CREDENTIALS
        kept = self._credentials
        if kept is None or not kept.exist or kept.kept() is not None:
            return None
        asked = await kept.fetch()
        return asked if isinstance(asked, Failure) else None

    def _noting(self, progress: Progress, *, whole: bool) -> tuple[Any, NotingSession]:
        """Return a copy of the client whose session notes, and that session."""
        client: Any = self._client
        endpoint: Any = getattr(client, "_endpoint", None)
        if not isinstance(client, AioBaseClient) or _is_patched(client) or _is_patched(endpoint):
            # A stand-in of the caller's own, or a method put on one object, which is bound to it:
            # nobody knows when that sends.
            progress.phase = Phase.WRITTEN
            return client, NotingSession(None, None, progress, whole=whole)
        client = copy.copy(client)
        endpoint = client._endpoint = copy.copy(endpoint)  # noqa: SLF001
        noting = endpoint.http_session = NotingSession(
            endpoint.http_session, self._wires, progress, whole=whole
        )
        return client, noting


def _is_patched(value: object) -> bool:
    """Whether an object has an attribute in the place of one of its class."""
    return any(hasattr(type(value), name) for name in vars(value))


def _reply(answer: Mapping[str, Any], content: bytes) -> Reply:
    return Reply(
        status_code=answer["StatusCode"],
        payload=content,
        executed_version=answer.get("ExecutedVersion"),
        function_error=answer.get("FunctionError") or None,
        log_result=decode_log_result(answer.get("LogResult")),
        request_id=answer["ResponseMetadata"].get("RequestId"),
        durable_execution_arn=answer.get("DurableExecutionArn"),
    )
