"""aiobotocore's httpx backend, which runs on trio, with TCP keep-alive switched on."""

from typing import Any

from aiobotocore.httpxsession import HttpxSession

from asyncinvoke.transport.keepalive import keepalive_options


class KeepaliveHttpxSession(HttpxSession):  # type: ignore[misc]
    """An `HttpxSession` that honours socket options, which aiobotocore's own drops."""

    def _make_async_client(self) -> Any:
        client = super()._make_async_client()
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
            pool: Any = getattr(transport, "_pool", None)
            if pool is not None and hasattr(pool, "_socket_options"):
                pool._socket_options = keepalive_options()  # noqa: SLF001
        return client
