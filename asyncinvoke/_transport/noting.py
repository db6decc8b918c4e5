"""An HTTP session for a single request of aiobotocore, which records its progress and response."""

from collections.abc import Awaitable, Mapping
from typing import Any

import anyio
from aiobotocore.awsrequest import AioAWSResponse
from botocore import exceptions as botocore_errors
from botocore.auth import _host_from_url

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._telemetry.trace import TRACE
from asyncinvoke._transport.answers import decides, read_failure, texts
from asyncinvoke._transport.credentials import failure_before_sending
from asyncinvoke._transport.exceptions import failure_from, failure_from_answer
from asyncinvoke._transport.http.errors import forget
from asyncinvoke._transport.sdk_request import INVOKE, STREAM
from asyncinvoke._transport.senders import bytes_of, noted_send
from asyncinvoke._transport.stream import Body, RawAnswer, WholeBody, body_of, known, read_whole
from asyncinvoke._transport.template import TRACE_ID, first_lines, origin_of
from asyncinvoke._transport.wires import Wires

_AS_BOTOCORE: dict[TransportFault | None, Any] = {
    TransportFault.CONNECT: botocore_errors.EndpointConnectionError,
    TransportFault.CONNECT_TIMEOUT: botocore_errors.ConnectTimeoutError,
    TransportFault.PROXY: botocore_errors.ProxyConnectionError,
    TransportFault.READ_TIMEOUT: botocore_errors.ReadTimeoutError,
    TransportFault.TLS: botocore_errors.SSLError,
}
"""The exceptions that the SDK and its event handlers see; `ConnectionClosedError` for other faults."""


