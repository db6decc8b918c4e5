"""TCP keep-alive, so that a connection which waits 15 minutes for an answer is not forgotten."""

import socket
from typing import Any

# Below the 350 s after which AWS's NAT gateways and load balancers forget an idle connection.
_IDLE = 60
_INTERVAL = 30
_PROBES = 5


def keepalive_options() -> list[tuple[int, int, int]]:
    """Return the socket options, as arguments of `setsockopt`, that this platform knows."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE),
        ("TCP_KEEPINTVL", _INTERVAL),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def keepalive_socket(address: Any) -> socket.socket:
    """Make the socket for an address, as `getaddrinfo` gives it; aiohttp's socket factory."""
    family, kind, protocol = address[:3]
    connection = socket.socket(family, kind, protocol)
    for option in keepalive_options():
        connection.setsockopt(*option)
    return connection
