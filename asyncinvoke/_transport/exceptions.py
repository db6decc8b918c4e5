"""Converts exceptions of an exchange to a `Failure`: where it broke off, and why.

Our own connections know the phase they reached. Exceptions of third-party libraries have to be
interpreted, and aiobotocore's classes do not tell whether a request was sent: with aiohttp, a reset
after delivery is an `EndpointConnectionError`; with httpx, a reset is a bare `HTTPClientError` and a
full pool a `ConnectTimeoutError`. So the inner exception is examined first, by the names of its
classes, which covers httpx2 and its predecessor without importing either.
"""

import socket
import ssl
from typing import Any

from botocore import exceptions as botocore_errors

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._transport.answers import decides, read_failure
from asyncinvoke._transport.foreign_errors import described, shown
from asyncinvoke._transport.http.errors import (
    WireError,
    chain,
    forget,
    inner_error,
    system_errors,
)
from asyncinvoke._transport.process import is_for_want_of_a_file

_BY_INNER_NAME = {
    # aiohttp
    "ClientConnectorCertificateError": TransportFault.TLS,
    "ClientConnectorSSLError": TransportFault.TLS,
    "ClientConnectorDNSError": TransportFault.CONNECT,
    "ClientConnectorError": TransportFault.CONNECT,
    "ConnectionTimeoutError": TransportFault.CONNECT_TIMEOUT,
    "SocketTimeoutError": TransportFault.READ_TIMEOUT,
    "ServerDisconnectedError": TransportFault.CONNECTION_LOST,
    "ClientOSError": TransportFault.CONNECTION_LOST,
    "ClientConnectionResetError": TransportFault.CONNECTION_LOST,
    "ClientPayloadError": TransportFault.TRUNCATED,
    "ClientHttpProxyError": TransportFault.PROXY,
    "ClientProxyConnectionError": TransportFault.PROXY,
    "ClientResponseError": TransportFault.PROTOCOL,
    # httpx
    "ConnectError": TransportFault.CONNECT,
    "ProxyError": TransportFault.PROXY,
    "ConnectTimeout": TransportFault.CONNECT_TIMEOUT,
    "PoolTimeout": TransportFault.POOL_TIMEOUT,
    "WriteTimeout": TransportFault.WRITE_TIMEOUT,
    "ReadTimeout": TransportFault.READ_TIMEOUT,
    "ReadError": TransportFault.CONNECTION_LOST,
    "WriteError": TransportFault.CONNECTION_LOST,
    "CloseError": TransportFault.CONNECTION_LOST,
    "RemoteProtocolError": TransportFault.PROTOCOL,
    # what h11 refuses to write, which is never a whole request
    "LocalProtocolError": TransportFault.NOT_BUILT,
    "DecodingError": TransportFault.PROTOCOL,
    # the event loop
    "gaierror": TransportFault.CONNECT,
    "ConnectionResetError": TransportFault.CONNECTION_LOST,
    "BrokenPipeError": TransportFault.CONNECTION_LOST,
}

_BY_OUTER_TYPE: list[tuple[type[Exception] | tuple[type[Exception], ...], TransportFault]] = [
    (botocore_errors.SSLError, TransportFault.TLS),
    (botocore_errors.ProxyConnectionError, TransportFault.PROXY),
    (botocore_errors.ReadTimeoutError, TransportFault.READ_TIMEOUT),
    (botocore_errors.ConnectTimeoutError, TransportFault.CONNECT_TIMEOUT),
    (botocore_errors.ResponseStreamingError, TransportFault.TRUNCATED),
    (botocore_errors.IncompleteReadError, TransportFault.TRUNCATED),
    (botocore_errors.ConnectionClosedError, TransportFault.CONNECTION_LOST),
    # Without a known exception inside, "could not connect" proves nothing.
    (botocore_errors.EndpointConnectionError, TransportFault.CONNECTION_LOST),
]

_PHASES = {
    TransportFault.FILES: Phase.CONNECTING,
    TransportFault.CONNECT: Phase.CONNECTING,
    TransportFault.CONNECT_TIMEOUT: Phase.CONNECTING,
    TransportFault.TLS: Phase.CONNECTING,
    TransportFault.PROXY: Phase.CONNECTING,
    TransportFault.POOL_TIMEOUT: Phase.CONNECTING,
    TransportFault.NOT_BUILT: Phase.WRITTEN_IN_PART,
}
"""The phase implied by a fault of a third-party HTTP library; for others, the request may have been
written."""

