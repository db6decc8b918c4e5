"""Unreachable addresses: one that refuses connections, and one that drops every SYN."""

import contextlib
import socket
from collections.abc import Iterator


def refused_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """Yield a port whose queue of connections is full, so that the kernel drops every SYN.

    To a client it looks like an address behind a firewall, or a VPC without internet access.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]
