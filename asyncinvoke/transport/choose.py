"""Which transport a client gets."""

import logging
from typing import Any, Literal, TypeAlias

from asyncinvoke.transport.base import Transport
from asyncinvoke.transport.client import ClientTransport
from asyncinvoke.transport.direct import DirectTransport

_logger = logging.getLogger("asyncinvoke")

TransportName: TypeAlias = Literal["direct", "client"]
"""`direct` sends what aiobotocore would send, prepared once; `client` asks aiobotocore each time."""


def choose_transport(client: Any, name: TransportName) -> Transport:
    """Give the transport of that name for an open client, or the reference if it cannot be had."""
    if name == "direct":
        try:
            return DirectTransport(client)
        except AttributeError as missing:
            _logger.debug("using aiobotocore's own invoke, not the direct transport: %s", missing)
    return ClientTransport(client)
