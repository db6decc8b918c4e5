"""What follows an answer is never taken for the answer to the next call, whichever library reads it."""

import socket
from functools import partial
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession

from asyncinvoke._model.delivery import Progress
from asyncinvoke._request.parameters import checked
from tests.doubles.certificates import Authority
from tests.doubles.waiting import until
from tests.transport.http.peers import Peer, Wire
from tests.transport.variants import of_its_own, on_trio, open_variant

pytestmark = pytest.mark.anyio

A_RECORD = 16_384
"""The most data of one TLS record, in bytes."""


def answer(body: bytes, size: int = 0) -> bytes:
    """Return an answer of at least this size; the body is padded."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %05d\r\n\r\n"
    body = body.ljust(size - len(head % 0))
    return head % len(body) + body


def followed(wire: Wire, size: int = 0) -> None:
    """Answer with the number of the connection, and something behind it."""
    while True:
        wire.request()
        both = answer(b"%d" % wire.number, size) + answer(b"0")
        # In one segment: what comes after the next request is its answer.
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        wire.send(both)
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


def followed_later(wire: Wire) -> None:
    """Answer likewise; what is behind the answer comes when that has been read."""
    wire.request()
    wire.send(answer(b"%d" % wire.number))
    wire.peer.answered.wait(10)
    wire.send(answer(b"0"))
    wire.peer.ended.set()
    wire.wait_end()


def sessions() -> dict[str, Any]:
    httpx = {"httpx": {"http_session_cls": of_its_own(HttpxSession)}}
    aiohttp = {"aiohttp": {"http_session_cls": of_its_own(AIOHTTPSession)}}
    return {"own": {}, **httpx, **({} if on_trio() else aiohttp)}


every_way = pytest.mark.parametrize("way", ["own", "aiohttp", "httpx"])
with_either = pytest.mark.parametrize("variant", ["direct", "client"])


@pytest.mark.skipif(not hasattr(socket, "TCP_CORK"), reason="only Linux has it")
@with_either
@every_way
@pytest.mark.parametrize("size", [0, A_RECORD])
async def test_what_comes_with_an_answer_is_not_the_next_one(
    size: int, way: str, variant: str, tmp_path: Path
) -> None:
    if way not in sessions():
        return  # aiohttp does not run on trio
    tls = Authority(tmp_path).issue("server").server_context() if size else None
    with Peer(partial(followed, size=size), tls=tls) as peer:
        url = f"{'http' if tls is None else 'https'}://127.0.0.1:{peer.port}"
        opening = open_variant(url, variant, config=sessions()[way], verify=False)
        async with opening as transport:
            answers = [await transport.send(checked("f"), b"1", Progress()) for _ in range(3)]
    assert [answer.payload.strip() for answer in answers] == [b"1", b"2", b"3"]


@with_either
@every_way
async def test_what_comes_while_a_connection_is_idle_is_not_the_next_answer(
    way: str, variant: str
) -> None:
    if way not in sessions():
        return  # aiohttp does not run on trio
    with Peer(followed_later) as peer:
        url = f"http://127.0.0.1:{peer.port}"
        async with open_variant(url, variant, config=sessions()[way]) as transport:
            first = await transport.send(checked("f"), b"1", Progress())
            peer.answered.set()
            await until(peer.ended.is_set)
            for _ in range(5):  # the event loop reads what has come, if it does
                await anyio.lowlevel.checkpoint()
            second = await transport.send(checked("f"), b"1", Progress())
    assert [first.payload, second.payload] == [b"1", b"2"]
