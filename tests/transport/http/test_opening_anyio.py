"""Connections opened with anyio: configuration, and all failures."""

import errno
import socket
import ssl
import threading
import time
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio
from aiobotocore.httpxsession import HttpxSession

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.errors import NotOursError, WireError
from asyncinvoke._transport.http.pool import Connections
from asyncinvoke._transport.http.trio_opening import open_anyio, open_httpx
from tests.doubles.waiting import until
from tests.transport.http.conftest import request
from tests.transport.http.peers import OK, Peer, Wire, answering
from tests.transport.http.test_opening_aiohttp import Certificate, context_for, silent

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


class Nowhere(trio.abc.HostnameResolver):
    async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *_: Any) -> Any:
        raise NotImplementedError


class Two(Nowhere):
    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> Any:
        stream = socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        return [(socket.AF_INET, *stream, (host, port)) for host in ("127.0.0.9", "127.0.0.1")]


async def outcome(url: str, progress: Progress | None = None, **options: Any) -> Any:
    progress = Progress() if progress is None else progress
    connections = Connections(open_anyio(url, **options), most_body=1000)
    try:
        return (await connections.exchange(*request(), progress)).status
    except WireError as error:
        phases = error.phase, progress.phase
        fault = error.fault
    finally:
        await connections.aclose()
    assert phases == (Phase.CONNECTING, Phase.CONNECTING)
    return fault


async def test_tls_is_as_the_context_says(certificate: Certificate) -> None:
    trusting = ssl.create_default_context(cafile=certificate[0])
    with Peer(answering(OK), tls=context_for(certificate)) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        assert await outcome(url, ssl_context=trusting) == 200
        assert await outcome(url) is TransportFault.TLS
        assert await outcome(url.replace("127.0.0.1", "localhost"), ssl_context=trusting) == 200

    def plain(wire: Wire) -> None:
        wire.receive(1)
        wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def leaves(wire: Wire) -> None:
        wire.receive(1)

    for script, faults in (
        (plain, [TransportFault.TLS]),
        (leaves, [TransportFault.TLS, TransportFault.CONNECT]),
    ):
        with Peer(script) as peer:
            assert await outcome(f"https://127.0.0.1:{peer.port}") in faults


async def test_a_client_certificate_is_shown(certificate: Certificate) -> None:
    theirs = context_for(certificate)
    theirs.load_verify_locations(certificate[0])
    theirs.verify_mode = ssl.CERT_REQUIRED
    ours = ssl.create_default_context(cafile=certificate[0])
    ours.load_cert_chain(*certificate)
    with Peer(answering(OK), tls=theirs) as peer:
        assert await outcome(f"https://127.0.0.1:{peer.port}", ssl_context=ours) == 200


async def test_both_families_and_a_name_with_a_dead_address_are_reached() -> None:
    with Peer(answering(OK)) as peer:
        assert await outcome(f"http://localhost:{peer.port}") == 200
    if socket.has_ipv6:
        with Peer(answering(OK), family=socket.AF_INET6) as peer:
            assert await outcome(f"http://[::1]:{peer.port}") == 200


async def test_options_are_set_on_each_socket() -> None:
    option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with Peer(answering(OK)) as peer:
        opener = open_anyio(f"http://127.0.0.1:{peer.port}", socket_options=iter([option]))
        for _ in range(2):
            connection: Any = await opener(Progress())
            assert connection._stream._socket.getsockopt(*option[:2]) == 1
            connection.abort()


async def test_each_failure_to_connect_has_its_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert await outcome(f"http://127.0.0.1:{port}") is TransportFault.CONNECT
    assert await outcome(f"http://localhost:{port}") is TransportFault.CONNECT
    trio.socket.set_custom_hostname_resolver(Nowhere())
    assert await outcome("http://a.test") is TransportFault.CONNECT
    with Peer(silent) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        assert await outcome(url, connect_timeout=0.05) is TransportFault.CONNECT_TIMEOUT


