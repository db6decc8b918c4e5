"""The doubles behave as the tests rely on, as seen by the standard library's clients."""

import base64
import http.client
import select
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.conftest import LONGEST

from .addresses import refused_port, silent_port
from .certificates import Authority
from .connect_proxy import ConnectProxy
from .counting_server import ANSWER, CLOSE_AFTER, HANG_UP, RESET, Act, CountingServer
from .cutting_proxy import Cut, CuttingProxy, Direction, Flow
from .forked import run_forked
from .messages import answer, error_answer, throttle_answer
from .waiting import settle

BODY = b'{"n": 1}'


def post(port: int, body: bytes = BODY) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/2015-03-31/functions/f/invocations?Qualifier=live", body)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_a_server_answers_as_lambda_would_and_counts_what_it_read_whole() -> None:
    with CountingServer() as server:
        assert post(server.port) == (200, BODY)
        with socket.create_connection(("127.0.0.1", server.port)) as half:
            half.sendall(b"POST /f HTTP/1.1\r\nContent-Length: 9\r\n\r\n12345678")
        server.settle(2)
        assert (server.whole, server.begun, server.accepted) == (1, 2, 2)
        (request,) = server.requests
        assert (request.function_name, request.qualifier, request.body) == ("f", "live", BODY)


def test_a_script_is_played_in_order_and_then_the_default() -> None:
    acts = [
        Act(sent=throttle_answer()),
        Act(sent=error_answer(404, "ResourceNotFoundException")),
        Act(sent=answer(503, b"<html>")),
    ]
    with CountingServer(*acts) as server:
        assert [post(server.port)[0] for _ in range(4)] == [429, 404, 503, 200]


@pytest.mark.parametrize(
    ("act", "raised"), [(HANG_UP, http.client.RemoteDisconnected), (RESET, ConnectionResetError)]
)
def test_an_act_that_ends_a_connection_ends_it_in_its_own_way(
    act: Act, raised: type[OSError]
) -> None:
    with CountingServer(act) as server:
        with pytest.raises(raised) as caught:
            post(server.port)
        assert type(caught.value) is raised
        assert server.whole == 1


def test_an_unannounced_close_is_visible_once_the_answer_is_read() -> None:
    for _ in range(50):
        with CountingServer(CLOSE_AFTER) as server:
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(b"POST /f HTTP/1.1\r\nContent-Length: 1\r\n\r\n1")
            assert client.recv(65_536).endswith(b"\r\n\r\n1")
            readable, _, _ = select.select([client], [], [], 0)
            assert readable
            assert client.recv(1) == b""
            client.close()


def test_an_early_answer_comes_while_most_of_the_request_is_unsent() -> None:
    early = Act(sent=throttle_answer(), body_read=10, then="close")
    with CountingServer(early, receive_buffer=16_384) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"POST /f HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 1000)
        assert client.recv(65_536).startswith(b"HTTP/1.1 429")
        client.close()
        server.settle(1)
        assert (server.whole, server.begun) == (0, 1)


def test_idle_connections_can_be_closed_and_talked_to() -> None:
    with CountingServer() as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"POST /f HTTP/1.1\r\nContent-Length: 1\r\n\r\n1")
        assert client.recv(65_536)
        with server.changed:
            assert server.changed.wait_for(lambda: server.send_on_idle(b"unasked"), 10)
        assert client.recv(65_536) == b"unasked"
        assert server.close_idle() == 1
        assert client.recv(1) == b""
        client.close()


@pytest.fixture
def proxied() -> Iterator[tuple[CountingServer, CuttingProxy]]:
    with CountingServer(default=ANSWER) as server, CuttingProxy(server.port) as proxy:
        yield server, proxy


