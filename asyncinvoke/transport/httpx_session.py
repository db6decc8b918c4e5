"""aiobotocore's httpx backend, which runs on trio, with TCP keep-alive and patient timeouts."""

from typing import Any

from aiobotocore.httpxsession import HttpxSession

from asyncinvoke.transport.keepalive import keepalive_options

# The backend's own 5 s are too few for 6 MB on a slow line.
_WRITE_TIMEOUT = 120.0


class KeepaliveHttpxSession(HttpxSession):  # type: ignore[misc]
    """An `HttpxSession` for an invoker's own client."""

    def __init__(self, *args: Any, connector_args: Any = None, **kwargs: Any) -> None:
        # The invoker's permits keep the pool from overflowing, so waiting for it is no fault.
        defaults = {"write_timeout": _WRITE_TIMEOUT, "pool_timeout": None}
        super().__init__(*args, connector_args={**defaults, **(connector_args or {})}, **kwargs)

    def _make_async_client(self) -> Any:
        client = super()._make_async_client()
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
            pool: Any = getattr(transport, "_pool", None)
            if pool is not None and hasattr(pool, "_socket_options"):
                pool._socket_options = keepalive_options()  # noqa: SLF001
        return client
