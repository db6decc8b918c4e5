"""Opens every variant of a transport for tests."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from asyncinvoke._transport.session import open_transport

SESSION = AioSession()

VARIANTS = ["direct", "client", "fallback"]
"""The direct transport, the reference transport, and the reference to which `direct` falls back."""

every_variant = pytest.mark.parametrize("variant", VARIANTS)


def listener(**_: object) -> None:
    """A handler registered by the caller."""


def on_trio() -> bool:
    return anyio.get_cancelled_exc_class().__module__.startswith("trio")


def of_its_own(cls: Any) -> Any:
    """Return a session class that our own connections do not replace."""
    return type("OfItsOwn", (cls,), {"send": lambda self, request: cls.send(self, request)})


@contextlib.asynccontextmanager
async def open_client(url: str, variant: str, **options: Any) -> AsyncIterator[Any]:
    """Open a client as a caller would, from an aiobotocore session."""
    given = {"retries": {"total_max_attempts": 1}, **options.pop("config", {})}
    if on_trio():
        from aiobotocore.httpxsession import HttpxSession

        given.setdefault("http_session_cls", HttpxSession)
    config = AioConfig(**given)
    options = {"region_name": "eu-west-1", "endpoint_url": url, "config": config, **options}
    async with SESSION.create_client("lambda", **options) as client:
        if variant == "fallback":
            client.meta.events.register("before-send.lambda", listener)
        yield client


@contextlib.asynccontextmanager
async def open_variant(url: str, variant: str, **options: Any) -> AsyncIterator[Any]:
    """Open a transport to an endpoint."""
    async with open_client(url, variant, **options) as client:
        transport = await open_transport(client, "client" if variant == "client" else "direct")
        try:
            yield transport
        finally:
            await transport.aclose()
