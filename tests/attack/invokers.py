"""Invokers as users open them: real sockets, and sessions that do not load a model twice."""

import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import sniffio
from aiobotocore.config import AioConfig
from aiobotocore.httpxsession import HttpxSession
from aiobotocore.session import AioSession

from asyncinvoke import AsyncInvokeError, InvocationError, Invoker, Response, RetryPolicy
from asyncinvoke.testing import InstantClock

T = TypeVar("T")

SESSION = AioSession()
"""A session with the environment's credentials; shared, because the service model loads slowly."""


def new_session(
    *, key: str | None = None, secret: str | None = None, token: str | None = None
) -> AioSession:
    """Return a session that resolves its credentials, or has the given ones.

    On trio too, it can be used for services other than Lambda, such as STS.
    """
    session = AioSession()
    session.register_component("data_loader", SESSION.get_component("data_loader"))
    if sniffio.current_async_library() == "trio":
        session.set_default_client_config(AioConfig(http_session_cls=HttpxSession))
    if key is not None:
        session.set_credentials(key, secret, token)
    return session


@contextlib.asynccontextmanager
async def open_invoker(url: str, **options: Any) -> AsyncIterator[Invoker]:
    """Open an invoker that makes one attempt and skips waits, unless the options say otherwise."""
    defaults = {"session": SESSION, "clock": InstantClock(), "retry": RetryPolicy.never()}
    if "client" in options:
        del defaults["session"]
    async with Invoker(**{"endpoint_url": url, **defaults, **options}) as invoker:
        yield invoker


async def result_of_call(call: Awaitable[T]) -> T | AsyncInvokeError:
    """Return the result of a call, which may be an error of this library; raise any other error."""
    try:
        return await call
    except AsyncInvokeError as error:
        return error


async def invoked(invoker: Invoker, *arguments: Any, **options: Any) -> Response | InvocationError:
    """Invoke a function called `f` and return how the execution ended."""
    ended = await result_of_call(invoker.invoke("f", *arguments, **options))
    assert isinstance(ended, Response | InvocationError), repr(ended)
    return ended
