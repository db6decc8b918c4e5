"""The errors of an exchange without an answer, and of a connection that could not be opened."""

import ssl
from collections.abc import Iterator

import anyio

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer
from asyncinvoke._transport.process import is_for_want_of_a_file

TOO_EARLY = "the peer was gone, or spoke, too early"
"""The message for a new connection that cannot be used. Nothing was written."""

_LOST = (TransportFault.CONNECTION_LOST, TransportFault.TRUNCATED)

_OF_OUR_CERTIFICATE = (
    "_ALERT_BAD_CERTIFICATE",
    "_ALERT_CERTIFICATE_EXPIRED",
    "_ALERT_CERTIFICATE_REQUIRED",
    "_ALERT_CERTIFICATE_REVOKED",
    "_ALERT_CERTIFICATE_UNKNOWN",
    "_ALERT_UNKNOWN_CA",
    "_ALERT_UNSUPPORTED_CERTIFICATE",
)
"""Suffixes of OpenSSL's names for alerts with which a server rejects a client certificate."""


class WireError(Exception):
    """An exchange ended without a complete answer.

    Its message, its cause and its traceback's frames hold no header, payload or credential.
    """

    def __init__(self, fault: TransportFault, phase: Phase, message: str) -> None:
        super().__init__(fault, phase, message)
        self.fault = fault
        self.phase = phase
        self.message = message
        self.begun: Answer | None = None
        """The answer without its body, if the head was read and the body was incomplete."""

    def __str__(self) -> str:
        return self.message

    def anew(self) -> "WireError":
        """Return a copy to raise, so that this instance collects no frames and forms no cycle."""
        error = WireError(self.fault, self.phase, self.message)
        error.__cause__ = self.__cause__
        error.begun = self.begun
        return error


class NotOursError(Exception):
    """Our own connections cannot serve this route; aiobotocore's HTTP session still can."""


def ended(
    fault: TransportFault, phase: Phase, message: str, cause: BaseException | None = None
) -> WireError:
    """Return the error for an exchange that ended early.

    With TLS 1.3 a client may write before it knows whether the peer accepts its certificate, and
    learns of a rejection where it expects the answer. This still counts as a failed handshake: the
    peer processes no byte of a request before the handshake is complete (RFC 8446, 4.4.2.4 and 5).

    Args:
        fault: The reason. If the connection was lost before the kernel accepted the whole request,
            it becomes `CUT_SHORT`, whatever had been read.
        phase: The phase that the exchange reached.
        message: A description that quotes no data.
        cause: The operating system's error, if any.
    """
    if _is_of_our_certificate(cause) and Phase.CONNECTING <= phase <= Phase.WRITTEN:
        fault, phase = TransportFault.TLS, Phase.CONNECTING
        message = f"the peer does not take our client certificate, or the lack of one: {cause}"
    elif phase is Phase.WRITTEN_IN_PART and fault in _LOST:
        fault = TransportFault.CUT_SHORT
        message = f"{message}, before the whole request was sent"
    error = WireError(fault, phase, message)
    error.__cause__ = bare(cause)
    return error


def _is_of_our_certificate(cause: BaseException | None) -> bool:
    reason = getattr(cause, "reason", None) if isinstance(cause, ssl.SSLError) else None
    return isinstance(reason, str) and reason.endswith(_OF_OUR_CERTIFICATE)


def bare(error: BaseException | None) -> OSError | None:
    """Return an `OSError` stripped of frames and context, which may hold request data."""
    if not isinstance(error, OSError):
        return None
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


_CONNECT = (OSError, EOFError, anyio.EndOfStream, anyio.BrokenResourceError)
_WAITS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_PROXY = ("ClientProxyConnectionError", "ClientHttpProxyError")

NO_THREAD = "can't start new thread"
"""What Python says where threads are limited; resolving a name takes one."""


def opening_error(error: BaseException) -> WireError:
    """Return the error to raise in place of an opener's error, stripped of sensitive data."""
    fault = _fault(error)
    root = next(system_errors(error), None)
    if root is not None:
        text = f"{type(root).__name__}: {root}"
    elif str(error) == NO_THREAD:
        text = f"{type(error).__name__}: {NO_THREAD}"
    else:
        text = refusal_of_proxy(error) or type(error).__name__
    failure = WireError(fault, Phase.CONNECTING, text)
    forget(error)
    failure.__cause__ = bare(root)
    return failure


def refusal_of_proxy(error: BaseException) -> str | None:
    """Return the status with which a proxy refused a tunnel; its text may hold anything."""
    status = None
    if type(error).__name__ == "ClientHttpProxyError":  # aiohttp's
        status = str(getattr(error, "status", ""))
    elif type(error).__name__ == "ProxyError":  # httpx's, whose text begins with it
        status = str(error)[:3]
    return f"the proxy answered {status}" if status and status.isdecimal() else None


def _fault(error: BaseException) -> TransportFault:
    """Classify why a connection could not be opened."""
    errors = list(chain(error))
    if any(isinstance(one, OSError) and is_for_want_of_a_file(one) for one in errors):
        return TransportFault.FILES
    # By name, to avoid importing aiohttp. Covers the proxy itself, but not TLS through it.
    if any(base.__name__ in _PROXY for base in type(error).__mro__):
        return TransportFault.PROXY
    if isinstance(error, TimeoutError) and error.errno is None:
        return TransportFault.CONNECT_TIMEOUT
    if any(isinstance(one, ssl.SSLError) and not isinstance(one, _WAITS) for one in errors):
        return TransportFault.TLS
    if any(isinstance(one, TimeoutError) for one in errors):
        return TransportFault.CONNECT_TIMEOUT
    if any(isinstance(one, _CONNECT) for one in errors):
        return TransportFault.CONNECT
    return TransportFault.UNEXPECTED


def inner_error(error: BaseException) -> BaseException | None:
    """Return the exception from which an SDK's exception was made."""
    kwargs = getattr(error, "kwargs", None)  # botocore's
    inner = kwargs.get("error") if isinstance(kwargs, dict) else None
    return inner if isinstance(inner, BaseException) else None


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything behind it, nearest first, each once.

    That is the exception it was made from, its cause and context, and the members of a group.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = getattr(one, "os_error", None)  # aiohttp's
        waiting += [inner_error(one), inner, one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def system_errors(error: BaseException) -> Iterator[OSError]:
    """Yield the operating system's errors behind an error: those with a number first, then nearest.

    One without a number was made by a library, as from the errors of several addresses. Those of
    a library's own type are left out, as they may show the credentials of a proxy.
    """
    found = [
        one
        for one in chain(error)
        if isinstance(one, OSError) and type(one).__module__ in ("builtins", "socket", "ssl")
    ]
    yield from sorted(found, key=lambda one: one.errno is None)


def forget(error: BaseException) -> None:
    """Remove the tracebacks of an error and of everything behind it.

    Third-party code keeps exceptions in reference cycles (an event loop's list of attempts, the
    SDK's retry handlers). Their frames refer to ours, so a failed call would keep its payload alive
    until the garbage collector runs.
    """
    for one in list(chain(error)):
        one.__traceback__ = None
