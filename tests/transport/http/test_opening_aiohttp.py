"""Connections opened through aiohttp's connector: configuration, detachment, and all failures."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import anyio
import anyio.lowlevel
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import TCPConnector
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.asyncio_opening import note_socket, open_aiohttp, sockets_let_go
from asyncinvoke._transport.http.errors import NotOursError, WireError
from asyncinvoke._transport.http.pool import Connections
from asyncinvoke._transport.http_sessions import keepalive_socket
from tests.doubles.waiting import until
from tests.transport.http.conftest import LOOPS, request
from tests.transport.http.peers import OK, Peer, Wire, answering

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


Certificate = tuple[Path, Path]


@contextlib.asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Connections]:
    async with AIOHTTPSession(**{"timeout": 60, "verify": False, **options}) as session:
        connections = Connections(open_aiohttp(session, url), most_body=1000)
        try:
            yield connections
        finally:
            await connections.aclose()


async def outcome(url: str, progress: Progress | None = None, **options: Any) -> Any:
    progress = Progress() if progress is None else progress
    async with opened(url, **options) as connections:
        try:
            return (await connections.exchange(*request(), progress)).status
        except WireError as error:
            phases = error.phase, progress.phase
            fault = error.fault
        assert phases == (Phase.CONNECTING, Phase.CONNECTING)
        assert connections.open == 0
        return fault


def context_for(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def plain() -> Iterator[Peer]:
    with Peer(answering(OK)) as peer:
        yield peer


@pytest.fixture
def secure(certificate: Certificate) -> Iterator[Peer]:
    with Peer(answering(OK), tls=context_for(certificate)) as peer:
        yield peer


def silent(wire: Wire) -> None:
    wire.wait_end()


def reset(wire: Wire) -> None:
    # A reset before the handshake sometimes makes aiohttp leak a socket.
    wire.receive(1)
    wire.reset()


def tunnel(wire: Wire) -> None:
    """Act as a proxy that requires a user and a password."""
    while b"\r\n\r\n" not in wire.received:
        wire.received += wire.receive(1)
    head = bytes(wire.received)
    wire.received.clear()
    if b"Proxy-Authorization: Basic dXNlcjpzZXNhbWU=" not in head:
        wire.send(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
        return
    host, _, port = head.split()[1].decode().rpartition(":")
    wire.send(b"HTTP/1.1 200 Connected\r\n\r\n")
    far = socket.create_connection((host, int(port)))
    wire.peer.start(partial(pump, wire.socket, far))
    wire.peer.start(partial(pump, far, wire.socket))
    wire.peer.released.wait(20)
    with contextlib.suppress(OSError):
        far.shutdown(socket.SHUT_RDWR)
    far.close()


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)


async def test_tls_is_as_configured(secure: Peer, certificate: Certificate) -> None:
    url = f"https://127.0.0.1:{secure.port}"
    assert await outcome(url, verify=str(certificate[0])) == 200
    assert await outcome(url, verify=False) == 200
    assert await outcome(url, verify=True) is TransportFault.TLS

    def plain(wire: Wire) -> None:
        wire.receive(1)
        wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with Peer(plain) as peer:
        assert await outcome(f"https://127.0.0.1:{peer.port}") is TransportFault.TLS


async def test_a_client_certificate_is_shown(certificate: Certificate) -> None:
    context = context_for(certificate)
    context.load_verify_locations(certificate[0])
    context.verify_mode = ssl.CERT_REQUIRED
    with Peer(answering(OK), tls=context) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        assert await outcome(url, client_cert=tuple(map(str, certificate))) == 200


async def test_both_families_and_a_name_with_a_dead_address_are_reached(plain: Peer) -> None:
    assert await outcome(f"http://localhost:{plain.port}") == 200
    if socket.has_ipv6:
        with Peer(answering(OK), family=socket.AF_INET6) as peer:
            assert await outcome(f"http://[::1]:{peer.port}") == 200


class Resolver:
    def __init__(self, *found: str) -> None:
        self.found = found

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:
        if not self.found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            {"hostname": host, "host": one, "port": port, "family": 2, "proto": 0, "flags": 0}
            for one in self.found
        ]

    async def close(self) -> None:
        pass


async def test_of_two_addresses_the_dead_one_is_passed_over(plain: Peer) -> None:
    resolver = {"resolver": Resolver("127.0.0.9", "127.0.0.1")}
    assert await outcome(f"http://a.test:{plain.port}", connector_args=resolver) == 200


async def test_once_an_address_refuses_the_name_is_looked_up_again(plain: Peer) -> None:
    names = Resolver("127.0.0.9")
    url = f"http://moved.test:{plain.port}"
    async with opened(url, connector_args={"resolver": names}) as connections:
        with pytest.raises(WireError) as raised:
            await connections.exchange(*request(), Progress())
        assert raised.value.fault is TransportFault.CONNECT
        names.found = ("127.0.0.1",)
        assert (await connections.exchange(*request(), Progress())).status == 200


async def test_each_failure_to_connect_has_its_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert await outcome(f"http://127.0.0.1:{port}") is TransportFault.CONNECT
    nowhere = {"resolver": Resolver()}
    assert await outcome("http://a.test", connector_args=nowhere) is TransportFault.CONNECT
    with Peer(silent) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        assert await outcome(url, timeout=0.05) is TransportFault.CONNECT_TIMEOUT
    with Peer(reset) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        assert await outcome(url) in (TransportFault.CONNECT, TransportFault.TLS)


async def test_a_lack_of_descriptors_is_distinguished_and_later_connections_succeed(
    plain: Peer,
) -> None:
    """Raised by the socket factory; `tests/transport/without_files.py` tests a real process."""
    refusals = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))]

    def factory(address: Any) -> socket.socket:
        if refusals:
            raise refusals.pop()
        return socket.socket(*address[:3])

    url = f"http://127.0.0.1:{plain.port}"
    async with opened(url, connector_args={"socket_factory": factory}) as connections:
        with pytest.raises(WireError) as raised:
            await connections.exchange(*request(), Progress())
        assert raised.value.fault is TransportFault.FILES
        assert (await connections.exchange(*request(), Progress())).status == 200


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
async def test_a_lack_of_descriptors_is_distinguished_after_other_addresses_too(
    plain: Peer, code: int
) -> None:
    def factory(address: Any) -> socket.socket:
        raise OSError(code, os.strerror(code))

    args = {"resolver": Resolver("127.0.0.9", "127.0.0.1"), "socket_factory": factory}
    url = f"http://a.test:{plain.port}"
    assert await outcome(url, connector_args=args) is TransportFault.FILES


async def test_a_deadline_a_cancellation_and_a_closing_end_an_opening() -> None:
    with Peer(silent) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        timed = Progress(time.monotonic() + 0.05)
        assert await outcome(url, timed) is TransportFault.INTERRUPTED
        async with opened(url) as connections:
            progress = Progress()
            async with anyio.create_task_group() as group:
                group.start_soon(connections.exchange, *request(), progress)
                await until(lambda: progress.phase is Phase.CONNECTING)
                group.cancel_scope.cancel()
            assert progress.phase is Phase.CONNECTING

            closing = Progress()

            async def exchange() -> None:
                with pytest.raises(WireError) as raised:
                    await connections.exchange(*request(), closing)
                assert raised.value.fault is TransportFault.CLOSED
                assert raised.value.phase is Phase.CONNECTING

            async with anyio.create_task_group() as group:
                group.start_soon(exchange)
                await until(lambda: closing.phase is Phase.CONNECTING)
                await connections.aclose()


def speak_first(wire: Wire, context: ssl.SSLContext) -> None:
    """Complete a handshake, and send an unsolicited answer together with its last bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            wire.send(outgoing.read())
            incoming.write(wire.receive(1) + bytes(wire.received))
            wire.received.clear()
    tls.write(b"HTTP/1.1 400 early\r\n\r\n")
    wire.send(outgoing.read())
    wire.peer.released.wait(20)  # the server does not close what the client must close


