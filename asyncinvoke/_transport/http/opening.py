"""What went wrong while a connection was opened, from whatever whoever opened it has raised."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.errors import WireError, bare
from asyncinvoke._transport.process import is_for_want_of_a_file

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


_sockets: ContextVar[list[socket.socket] | None] = ContextVar("_sockets", default=None)


def note_socket(made: socket.socket) -> None:
    """Note a socket that was made for a connection under way."""
    sockets = _sockets.get()
    if sockets is not None:
        sockets.append(made)


@contextmanager
def sockets_let_go() -> Iterator[None]:
    """Let the sockets of an opening that fails go, where the event loop has closed their files.

    uvloop closes the file of a connection that ends before TLS is there, but leaves it to the socket
    that it was given. Once that is freed it would close its number again, which by then may be
    another connection's. asyncio has forgotten a socket whose peer was gone before TLS began.
    """
    sockets: list[socket.socket] = []
    token = _sockets.set(sockets)
    try:
        yield
    except BaseException:
        is_closed = "uvloop" in type(asyncio.get_running_loop()).__module__
        for each in sockets:
            if is_closed:
                each.detach()
            else:
                each.close()
        raise
    finally:
        _sockets.reset(token)
