"""The reference transport: aiobotocore's own operations, with nothing hidden and nothing repeated.

Each call is made on a copy of the client whose HTTP session is one of ours, in front of the client's.
It notes when sending begins, so that what fails before that was surely not sent; it keeps the answer
as it came, so that a body which breaks the SDK's parser does not overrule the status line; and it
follows no redirect, which would deliver the payload twice. The caller's own objects are untouched,
and whoever has wrapped or listens to them still does.
"""

import copy
import io
from collections.abc import Awaitable, Mapping
from typing import Any

import anyio
from aiobotocore.client import AioBaseClient
from aiobotocore.httpsession import AIOHTTPSession
from botocore import exceptions as botocore_errors

from asyncinvoke._model.codec import decode_log_result
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply, StreamHead
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.answers import ACCEPTED, read_failure
from asyncinvoke._transport.arguments import INVOKE, STREAM, client_arguments, stream_arguments
from asyncinvoke._transport.base import Stream
from asyncinvoke._transport.bodies import Body, body_of, known, read_whole
from asyncinvoke._transport.credentials import KeptCredentials, failure_before_sending
from asyncinvoke._transport.exceptions import failure_from, failure_from_answer
from asyncinvoke._transport.http_sessions import WithoutRedirects
from asyncinvoke._transport.senders import NotedPayload
from asyncinvoke._transport.stream import OpenStream
from asyncinvoke._transport.under_way import UnderWay


class ClientTransport:
    """Invokes through an aiobotocore client whose own retries are off."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._under_way = UnderWay()
        signer = getattr(client, "_request_signer", None)
        self._credentials = None if signer is None else KeptCredentials(signer)

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Invoke once and read the whole answer; a failure is a value."""
        return await self._under_way.until_closed(
            self._send(parameters, payload, progress), progress
        )

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        """Invoke once and wait for the answer's head; a failure is a value."""
        return await self._under_way.until_closed(
            self._open(parameters, payload, progress), progress
        )

    async def aclose(self) -> None:
        """End the calls that are under way."""
        await self._under_way.aclose()

    async def _send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        failed = await self._ask_for_credentials(progress)
        if failed is not None:
            return failed
        accepted = ACCEPTED[parameters.invocation_type]
        client, noting = self._noting(progress)
        try:
            answer = await client.invoke(**client_arguments(parameters, payload))
            content = await noting.payload_of(answer)
        except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
            return noting.failure(error, accepted)
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
        client, noting = self._noting(progress)
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
                return noting.failure(error, 200)
            raise
        progress.phase = Phase.HEAD_READ
        head = StreamHead(
            status_code=answer["StatusCode"],
            executed_version=answer.get("ExecutedVersion"),
            request_id=answer["ResponseMetadata"].get("RequestId"),
            content_type=answer.get("ResponseStreamContentType"),
        )
        return OpenStream(head, noting.body())

    async def _ask_for_credentials(self, progress: Progress) -> Failure | None:
        """Have the credentials renewed, if that is due, before aiobotocore asks for them."""
        progress.phase = Phase.CREDENTIALS
        kept = self._credentials
        if kept is None or not kept.exist or kept.kept() is not None:
            return None
        asked = await kept.fetch()
        return asked if isinstance(asked, Failure) else None

    def _noting(self, progress: Progress) -> tuple[Any, "_NotingSession"]:
        """Return a copy of the client whose session notes, and that session."""
        client: Any = self._client
        endpoint: Any = getattr(client, "_endpoint", None)
        if not isinstance(client, AioBaseClient) or _is_patched(client) or _is_patched(endpoint):
            # A stand-in of the caller's own, or a method put on one object, which is bound to it:
            # nobody knows when that sends.
            progress.phase = Phase.WRITTEN
            return client, _NotingSession(None, progress)
        client = copy.copy(client)
        endpoint = client._endpoint = copy.copy(endpoint)  # noqa: SLF001
        noting = endpoint.http_session = _NotingSession(endpoint.http_session, progress)
        return client, noting


