"""Which transport a client gets."""

import logging
from typing import Any, Literal, TypeAlias

from asyncinvoke._transport.base import Transport, WholeTransport
from asyncinvoke._transport.client import ClientTransport
from asyncinvoke._transport.direct import DirectTransport
from asyncinvoke._transport.stream import StreamTransport

_logger = logging.getLogger("asyncinvoke")

TransportName: TypeAlias = Literal["direct", "client"]
"""`direct` sends what aiobotocore would send, prepared once; `client` asks aiobotocore each time."""


def choose_transport(client: Any, name: TransportName) -> WholeTransport:
    """Return the transport of that name for an open client, or the reference if it cannot be had."""
    sends: Transport = ClientTransport(client)
    if name == "direct":
        try:
            sends = DirectTransport(client)
        except AttributeError as missing:
            _logger.debug("using aiobotocore's own invoke, not the direct transport: %s", missing)
    return _Both(sends, StreamTransport(client))


class _Both:
    def __init__(self, sends: Transport, streams: StreamTransport) -> None:
        self.send = sends.send
        self.open = streams.open
