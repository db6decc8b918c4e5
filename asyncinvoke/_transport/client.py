"""The reference transport: aiobotocore's own operations, unmodified and without its retries.

Each call is made on a copy of the client, whose HTTP session is wrapped by ours. The wrapper notes
when sending begins, so a call that fails before that was certainly not sent. It keeps the raw
answer, so a body that breaks the SDK's parser does not override the status line. And it follows no
redirects, which would deliver the payload twice. The caller's objects are not changed, and their
wrappers and event handlers still apply. As the waiting happens in third-party libraries, `ForeignCalls`
cancels their calls from here.
"""

import copy
from collections.abc import Mapping
from typing import Any

from aiobotocore.client import AioBaseClient

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply, StreamHead, decode_log_result
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.answers import ACCEPTED, as_text, read_failure
from asyncinvoke._transport.credentials import KeptCredentials
from asyncinvoke._transport.foreign_calls import ForeignCalls
from asyncinvoke._transport.noting import NotingSession
from asyncinvoke._transport.sdk_request import client_arguments, stream_arguments
from asyncinvoke._transport.stream import OpenStream, read_whole
from asyncinvoke._transport.wires import Wires


class ClientTransport:
    """Invokes through an aiobotocore client whose own retries are off.

    Args:
        client: The open client.
        wires: Its routes; by default those of its HTTP session.
        credentials: The cache of its credentials; by default a new one.
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
        self._foreign_calls = ForeignCalls()
        # A fake client has neither.
        if isinstance(client, AioBaseClient):
            wires = wires or Wires(client._endpoint.http_session)  # noqa: SLF001
            credentials = credentials or KeptCredentials(client._request_signer)  # noqa: SLF001
        self._wires = wires
        self._credentials = credentials

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Invoke once, and read the whole response; failures are returned, not raised."""
        return await self._foreign_calls.wait_for(
            self._send(parameters, payload, progress), progress
        )

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> OpenStream | Failure:
        """Invoke once, and read the head of the response; failures are returned, not raised."""
        return await self._foreign_calls.wait_for(
            self._open(parameters, payload, progress), progress
        )

    async def aclose(self) -> None:
        """Close: calls in progress fail as closed, each with its phase, and no more are sent."""
        self.end()
        if self._wires is not None:
            await self._wires.aclose()
        await self._foreign_calls.aclose()

    def end(self) -> None:
        """Cancel all calls, without waiting for them."""
        self._foreign_calls.end()

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
            progress.phase = Phase.BODY_READ
            if answer["StatusCode"] != accepted:
                return read_failure(answer["StatusCode"], noting.headers, content, accepted)
            return _reply(answer, content)
        except Exception as error:  # noqa: BLE001  # converted to a Failure
            # The error and aiobotocore's frames form a cycle, and our frames hold the payload.
            return noting.failure(error.with_traceback(None), accepted)
        finally:
            await noting.aclose()

    async def _open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> OpenStream | Failure:
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
            progress.phase = Phase.HEAD_READ
            body = self._foreign_calls.body(noting.body(), progress)
            return OpenStream(_stream_head(answer), body, progress.deadline)
        except BaseException as error:
            await noting.aclose()
            if isinstance(error, Exception):  # converted to a Failure
                return noting.failure(error.with_traceback(None), 200)
            raise

    async def _ask_for_credentials(self, progress: Progress) -> Failure | None:
        """Refresh the credentials, if that is due, before aiobotocore uses them."""
        progress.phase = Phase.CREDENTIALS
        kept = self._credentials
        if kept is None or not kept.exist or kept.kept() is not None:
            return None
        asked = await kept.fetch()
        return asked if isinstance(asked, Failure) else None

    def _noting(self, progress: Progress, *, whole: bool) -> tuple[Any, NotingSession]:
        """Return a copy of the client with a recording session, and that session."""
        client: Any = self._client
        endpoint: Any = getattr(client, "_endpoint", None)
        if not isinstance(client, AioBaseClient) or _is_patched(client) or _is_patched(endpoint):
            # A fake client, or a method patched on the instance: when it sends is unknown.
            progress.phase = Phase.WRITTEN
            return client, NotingSession(None, None, progress, whole=whole)
        client = copy.copy(client)
        endpoint = client._endpoint = copy.copy(endpoint)  # noqa: SLF001
        noting = endpoint.http_session = NotingSession(
            endpoint.http_session, self._wires, progress, whole=whole
        )
        return client, noting


def _is_patched(value: object) -> bool:
    """Return whether an attribute of an object overrides one of its class."""
    return any(hasattr(type(value), name) for name in vars(value))


def _reply(answer: Mapping[str, Any], content: bytes) -> Reply:
    return Reply(
        status_code=answer["StatusCode"],
        payload=content,
        executed_version=as_text(answer.get("ExecutedVersion")) or None,
        function_error=as_text(answer.get("FunctionError")) or None,
        log_result=decode_log_result(as_text(answer.get("LogResult"))),
        request_id=_request_id(answer),
        durable_execution_arn=as_text(answer.get("DurableExecutionArn")) or None,
    )


def _stream_head(answer: Mapping[str, Any]) -> StreamHead:
    return StreamHead(
        status_code=answer["StatusCode"],
        executed_version=as_text(answer.get("ExecutedVersion")) or None,
        request_id=_request_id(answer),
        content_type=as_text(answer.get("ResponseStreamContentType")) or None,
    )


def _request_id(answer: Mapping[str, Any]) -> str | None:
    metadata = answer.get("ResponseMetadata") or {}  # an answer of a stub may have none
    return as_text(metadata.get("RequestId")) or None