# These take precedence over their inner exception.
_OUTER_DECIDES = (
    botocore_errors.ResponseStreamingError,
    botocore_errors.IncompleteReadError,
    botocore_errors.ProxyConnectionError,
    botocore_errors.SSLError,
)

# httpx uses one class for three faults, which only the text distinguishes.
_BY_INNER_TEXT = {
    "without sending a response": TransportFault.CONNECTION_LOST,
    "without sending complete message body": TransportFault.TRUNCATED,
}


def failure_from(error: Exception, phase: Phase) -> Failure:
    """Convert an exception of an exchange to a `Failure`; never raises.

    Args:
        error: The exception, raised by our own connections or a third-party HTTP library.
        phase: The phase that the attempt may have reached with a third-party library; some errors
            imply an earlier one. Our own errors have their own phase.
    """
    if isinstance(error, WireError):
        forget(error)
        begun = error.begun
        if begun is not None and decides(begun.status):
            return read_failure(begun.status, begun.headers, b"")
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else None
        return Failure(fault=error.fault, phase=error.phase, message=error.message, cause=cause)
    inner = inner_error(error)
    fault = TransportFault.FILES if out_of_files(error) else _fault(error, inner)
    told = inner or error  # the HTTP library's message is more specific than botocore's
    if fault is TransportFault.UNEXPECTED:
        # httpx passes TLS errors of an open connection on, and aiobotocore turns one into a KeyError.
        tls = next((one for one in chain(error) if isinstance(one, ssl.SSLError)), None)
        if tls is not None:
            fault, told = TransportFault.CONNECTION_LOST, tls
    if fault is TransportFault.CONNECTION_LOST and phase is Phase.HEAD_READ:
        fault = TransportFault.TRUNCATED  # as our own connections say it
    if fault is TransportFault.READ_TIMEOUT and phase is Phase.CONNECTING:
        fault = TransportFault.CONNECT_TIMEOUT  # what was waited for is the answer of a proxy
    if phase < Phase.HEAD_READ:
        phase = min(phase, _PHASES.get(fault, phase))
    failure = Failure(fault=fault, phase=phase, message=described(told), cause=shown(error))
    forget(error)
    return failure


def not_connected(failure: Failure, origin: str, *, has_proxy: bool) -> str:
    """Return the message of a failure before there was a connection: it names the origin."""
    match failure.fault, failure.cause:
        case TransportFault.CONNECT, ConnectionRefusedError():
            return f"{origin} refuses connections"
        case TransportFault.CONNECT, socket.gaierror() as error:
            return f"the name of {origin} cannot be resolved: {error.strerror}"
        case TransportFault.CONNECT, _:
            return f"{origin} cannot be reached: {failure.message}"
        case TransportFault.CONNECT_TIMEOUT, _:
            if has_proxy:  # either of the two
                return f"{origin} cannot be reached through the proxy: no connection in time"
            return f"{origin} does not answer: no connection in time"
        case TransportFault.TLS, _:
            return f"TLS with {origin} fails: {failure.message}"
        case TransportFault.PROXY, _:
            return f"the proxy to {origin} fails: {failure.message}"
    return failure.message


def failure_from_answer(error: botocore_errors.ClientError) -> Failure:
    """Convert a `ClientError` whose response was not seen, such as that of a stub of the SDK."""
    answer: Any = error.response
    metadata = answer.get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders", {})
    detail = answer.get("Error", {})
    return Failure(
        status_code=metadata.get("HTTPStatusCode"),
        code=_text(detail.get("Code")),
        message=_text(detail.get("Message")) or "",
        reason=_text(answer.get("Reason")),
        retry_after=headers.get("retry-after"),
        amz_retry_after=headers.get("x-amz-retry-after"),
        request_id=metadata.get("RequestId"),
    )


def _fault(error: Exception, inner: BaseException | None) -> TransportFault:
    if not isinstance(error, _OUTER_DECIDES):
        for subject in (inner, error):
            fault = None if subject is None else _by_inner(subject)
            if fault is not None:
                return fault
    for types, outer_fault in _BY_OUTER_TYPE:
        if isinstance(error, types):
            return outer_fault
    return TransportFault.UNEXPECTED


def _by_inner(error: BaseException) -> TransportFault | None:
    for text, fault in _BY_INNER_TEXT.items():
        if text in str(error):
            return fault
    for cls in type(error).__mro__:
        if cls.__name__ in _BY_INNER_NAME:
            return _BY_INNER_NAME[cls.__name__]
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def out_of_files(error: BaseException) -> bool:
    """Return whether this process, or the system, has run out of file descriptors."""
    return any(map(is_for_want_of_a_file, system_errors(error)))
