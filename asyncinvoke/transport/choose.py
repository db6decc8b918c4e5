"""Which transport a client gets."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from asyncinvoke.transport.base import Transport
from asyncinvoke.transport.client import ClientTransport
from asyncinvoke.transport.direct import DirectTransport
from asyncinvoke.transport.template import capturing

_logger = logging.getLogger("asyncinvoke")

TransportName: TypeAlias = Literal["direct", "client"]
"""`direct` sends what aiobotocore would send, prepared once; `client` asks aiobotocore each time."""


@contextmanager
def open_transport(client: Any, name: TransportName) -> Iterator[Transport]:
    """Give the transport of that name for an open client, or the reference if it cannot be had."""
    if name == "client":
        yield ClientTransport(client)
        return
    with capturing(client):
        try:
            direct = DirectTransport(client)
        except AttributeError as missing:
            _logger.debug("using aiobotocore's own invoke, not the direct transport: %s", missing)
            yield ClientTransport(client)
        else:
            yield direct