async def test_a_lack_of_descriptors_is_distinguished(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raised by anyio; `tests/attack/test_open_files.py` tests a real process without files."""

    async def without_files(*_: object, **__: object) -> None:
        raise OSError("All connection attempts failed") from OSError(errno.EMFILE, "no files")

    monkeypatch.setattr(anyio, "connect_tcp", without_files)
    assert await outcome("http://127.0.0.1:9") is TransportFault.FILES


async def test_a_deadline_a_cancellation_and_a_closing_end_an_opening() -> None:
    with Peer(silent) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        context = ssl.create_default_context()
        timed = Progress(time.monotonic() + 0.05)
        assert await outcome(url, timed, ssl_context=context) is TransportFault.INTERRUPTED
        connections = Connections(open_anyio(url, ssl_context=context), most_body=1000)
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


async def test_proxies_are_not_ours() -> None:
    with pytest.raises(NotOursError, match="through a proxy"):
        open_anyio("https://127.0.0.1", proxy="http://127.0.0.1:9")
    async with HttpxSession(proxies={"https": "http://127.0.0.1:9"}) as session:
        with pytest.raises(NotOursError, match="through a proxy"):
            open_httpx(session, "https://127.0.0.1")


async def test_an_httpx_session_lends_its_settings(certificate: Certificate) -> None:
    with Peer(answering(OK), tls=context_for(certificate)) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        for verify, expected in ((str(certificate[0]), 200), (False, 200), (True, None)):
            async with HttpxSession(verify=verify, timeout=60) as session:
                connections = Connections(open_httpx(session, url), most_body=1000)
                try:
                    status = (await connections.exchange(*request(), Progress())).status
                except WireError as error:
                    status = None
                    fault = error.fault
                await connections.aclose()
            assert status == expected
    assert fault is TransportFault.TLS


@pytest.mark.parametrize("name", ["_proxy_config", "_verify", "_timeout"])
async def test_a_session_without_the_names_we_need_is_not_ours(name: str) -> None:
    class Other:
        def __getattr__(self, wanted: str) -> Any:
            if wanted == name:
                raise AttributeError(wanted)
            return getattr(session, wanted)

    async with HttpxSession() as session:
        with pytest.raises(NotOursError, match=name):
            open_httpx(Other(), "https://127.0.0.1")


async def test_no_task_of_ours_outlives_the_connections() -> None:
    def tasks() -> int:
        return trio.lowlevel.current_statistics().tasks_living

    with Peer(answering(OK)) as peer:
        url = f"http://127.0.0.1:{peer.port}"
        before = tasks()
        connections = Connections(open_anyio(url), most_body=1000, most_idle=0.05)
        for _ in range(3):
            await connections.exchange(*request(), Progress(time.monotonic() + 60))
        # One task for idle connections, and one for the connection's timer.
        assert tasks() == before + 2
        while connections.open:
            await anyio.sleep(0.01)
        await anyio.wait_all_tasks_blocked()
        assert tasks() == before
        await connections.exchange(*request(), Progress())
        assert tasks() == before + 2
        await connections.aclose()
        await anyio.wait_all_tasks_blocked()
        assert tasks() == before


class Slow:
    """A name resolver that hangs until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        self.asked: list[object] = []
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._find)

    def _find(self, host: Any, port: Any, family: int = 0, *rest: int) -> Any:
        if host not in ("slow.test", b"slow.test"):
            return self._real(host, port, family, *rest)
        if len(rest) > 2 and rest[2] & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self.asked.append(host)
        assert self.go_on.wait(60)
        return self._real("127.0.0.1", port, family, *rest)


async def test_a_name_that_never_resolves_blocks_no_other_threads_and_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Slow(monkeypatch)
    with Peer(answering(OK)) as peer:
        connections = Connections(open_anyio(f"http://slow.test:{peer.port}"), most_body=1000)
        statuses: list[int] = []

        async def exchange() -> None:
            statuses.append((await connections.exchange(*request(), Progress())).status)

        try:
            async with anyio.create_task_group() as group:
                for _ in range(60):  # more than trio's thread limit
                    group.start_soon(exchange)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
            with anyio.fail_after(60):
                assert await anyio.to_thread.run_sync(lambda: 1) == 1
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(exchange)
                await anyio.wait_all_tasks_blocked()
                slow.go_on.set()
        finally:
            slow.go_on.set()
            await connections.aclose()
    assert statuses == [200, 200, 200]
    assert len(slow.asked) == 1


async def test_waiters_for_a_name_that_is_not_found_get_an_error_and_may_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def find(host: object, *_: object) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", find)
    for _ in range(2):
        assert await outcome("http://away.test") is TransportFault.CONNECT
    assert asked == ["away.test", "away.test"]


async def test_a_dot_at_the_end_of_a_name_is_no_part_of_its_certificate(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, *rest, **named: real("127.0.0.1", *rest, **named)
    )
    trusting = ssl.create_default_context(cafile=certificate[0])
    with Peer(answering(OK), tls=context_for(certificate)) as peer:
        url = f"https://localhost.:{peer.port}"
        assert await outcome(url, ssl_context=trusting) == 200