# uvloop reports received data when the connection is already detached.
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_peer_that_speaks_first_over_tls_is_refused_and_its_file_is_free_for_others(
    certificate: Certificate,
) -> None:
    context = context_for(certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # while the server ends the handshake
    with Peer(partial(speak_first, context=context)) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        async with opened(url, connector_args={"socket_factory": keepalive_socket}) as connections:
            for _ in range(4):
                with pytest.raises(WireError, match="too early") as raised:
                    await connections.exchange(*request(), Progress())
                assert raised.value.fault is TransportFault.CONNECT
                near, far = socket.socketpair()  # which gets the descriptors that are free by now
                near.setblocking(False)
                reader, writer = await asyncio.open_connection(sock=near)
                try:
                    for _ in range(3):
                        await anyio.lowlevel.checkpoint()
                    far.sendall(b"!")
                    with anyio.fail_after(60):
                        assert await reader.read(1) == b"!"
                finally:
                    far.close()
                    writer.close()
                    await writer.wait_closed()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # uvloop closes it itself
async def test_a_call_cancelled_as_tls_is_established_leaves_its_file_to_the_next(
    secure: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[asyncio.Task[Any]] = []
    files: list[socket.socket] = []
    numbers: list[int] = []
    established = ResponseHandler.connection_made

    def cancelling(self: ResponseHandler, transport: asyncio.BaseTransport) -> None:
        established(self, transport)
        if calls:
            calls.pop().cancel()  # for example by a timeout of asyncio that expires at this moment

    def noted_socket(address: Any) -> socket.socket:
        made = keepalive_socket(address)
        files.append(made)
        numbers.append(made.fileno())
        return made

    monkeypatch.setattr(ResponseHandler, "connection_made", cancelling)
    url = f"https://127.0.0.1:{secure.port}"
    async with opened(url, connector_args={"socket_factory": noted_socket}) as connections:
        call = asyncio.create_task(connections.exchange(*request(), Progress()))
        calls.append(call)
        await asyncio.wait([call])
        assert call.cancelled()
        await until(lambda: files[0].fileno() == -1)
        asyncio.get_running_loop().remove_reader(numbers[0])  # raises while a transport uses it
        assert (await connections.exchange(*request(), Progress())).body == b"hi"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_connection_that_fails_leaves_no_file_open_on_windows_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def as_the_proactor_loop(descriptor: Any) -> bool:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "remove_reader", as_the_proactor_loop)

    def fail(near: socket.socket) -> None:
        with sockets_let_go():
            note_socket(near)
            raise ConnectionError

    near, far = socket.socketpair()
    with near, far:
        with pytest.raises(ConnectionError):
            fail(near)
        assert near.fileno() == -1


async def test_proxies_are_asked_with_their_credentials(
    secure: Peer, certificate: Certificate
) -> None:
    url = f"https://127.0.0.1:{secure.port}"
    with Peer(tunnel) as proxy:
        for credentials, expected in (("user:sesame@", 200), ("user:no@", TransportFault.PROXY)):
            proxies = {"https": f"http://{credentials}127.0.0.1:{proxy.port}"}
            assert await outcome(url, proxies=proxies, verify=str(certificate[0])) == expected
        proxies = {"https": f"http://user:sesame@127.0.0.1:{proxy.port}"}
        assert await outcome(url, proxies=proxies, verify=True) is TransportFault.TLS
    assert await outcome(url, proxies=proxies) is TransportFault.PROXY


async def test_a_proxy_may_be_spoken_to_over_tls(secure: Peer, certificate: Certificate) -> None:
    with Peer(tunnel, tls=context_for(certificate)) as proxy:
        proxies = {"https": f"https://user:sesame@127.0.0.1:{proxy.port}"}
        url = f"https://127.0.0.1:{secure.port}"
        settings = {"proxy_ca_bundle": str(certificate[0])}
        async with opened(url, proxies=proxies, proxies_config=settings) as connections:
            for body in (b"abc", b"x" * 2_000_000):
                assert (await connections.exchange(*request(body), Progress())).status == 200
            assert connections.open == 1


async def test_plain_http_through_a_proxy_is_not_ours(plain: Peer) -> None:
    async with AIOHTTPSession(proxies={"http": "http://127.0.0.1:9"}) as session:
        with pytest.raises(NotOursError, match="through a proxy"):
            open_aiohttp(session, f"http://127.0.0.1:{plain.port}")


@pytest.mark.parametrize("name", ["_get_session", "_proxy_config", "_timeout"])
async def test_a_session_without_the_names_we_need_is_not_ours(plain: Peer, name: str) -> None:
    class Other:
        def __getattr__(self, wanted: str) -> Any:
            if wanted == name:
                raise AttributeError(wanted)
            return getattr(session, wanted)

    async with AIOHTTPSession() as session:
        with pytest.raises(NotOursError, match=name):
            open_aiohttp(Other(), f"http://127.0.0.1:{plain.port}")


async def test_an_aiohttp_whose_connector_is_used_in_another_way_is_not_for_us(
    plain: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []

    class Other:
        def close(self) -> None:
            closed.append(True)

    async def with_other_arguments(_: object, /, *, asked: object) -> None: ...

    class OtherWithin(Other):
        protocol = Mock(should_close=False, transport=Mock(is_closing=lambda: False))
        protocol.transport.get_extra_info = lambda: None  # without the name of what is asked for

    async def with_another_result(*_: object) -> Other:
        return Other()

    async def with_another_result_within(*_: object) -> Other:
        return OtherWithin()

    for connect in (with_other_arguments, with_another_result, with_another_result_within):
        monkeypatch.setattr(TCPConnector, "connect", connect)
        async with opened(f"http://127.0.0.1:{plain.port}") as connections:
            with pytest.raises(NotOursError):
                await connections.exchange(*request(), Progress())
    assert closed == [True, True]


async def test_a_session_that_cannot_be_set_up_is_not_ours(tmp_path: Path) -> None:
    async with opened("https://127.0.0.1", verify=str(tmp_path / "missing.pem")) as connections:
        progress = Progress()
        with pytest.raises(NotOursError, match="FileNotFoundError"):
            await connections.exchange(*request(), progress)
        assert progress.phase is Phase.CONNECTING
        assert connections.open == 0


async def test_the_connector_keeps_no_slot_and_no_transport(secure: Peer) -> None:
    url = f"https://127.0.0.1:{secure.port}"
    async with AIOHTTPSession(verify=False, timeout=60, max_pool_connections=1) as session:
        connections = Connections(open_aiohttp(session, url), most_body=1000)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(connections.exchange, *request(), Progress())
        connector = (await session._get_session(None)).connector
        assert not connector._acquired
        assert not connector._conns
        async with (await session._get_session(None)).post(url, data=b"abc") as answer:
            assert await answer.read() == b"hi"
        assert connections.open >= 2
        await connections.aclose()


class SlowNames(AbstractResolver):
    """A resolver that resolves every name to this machine, once it is released."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> Any:
        self.asked += 1
        await self.go_on.wait()
        found = {"hostname": host, "host": "127.0.0.1", "port": port}
        return [{**found, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


async def test_a_deadline_that_passes_while_a_name_is_looked_up_leaves_that_to_the_next(
    plain: Peer,
) -> None:
    names = SlowNames()
    url = f"http://slow.test:{plain.port}"
    async with opened(url, connector_args={"resolver": names}) as connections:
        for _ in range(3):
            with pytest.raises(WireError) as raised:
                await connections.exchange(*request(), Progress(time.monotonic() + 0.05))
            assert raised.value.fault is TransportFault.INTERRUPTED
            assert raised.value.phase in (Phase.NOT_BEGUN, Phase.CONNECTING)
            assert connections.open == 0
        names.go_on.set()
        assert (await connections.exchange(*request(), Progress())).status == 200
    assert names.asked <= 1
