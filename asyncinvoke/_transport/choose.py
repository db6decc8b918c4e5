"""Which transport a client gets."""

import logging
from typing import Any, Literal, TypeAlias

from asyncinvoke._transport.base import ClosingTransport
from asyncinvoke._transport.client import ClientTransport
from asyncinvoke._transport.direct import DirectTransport
from asyncinvoke._transport.session import open_connector

_logger = logging.getLogger("asyncinvoke")

TransportName: TypeAlias = Literal["direct", "client"]
"""`direct` sends what aiobotocore would send, prepared once; `client` asks aiobotocore each time."""


async def open_transport(client: Any, name: TransportName) -> ClosingTransport:
    """Return the transport of that name for an open client, which may be a caller's own.

    Raises:
        ConfigurationError: A certificate of the client cannot be read.
    """
    await open_connector(client)
    return choose_transport(client, name)


def choose_transport(client: Any, name: TransportName) -> ClosingTransport:
    """Return the transport of that name for an open client, or the reference if it cannot be had."""
    if name == "direct":
        try:
            return DirectTransport(client)
        except AttributeError as missing:
            _logger.debug("using aiobotocore's own invoke, not the direct transport: %s", missing)
    return ClientTransport(client)