@pytest.mark.parametrize("with_reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("direction", ["request", "answer"])
def test_a_proxy_lets_exactly_so_many_bytes_through(
    proxied: tuple[CountingServer, CuttingProxy], direction: Direction, with_reset: bool
) -> None:
    server, proxy = proxied
    request = b"POST /f HTTP/1.1\r\nContent-Length: 1\r\n\r\n1"
    for count in (0, 1, 17, len(request) - 1, len(request)):
        proxy.cut = Cut(direction=direction, bytes=count, with_reset=with_reset)
        whole = server.whole
        client = socket.create_connection(("127.0.0.1", proxy.port))
        read, was_reset = b"", False
        try:
            client.sendall(request)
            while piece := client.recv(65_536):
                read += piece
        except ConnectionError:
            was_reset = True
        client.close()
        server.settle(proxy.connected)
        passed = {name: len(flow.passed) for name, flow in proxy.flows[-1].items()}
        assert passed[direction] == count
        assert was_reset == with_reset
        if direction == "request":
            assert read == b""
            assert server.whole - whole == (count == len(request))
        elif not with_reset:
            assert len(read) == count


def test_records_are_counted_by_their_heads() -> None:
    records = b"\x16\x03\x01\x00\x02ab" + b"\x17\x03\x03\x00\x01c" + b"\x17\x03\x03\x00\x05defgh"
    assert (flow := Flow()).take(records) == records
    assert flow.record_ends() == [7, 13, 23]
    for step in (1, 4, 100):
        flow = Flow(Cut(direction="answer", records=2, bytes=3))
        pieces = [records[start : start + step] for start in range(0, len(records), step)]
        passed = b"".join(flow.take(piece) for piece in pieces if not flow.is_spent)
        assert passed == records[:16]
        assert (flow.is_spent, flow.whole_records()) == (True, 2)


def test_a_connect_proxy_asks_for_credentials_and_tunnels(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue("server")
    trusting = ssl.create_default_context(cafile=str(authority.bundle))
    word = base64.b64encode(b"ann:right").decode()
    with (
        CountingServer(tls=identity.server_context()) as server,
        ConnectProxy(credentials="ann:right") as proxy,
    ):
        for headers, works in (({}, False), ({"Proxy-Authorization": f"Basic {word}"}, True)):
            tunnel = http.client.HTTPSConnection(
                "127.0.0.1", proxy.port, context=trusting, timeout=10
            )
            tunnel.set_tunnel("127.0.0.1", server.port, headers)
            if works:
                tunnel.request("POST", "/f", BODY)
                assert tunnel.getresponse().read() == BODY
            else:
                with pytest.raises(OSError, match="407"):
                    tunnel.request("POST", "/f", BODY)
            tunnel.close()
        assert (len(proxy.asked), proxy.tunnels, server.whole) == (2, 1, 1)


def test_a_silent_port_never_answers_and_a_refused_port_refuses() -> None:
    with silent_port() as port, socket.socket() as client:
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.connect(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", refused_port()))


def test_the_files_that_several_processes_begin_with_are_there() -> None:
    for name in LONGEST:
        assert (Path(__file__).parents[1] / name).exists(), name


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('no')", 1),
        ("raise ValueError('no')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
    ],
)
async def test_a_forked_program_ends_as_it_would_by_itself(
    code: str, status: int, tmp_path: Path
) -> None:
    program = f"import os, sys; print(sys.argv, os.getcwd(), dict(os.environ), sys.stdin.read(), flush=True)\n{code}"
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    words = ("program.py", "a", "b c")
    env = {"ONE": "1", "LC_CTYPE": "C.UTF-8"}  # Python sets the second one
    ours = await run_forked(*words, stdin=b"in", cwd=tmp_path, env=env)
    real = await anyio.run_process(
        [sys.executable, *words], input=b"in", cwd=tmp_path, env=env, check=False
    )
    assert ours.status == real.returncode == status
    assert ours.out == real.stdout.decode()
    assert ours.err.splitlines()[-1:] == real.stderr.decode().splitlines()[-1:]


@pytest.mark.anyio
async def test_settled_means_that_whatever_could_run_has_run_and_the_rest_still_waits() -> None:
    turns: list[int] = []
    never = anyio.Event()

    async def turn(number: int, mine: anyio.Event, next_one: anyio.Event) -> None:
        await mine.wait()
        turns.append(number)
        next_one.set()
        await never.wait()
        turns.append(-1)

    events = [anyio.Event() for _ in range(101)]
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(turn, number, events[number], events[number + 1])
        await settle()
        assert turns == []
        events[0].set()
        await settle()
        assert turns == [*range(100)]
        group.cancel_scope.cancel()
