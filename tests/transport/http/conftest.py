"""Fixtures: three event loops, with and without TLS, and connections opened as in production."""

import asyncio
import contextlib
import math
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
import sniffio
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import TCPConnector

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._transport.http import exchange_clock, trio_opening
from asyncinvoke._transport.http.asyncio_opening import open_aiohttp
from asyncinvoke._transport.http.connection import Opener
from asyncinvoke._transport.http.pool import Connections
from asyncinvoke._transport.http.trio_opening import open_anyio
from tests.doubles.certificates import make_certificate
from tests.transport.http.peers import Peer, Script

LOOPS: dict[str, Any] = {
    "asyncio": "asyncio",
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": "trio",
}


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(params=["plain", "tls"])
def scheme(request: pytest.FixtureRequest) -> str:
    return "https" if request.param == "tls" else "http"


@dataclass
class Network:
    """Starts the peers of a test, with or without TLS, and opens connections to them."""

    scheme: str
    certificate: tuple[Path, Path]
    peers: list[Peer] = field(default_factory=list)

    def peer(self, script: Script, *, newest: ssl.TLSVersion | None = None, **options: Any) -> Peer:
        tls = None
        if self.scheme == "https":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*self.certificate)
            tls.maximum_version = newest or tls.maximum_version
        peer = Peer(script, tls=tls, **options)
        self.peers.append(peer)
        peer.__enter__()
        return peer

    def close(self) -> None:
        while self.peers:
            self.peers.pop().__exit__(None, None, None)

    @contextlib.asynccontextmanager
    async def connections(
        self, peer: Peer, *, send_buffer: int | None = None, **options: Any
    ) -> AsyncIterator[Connections]:
        options = {"most_body": 1 << 23, **options}
        async with self.opener(peer, send_buffer) as opener:
            connections = Connections(opener, **options)
            try:
                yield connections
            finally:
                await connections.aclose()
                assert connections.open == 0

    @contextlib.asynccontextmanager
    async def opener(self, peer: Peer, send_buffer: int | None) -> AsyncIterator[Opener]:
        url = f"{self.scheme}://127.0.0.1:{peer.port}"
        bundle = str(self.certificate[0])
        wanted = []
        if send_buffer is not None:
            wanted.append((socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer))
        if sniffio.current_async_library() == "trio":
            context = ssl.create_default_context(cafile=bundle)
            yield open_anyio(url, ssl_context=context, connect_timeout=60, socket_options=wanted)
            return

        def make(address: Any) -> socket.socket:
            made = socket.socket(*address[:3])
            for option in wanted:
                made.setsockopt(*option)
            return made

        args = {"socket_factory": make}
        async with AIOHTTPSession(verify=bundle, timeout=60, connector_args=args) as session:
            with without_complaints_of_uvloop():
                yield open_aiohttp(session, url)


@contextlib.contextmanager
def without_complaints_of_uvloop() -> Iterator[None]:
    """Ignore what uvloop's TLS layer reports about a connection that was closed in its callback.

    For example when opening is cancelled at the moment when TLS is established: uvloop then writes
    to the closed connection, and reports the error. It is harmless.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "the handler is closed" in str(context.get("exception")):
            return
        if before is None:
            loop.default_exception_handler(context)
        else:
            before(loop, context)

    loop.set_exception_handler(report)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


@pytest.fixture
def network(scheme: str, certificate: tuple[Path, Path]) -> Iterator[Network]:
    network = Network(scheme, certificate)
    try:
        yield network
    finally:
        network.close()


class Clock:
    """A clock of exchanges that a test advances, so that no timeout has to be waited for."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    async def jump(
        self, connections: Connections, progress: Progress, phases: Container[Phase], seconds: float
    ) -> None:
        """Wait until an exchange has reached a phase, and let time pass until it has ended."""
        while progress.phase not in phases:
            await anyio.sleep(0.001)
        while connections.open > connections.idle:
            self.pass_by(connections, seconds)
            await anyio.sleep(0.001)

    def pass_by(self, connections: Connections, seconds: float) -> None:
        """Let time pass, as each connection's timer would notice it."""
        self._ahead += seconds
        for connection in list(connections._connections):
            clock: Any = connection._clock  # type: ignore[attr-defined]  # both drivers have one
            if clock._call_off is not None:
                clock._call_off()
            clock._ring()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(exchange_clock, "time", clock)
    return clock


class RecordingProgress(Progress):
    """A progress that records each phase."""

    def __init__(self, deadline: float = math.inf) -> None:
        self.phases: list[Phase] = []
        super().__init__(deadline)

    @property
    def phase(self) -> Phase:
        return self.phases[-1]

    @phase.setter
    def phase(self, phase: Phase) -> None:
        if not self.phases or self.phases[-1] is not phase:
            self.phases.append(phase)


def request(body: bytes = b"abc") -> tuple[bytes, bytes]:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body), body


def stand_still_after_handshakes(
    monkeypatch: pytest.MonkeyPatch, peer: Callable[[], Peer], begin: Callable[[], object] = bool
) -> None:
    """Block the loop between a handshake and the task that waits for it, until the peer has closed.

    Not on uvloop, which sends the last bytes of a handshake only after that.
    """

    def slowed(opens: Any) -> Any:
        async def slowly(*args: Any) -> Any:
            opened = await opens(*args)
            begin()
            assert peer().ended.wait(60)
            time.sleep(0.005)  # until it has arrived over loopback
            return opened

        return slowly

    monkeypatch.setattr(trio_opening, "_shake_hands", slowed(trio_opening._shake_hands))
    monkeypatch.setattr(TCPConnector, "connect", slowed(TCPConnector.connect))
