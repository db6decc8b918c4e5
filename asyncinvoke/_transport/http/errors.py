"""The errors of an exchange without an answer, and of a connection that could not be opened."""

import ssl
from collections.abc import Iterator

import anyio

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer
from asyncinvoke._transport.process import is_for_want_of_a_file

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
"""How OpenSSL ends the names of alerts by which a server refuses a client's certificate."""


class WireError(Exception):
    """An exchange ended without a whole answer.

    Its text, its cause and the frames of its traceback show no header, payload or credential.
    """

    def __init__(self, fault: TransportFault, phase: Phase, message: str) -> None:
        super().__init__(fault, phase, message)
        self.fault = fault
        self.phase = phase
        self.message = message
        self.begun: Answer | None = None
        """The answer of which the head was read and not the whole body: without a body."""

    def __str__(self) -> str:
        return self.message

    def anew(self) -> "WireError":
        """Return the same once more, to be raised: the first keeps no frames that would keep it."""
        error = WireError(self.fault, self.phase, self.message)
        error.__cause__ = self.__cause__
        error.begun = self.begun
        return error


class NotOursError(Exception):
    """This route is not for a connection of ours; whoever served it before still can."""


def ended(
    fault: TransportFault, phase: Phase, message: str, cause: BaseException | None = None
) -> WireError:
    """Return the error of an exchange that ended so.

    With TLS 1.3 a client may write before it is known whether the peer takes its certificate, and
    learns of that where it expects the answer. It is still the handshake that failed: the peer takes
    no byte of a request before it has that behind it (RFC 8446, 4.4.2.4 and 5).

    Args:
        fault: Why. A connection that was lost before the kernel had the whole request is
            `CUT_SHORT`, whatever had been read.
        phase: How far it came.
        message: What happened, in words that quote nothing.
        cause: What the system said, if it did.
    """
    if _is_of_our_certificate(cause) and Phase.CONNECTED <= phase <= Phase.WRITTEN:
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
    """Return an error of the system without frames and context, which may hold what was sent."""
    if not isinstance(error, OSError):
        return None
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


_CONNECT = (OSError, EOFError, anyio.EndOfStream, anyio.BrokenResourceError)
_WAITS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_PROXY = ("ClientProxyConnectionError", "ClientHttpProxyError")


def opening_error(error: BaseException) -> WireError:
    """Return what is raised in place of an error of an opener's, without what it may show."""
    fault = _fault(error)
    root = _root(error)
    if root is not None:
        text = f"{type(root).__name__}: {root}"
    else:
        text = refusal_of_proxy(error) or type(error).__name__
    failure = WireError(fault, Phase.CONNECTING, text)
    for one in list(_chain(error)):
        # Those who raised it keep it in circles, and its frames lead to whoever called.
        one.__traceback__ = None
    failure.__cause__ = bare(root)
    return failure


def refusal_of_proxy(error: BaseException) -> str | None:
    """Return what a proxy answered in place of a tunnel: its status, for its words may be anything."""
    status = None
    if type(error).__name__ == "ClientHttpProxyError":  # aiohttp's
        status = str(getattr(error, "status", ""))
    elif type(error).__name__ == "ProxyError":  # httpx's, whose text begins with it
        status = str(error)[:3]
    return f"the proxy answered {status}" if status and status.isdecimal() else None


def _fault(error: BaseException) -> TransportFault:
    """Return why there is no connection."""
    chain = list(_chain(error))
    if any(isinstance(one, OSError) and is_for_want_of_a_file(one) for one in chain):
        return TransportFault.FILES
    # By name, so that this needs no aiohttp. A proxy's end of the way, but not TLS through it.
    if any(base.__name__ in _PROXY for base in type(error).__mro__):
        return TransportFault.PROXY
    if isinstance(error, TimeoutError) and error.errno is None:
        return TransportFault.CONNECT_TIMEOUT
    if any(isinstance(one, ssl.SSLError) and not isinstance(one, _WAITS) for one in chain):
        return TransportFault.TLS
    if any(isinstance(one, TimeoutError) for one in chain):
        return TransportFault.CONNECT_TIMEOUT
    if any(isinstance(one, _CONNECT) for one in chain):
        return TransportFault.CONNECT
    return TransportFault.UNEXPECTED


def _root(error: BaseException) -> OSError | None:
    """Return the system's error behind another's, which may show a proxy's credentials."""
    for one in _chain(error):
        if isinstance(one, OSError) and type(one).__module__ in ("builtins", "socket", "ssl"):
            return one
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Go through an error, what it was raised from, and what is inside groups, each once."""
    seen: set[int] = set()
    found: list[BaseException | None] = [error]
    while found:
        one = found.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            found.extend(one.exceptions)
        found.extend((one.__context__, one.__cause__))