class NotingSession:
    """Wraps a client's HTTP session for one request.

    The request is sent over one of our own connections if possible, and otherwise through the
    session, as aiobotocore would send it. Redirects are not followed, and bodies are not decoded.

    Args:
        http_session: The client's own session.
        wires: Its routes; `None` to use the session only.
        progress: Updated as the request proceeds.
        whole: Whether the response is read as a whole.
    """

    def __init__(
        self, http_session: Any, wires: Wires | None, progress: Progress, *, whole: bool
    ) -> None:
        self._http_session = http_session
        self._wires = wires
        self._progress = progress
        self._whole = whole
        self._answer: Any = None
        self._error_body: bytes | None = None
        self._failure: Failure | None = None
        self._url = ""

    def send(self, request: Any) -> Awaitable[Any]:
        """Send a prepared request, and record its progress."""
        # A request shows its headers, so it must not be a local variable of a waiting coroutine.
        wires = self._wires
        self._url = request.url
        refusal = None if wires is None else wires.refusal(self._progress)
        if refusal is not None:
            raise self._failed(refusal, self._url)
        trace = TRACE.get()
        if trace is not None:
            # The header is not signed. The caller's value overrides that of any event handler.
            request.headers[TRACE_ID] = trace
        if (
            wires is not None
            and wires.are_plainly_of(self._http_session)
            and not _has_own_patience(request)
        ):
            prepared = _Prepared(request)
            if prepared.is_fit and wires.ours(origin_of(prepared.url)) is not None:
                return self._carry(wires, prepared)
        return self._note(noted_send(self._http_session, request, self._progress))

    async def _carry(self, wires: Wires, request: "_Prepared") -> Any:
        self._progress.phase = Phase.CONNECTING
        body: Body
        if self._whole:
            exchanged = await wires.exchange(request, self._progress)
            if isinstance(exchanged, Failure):
                raise self._failed(exchanged, request.url)
            status_code, headers, content = exchanged
            body = WholeBody(content)
        else:
            opened = await wires.open(request, self._progress)
            if isinstance(opened, Failure):
                raise self._failed(opened, request.url)
            status_code, headers, body = opened
        answer = AioAWSResponse(request.url, status_code, dict(headers), RawAnswer(body))
        return await self._take(answer)

    async def _note(self, sending: Awaitable[Any]) -> Any:
        answer = await sending
        self._progress.phase = Phase.HEAD_READ
        self._progress.head = answer.status_code, texts(answer.headers)
        return await self._take(answer)

    async def _take(self, answer: Any) -> Any:
        self._answer = answer
        if answer.status_code >= 300:
            # The raw body: botocore parses what has been read already.
            self._error_body = answer._content = await self._error_body_of(answer)  # noqa: SLF001
        return answer

    @staticmethod
    async def _error_body_of(answer: Any) -> bytes:
        try:
            content: bytes = await (
                read_whole(body_of(answer.raw)) if known(answer.raw) else answer.content
            )
        except Exception as error:
            if not decides(answer.status_code):
                raise
            forget(error)
            return b""
        return content

    def _failed(self, failure: Failure, url: str) -> Exception:
        self._failure = failure
        error = failure.cause or failure.message
        cls = _AS_BOTOCORE.get(failure.fault, botocore_errors.ConnectionClosedError)
        raised: Exception = cls(endpoint_url=url, proxy_url="", error=error)
        return raised

    def body(self) -> Body:
        """Return the body of the response, as it arrives."""
        return body_of(self._answer.raw)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the response by lower-case name."""
        if self._answer is None:
            return {}
        return texts(self._answer.headers)

    async def payload_of(self, answer: Mapping[str, Any]) -> bytes:
        """Read the payload of a response that aiobotocore has parsed."""
        payload = answer["Payload"]
        raw = getattr(payload, "raw_stream", None)
        if self._answer is not None and raw is self._answer.raw and known(raw):
            return await read_whole(body_of(raw))
        async with payload as body:
            content: bytes = await body.read()
        return content

    async def aclose(self) -> None:
        """Close the connection, unless the response was read to its end."""
        if self._answer is not None and known(self._answer.raw):
            with anyio.CancelScope(shield=True):
                await body_of(self._answer.raw).aclose()

    def failure(self, error: Exception, accepted: int) -> Failure:
        """Convert the exception of a call to a failure."""
        failure = self._read(error, accepted)
        forget(error)
        return failure

    def _read(self, error: Exception, accepted: int) -> Failure:
        if self._failure is not None:
            return self._failure
        if self._error_body is not None:
            return read_failure(self._answer.status_code, self.headers, self._error_body, accepted)
        if isinstance(error, botocore_errors.ClientError) and error.operation_name in (
            INVOKE,
            STREAM,
        ):
            return failure_from_answer(error)
        if self._progress.phase >= Phase.CONNECTING:
            if self._wires is not None:
                return self._wires.failure(error, self._url, self._progress)
            return failure_from(error, self._progress.phase)
        if isinstance(error, botocore_errors.HTTPClientError | botocore_errors.ConnectionError):
            # Not raised by this session, so a stub or a tracer may have sent something.
            return failure_from(error, Phase.WRITTEN)
        return failure_before_sending(error)


class _Prepared:
    """A prepared request of aiobotocore, as it is sent; an `Outgoing`."""

    __slots__ = ("_headers", "_lines", "method", "payload", "url")

    def __init__(self, request: Any) -> None:
        self.method: str = request.method
        self.url: str = request.url
        content = bytes_of(request.body)
        self.payload = content or b""
        headers = list(request.headers.items())
        self._headers = {
            name: value.decode() if isinstance(value, bytes) else str(value)
            for name, value in headers
        }
        self._lines: str | None = None
        # Of a header that occurs twice, only the last was kept.
        if content is not None and len(headers) == len(self._headers):
            host = _host_from_url(self.url)
            self._lines = first_lines(self.method, self.url, host, self._headers)

    @property
    def is_fit(self) -> bool:
        """Whether the head can be written as it is, and the length of the body matches it."""
        length = {name.lower(): value for name, value in self._headers.items()}.get(
            "content-length"
        )
        return self._lines is not None and length == str(len(self.payload))

    def headers(self) -> dict[str, str]:
        """Return the headers; the caller may change them."""
        return self._headers

    def head(self) -> bytes:
        """Return the head of the request: everything before the body."""
        return f"{self._lines}\r\n".encode()


def _has_own_patience(request: Any) -> bool:
    """Return whether an event handler has set a read timeout for this request."""
    return (getattr(request, "context", None) or {}).get("read_timeout") is not None
