"""Whether the calls of the HTTP library below are its own, or somebody stands in their place.

Tests put mocks and recorders there (aioresponses, vcrpy, a patch by hand), and tracers wrap them.
Whoever sends over connections of its own has to look before each request, or a test would send for
real. What is looked at is where a function comes from, not what was there when this module was
imported: that is at the first opening of an invoker, and a mock may be there before.
"""

from importlib import import_module
from types import FunctionType
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession
from aiohttp import ClientSession


class LibraryCalls:
    """Looks at the functions that a request of aiobotocore's session would pass through.

    Args:
        http_session: The session.
    """

    __slots__ = ("first", "plain_first", "plain_second", "second")

    def __init__(self, http_session: Any) -> None:
        self.first, self.second = _steps(http_session)
        """Where the two of them are: a class and a name."""
        self.plain_first: object = None
        self.plain_second: object = None
        """What was found there last that is the library's own: what costs least to compare."""

    def are_plain(self) -> bool:
        """Return whether nobody has put anything in their place."""
        first, second = getattr(*self.first, None), getattr(*self.second, None)
        if not (_is_of(first, self.first[0]) and _is_of(second, self.second[0])):
            return False
        self.plain_first, self.plain_second = first, second
        return True


def _steps(http_session: Any) -> tuple[tuple[type, str], tuple[type, str]]:
    if isinstance(http_session, HttpxSession):
        httpx = import_module("httpx2")  # an extra, which is there if such a session is
        return (httpx.AsyncClient, "send"), (httpx.AsyncHTTPTransport, "handle_async_request")
    if isinstance(http_session, AIOHTTPSession):
        return (ClientSession, "request"), (ClientSession, "_request")
    return (object, "__init__"), (object, "__init__")  # none of ours: it sends by itself anyway


def _is_of(function: object, kind: type) -> bool:
    """Whether a function was written in the library that a class is from, and is nothing else."""
    if kind is object:
        return True
    if type(function) is not FunctionType:
        return False
    # `functools.wraps` copies the names of a function, but not its globals.
    module = str(function.__globals__.get("__name__"))
    return module.partition(".")[0] == kind.__module__.partition(".")[0]
