"""The part of aiohttp's session that aiobotocore uses, with what aiohttp leaves undone."""

from typing import Any

from asyncinvoke._transport.http.connection import look_at


class SingleDeliveries:
    """An aiohttp session that delivers a request once, and takes only its own answer for one.

    Following a redirect would deliver the payload again, to an unknown host, so it is an answer.
    A connection that has ended, or has data waiting, is not used: the request would be lost, or
    what came before it would be taken for its answer.
    """

    def __init__(self, session: Any) -> None:
        self.unwrapped: Any = getattr(session, "unwrapped", session)

    async def request(self, method: str, url: Any, **options: Any) -> Any:
        """Make a request as the session would, and return the answer whose head has been read."""
        _drop_unfit(getattr(self.unwrapped, "connector", None))
        options["allow_redirects"] = False
        answer = await self.unwrapped.request(method, url, **options)
        raw = getattr(answer, "_raw_headers", None)
        if raw:  # else it is a mock's
            # aiobotocore decodes the values, and would lose an answer with one that is no UTF-8.
            answer._raw_headers = tuple(  # noqa: SLF001
                (name, value.decode(errors="replace").encode()) for name, value in raw
            )
        return answer


def _drop_unfit(connector: Any) -> None:
    """Drop the idle connections of aiohttp's pool that are unfit for a request, up to the first fit one.

    aiohttp reuses the connection that has been idle longest. It does not look at the socket, so
    while the event loop is busy it does not know that the peer has closed it. And of data that came
    while a connection was idle it makes the next answer.
    """
    for idle in list(getattr(connector, "_conns", {}).values()):
        while idle and _is_unfit(idle[0][0]):
            idle.popleft()[0].close()


def _is_unfit(protocol: Any) -> bool:
    if getattr(protocol, "should_close", False):  # it has read something since
        return True
    transport = getattr(protocol, "transport", None)
    # A TLS connection that was lost has no socket one turn before aiohttp learns of it.
    connection = None if transport is None else transport.get_extra_info("socket")
    descriptor = -1 if connection is None else connection.fileno()
    return descriptor < 0 or bool(look_at(descriptor)())
