"""An Invoke request over a plain socket, without an HTTP library."""

import socket
from urllib.parse import urlsplit

INVOKE = "/2015-03-31/functions/{}/invocations"
STREAM = "/2021-11-15/functions/{}/response-streaming-invocations"

SIGNATURE = "AWS4-HMAC-SHA256 Credential=any"
"""A fake signature: the endpoint only checks whether there is one."""


def connected(url: str) -> socket.socket:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    return socket.create_connection((address.hostname, address.port), timeout=20)


def request_bytes(
    name: str, body: bytes, *, operation: str = INVOKE, hang_up: bool = False
) -> bytes:
    """Return the bytes of a request."""
    lines = [f"POST {operation.format(name)} HTTP/1.1", "Host: localhost"]
    lines += [f"Authorization: {SIGNATURE}"]
    lines += ["Connection: close"] * hang_up
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def raw(url: str, name: str, body: bytes, *, hang_up: bool = False) -> tuple[bytes, bytes]:
    """Send one request and read until the connection closes; return head and body."""
    with connected(url) as sock:
        sock.sendall(request_bytes(name, body, hang_up=hang_up))
        received = b""
        while piece := sock.recv(65_536):
            received += piece
    head, _, rest = received.partition(b"\r\n\r\n")
    return head + b"\r\n" * bool(head), rest