def _is_patched(value: object) -> bool:
    """Whether an object has an attribute in the place of one of its class."""
    return any(hasattr(type(value), name) for name in vars(value))


class _NotingSession:
    """An HTTP session for one request, in front of the client's own."""

    def __init__(self, http_session: Any, progress: Progress) -> None:
        self._http_session = _without_redirects(http_session)
        self._progress = progress
        self._answer: Any = None
        self._error_body: bytes | None = None

    def send(self, request: Any) -> Awaitable[Any]:
        """Send as aiobotocore would, and note it."""
        if isinstance(self._http_session, AIOHTTPSession):
            self._progress.phase = Phase.CONNECTING
            request.body = NotedPayload(_bytes_of(request.body), self._progress)
        else:
            self._progress.phase = Phase.WRITTEN  # as far as it may have come
        # httpx would ask for a compressed answer, and undo it.
        request.headers["Accept-Encoding"] = "identity"
        # The request shows its headers, and so is no local of what waits.
        return self._note(self._http_session.send(request))

    async def _note(self, sending: Awaitable[Any]) -> Any:
        answer = self._answer = await sending
        self._progress.phase = Phase.HEAD_READ
        if answer.status_code >= 300:
            # As it came: botocore reads no more than what is there already.
            self._error_body = answer._content = await self._whole(answer)  # noqa: SLF001
        return answer

    async def _whole(self, answer: Any) -> bytes:
        if known(answer.raw):
            return await read_whole(body_of(answer.raw))
        content: bytes = await answer.content
        return content

    def body(self) -> Body:
        """Return the body of the answer, as it comes."""
        return body_of(self._answer.raw)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer, by name in lower case."""
        if self._answer is None:
            return {}
        return {name.lower(): value for name, value in self._answer.headers.items()}

    async def payload_of(self, answer: Mapping[str, Any]) -> bytes:
        """Read the payload of an answer that aiobotocore has parsed."""
        payload = answer["Payload"]
        raw = getattr(payload, "raw_stream", None)
        if self._answer is not None and raw is self._answer.raw and known(raw):
            return await read_whole(body_of(raw))
        async with payload as body:
            content: bytes = await body.read()
        return content

    async def aclose(self) -> None:
        """Close the connection, unless the answer was read to its end."""
        if self._answer is not None and known(self._answer.raw):
            with anyio.CancelScope(shield=True):
                await body_of(self._answer.raw).aclose()

    def failure(self, error: Exception, accepted: int) -> Failure:
        """Turn what a call came to into a failure."""
        if self._error_body is not None:
            return read_failure(self._answer.status_code, self.headers, self._error_body, accepted)
        if isinstance(error, botocore_errors.ClientError) and error.operation_name in (
            INVOKE,
            STREAM,
        ):
            return failure_from_answer(error)
        if self._progress.phase >= Phase.CONNECTING:
            return failure_from(error, self._progress.phase)
        if isinstance(error, botocore_errors.HTTPClientError | botocore_errors.ConnectionError):
            # The credentials are there, so somebody else has sent something: a stub, or a tracer.
            return failure_from(error, Phase.WRITTEN)
        return failure_before_sending(error)


def _bytes_of(body: Any) -> bytes:
    # aiobotocore gets large payloads as files.
    content: bytes = body.getvalue() if isinstance(body, io.BytesIO) else body or b""
    return content


def _without_redirects(http_session: Any) -> Any:
    """Return a session that takes a redirect for an answer; httpx's does that anyway."""
    get_session = getattr(http_session, "_get_session", None)
    if not isinstance(http_session, AIOHTTPSession) or get_session is None:
        return http_session

    async def get_without_redirects(proxy_url: str | None) -> WithoutRedirects:
        return WithoutRedirects(await get_session(proxy_url))

    http_session = copy.copy(http_session)
    http_session._get_session = get_without_redirects  # noqa: SLF001
    return http_session


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
