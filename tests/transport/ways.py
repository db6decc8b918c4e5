"""Every way over the wire that a transport has, opened for a test."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from asyncinvoke._transport.session import open_transport

SESSION = AioSession()

WAYS = ["direct", "client", "stepped aside"]
"""The direct transport, the reference, and the reference that `direct` steps aside to."""

every_way = pytest.mark.parametrize("way", WAYS)


def listener(**_: object) -> None:
    """A handler of the caller's own."""


def on_trio() -> bool:
    return anyio.get_cancelled_exc_class().__module__.startswith("trio")


@contextlib.asynccontextmanager
async def open_client(url: str, way: str, **options: Any) -> AsyncIterator[Any]:
    """Open a client as a caller would, of aiobotocore's own sessions."""
    given = {"retries": {"total_max_attempts": 1}, **options.pop("config", {})}
    if on_trio():
        from aiobotocore.httpxsession import HttpxSession

        given.setdefault("http_session_cls", HttpxSession)
    config = AioConfig(**given)
    options = {"region_name": "eu-west-1", "endpoint_url": url, "config": config, **options}
    async with SESSION.create_client("lambda", **options) as client:
        if way == "stepped aside":
            client.meta.events.register("before-send.lambda", listener)
        yield client


@contextlib.asynccontextmanager
async def open_way(url: str, way: str, **options: Any) -> AsyncIterator[Any]:
    """Open a transport to an endpoint."""
    async with open_client(url, way, **options) as client:
        transport = await open_transport(client, "client" if way == "client" else "direct")
        try:
            yield transport
        finally:
            await transport.aclose()
