"""HTTP on a raw socket, so that headers are seen as spelled. Independent of both ends."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from tests.doubles.sockets import SIGNATURE


@dataclass(frozen=True, kw_only=True)
class RawAnswer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


def request(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"Authorization: {SIGNATURE}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def invoke_path(name: str, qualifier: str | None = None, *, streams: bool = False) -> str:
    version, operation = (
        ("2021-11-15", "response-streaming-invocations")
        if streams
        else ("2015-03-31", "invocations")
    )
    query = "" if qualifier is None else f"?Qualifier={quote(qualifier, safe='')}"
    return f"/{version}/functions/{quote(name, safe='')}/{operation}{query}"


def exchange(url: str, sent: bytes, answers: int = 1) -> list[RawAnswer]:
    """Send bytes in one write, and read a number of answers."""
    with _connected(url) as (connection, received):
        connection.sendall(sent)
        return [_read(received) for _ in range(answers)]


def converse(url: str, *parts: bytes) -> list[RawAnswer]:
    """Send parts, each after the answer to the one before."""
    answers = []
    with _connected(url) as (connection, received):
        for part in parts:
            connection.sendall(part)
            answers.append(_read(received))
    return answers


@contextmanager
def _connected(url: str) -> Iterator[tuple[socket.socket, BinaryIO]]:
    place = urlsplit(url)
    address = place.hostname or "", place.port or 0
    with (
        socket.create_connection(address, 30) as connection,
        connection.makefile("rb") as received,
    ):
        yield connection, received


def _read(received: BinaryIO) -> RawAnswer:
    status = int(received.readline().split()[1])
    headers = list(_headers(received))
    lower = {name.lower(): value for name, value in headers}
    if lower.get("transfer-encoding") == "chunked":
        body = b"".join(_chunks(received))
    else:
        body = received.read(int(lower.get("content-length", "0")))
    return RawAnswer(status=status, headers=headers, body=body)


def _headers(received: BinaryIO) -> Iterator[tuple[str, str]]:
    while line := received.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(": ")
        yield name, value


def _chunks(received: BinaryIO) -> Iterator[bytes]:
    while size := int(received.readline(), 16):
        yield received.read(size)
        received.readline()
    received.readline()
