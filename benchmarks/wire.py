"""What one HTTP exchange costs: CPU time, over one of our connections and with bare aiohttp.

Both send the same request with 711 bytes of head to one endpoint on loopback that answers at once, in
one process and in interleaved rounds; a ratio compares the two in the same round. "floor" is a protocol
that writes the same bytes and accepts any response: the cost of the event loop and the kernel. On trio,
where there is no aiohttp, httpx2 is used instead.

    python -m benchmarks.wire [--loop asyncio|uvloop|trio] [--tls] [--in-flight 32]
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias, cast

import anyio
from yarl import URL

from asyncinvoke._model.delivery import Progress
from asyncinvoke._transport.http.pool import Connections
from benchmarks.child import Child
from tests.doubles.certificates import make_certificate

Call: TypeAlias = Callable[[], Awaitable[Any]]
Way: TypeAlias = Callable[[str, ssl.SSLContext], contextlib.AbstractAsyncContextManager[Call]]

_PATH = "/2015-03-31/functions/measured/invocations"
_BODY = b'"0123456789abc"'
_HEADERS = {
    "Content-Length": str(len(_BODY)),
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "User-Agent": "aiobotocore/3.10.0 md/Botocore#1.43.117 ua/2.1 os/linux#6.1 md/arch#x86_64",
    "X-Amz-Date": "20300101T000000Z",
    "X-Amz-Invocation-Type": "RequestResponse",
    "amz-sdk-invocation-id": "6f1a6d9c-5a0e-4b8e-9b0a-6d1f0c3a2b10",
    "amz-sdk-request": "attempt=1",
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20300101/eu-west-1/lambda/"
    "aws4_request, SignedHeaders=host;x-amz-date;x-amz-invocation-type, Signature=" + "0" * 64,
}
_ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: 12\r\n"
    b"Connection: keep-alive\r\n"
    b"x-amzn-RequestId: 6f1a6d9c-5a0e-4b8e-9b0a-6d1f0c3a2b10\r\n"
    b"x-amzn-Remapped-Content-Length: 0\r\n"
    b"X-Amz-Executed-Version: $LATEST\r\n"
    b"X-Amzn-Trace-Id: root=1-65f2c0de-1a2b3c4d5e6f708192a3b4c5;sampled=0\r\n"
    b'\r\n{"ok": true}'
)


def _request(url: str) -> bytes:
    lines = [f"POST {_PATH} HTTP/1.1", f"Host: {url.split('/')[2]}"]
    lines += [f"{name}: {value}" for name, value in _HEADERS.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextlib.asynccontextmanager
async def _ours(url: str, context: ssl.SSLContext) -> AsyncIterator[Call]:
    from aiobotocore.httpsession import AIOHTTPSession

    from asyncinvoke._transport.http.asyncio_opening import open_aiohttp
    from asyncinvoke._transport.http.trio_opening import open_anyio

    head = _request(url)
    async with contextlib.AsyncExitStack() as stack:
        if _is_trio():
            opener = open_anyio(url, ssl_context=context)
        else:
            session = AIOHTTPSession(timeout=60, connector_args={"ssl": context})
            session._create_connector = lambda _: _connector(context)  # noqa: SLF001
            opener = open_aiohttp(await stack.enter_async_context(session), url)
        connections = Connections(opener, most_body=1 << 23)
        try:
            yield lambda: connections.exchange(head, _BODY, Progress())
        finally:
            await connections.aclose()


async def _connector(context: ssl.SSLContext) -> Any:
    import aiohttp

    return aiohttp.TCPConnector(ssl=context)


@contextlib.asynccontextmanager
async def _aiohttp(url: str, context: ssl.SSLContext) -> AsyncIterator[Call]:
    import aiohttp

    target, headers = URL(url + _PATH), {k: v for k, v in _HEADERS.items() if k != "Content-Length"}
    # The session's options are aiobotocore's.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context),
        timeout=aiohttp.ClientTimeout(sock_connect=60, sock_read=60),
        skip_auto_headers={"Content-Type"},
        auto_decompress=False,
    ) as session:

        async def call() -> bytes:
            async with session.post(target, data=_BODY, headers=headers) as answer:
                return await answer.read()

        yield call


@contextlib.asynccontextmanager
async def _httpx(url: str, context: ssl.SSLContext) -> AsyncIterator[Call]:
    import httpx2

    async with httpx2.AsyncClient(verify=context, trust_env=False) as client:
        yield lambda: client.post(url + _PATH, content=_BODY, headers=_HEADERS)


class _Floor(asyncio.Protocol):
    def data_received(self, data: bytes) -> None:  # noqa: ARG002
        self.waiter.set_result(None)


@contextlib.asynccontextmanager
async def _floor(url: str, context: ssl.SSLContext) -> AsyncIterator[Call]:
    loop = asyncio.get_running_loop()
    host, port = url.split("/")[2].split(":")
    tls = context if url.startswith("https") else None
    idle: list[tuple[Any, _Floor]] = []
    request = _request(url) + _BODY

    async def call() -> None:
        if idle:
            transport, protocol = idle.pop()
        else:
            transport, protocol = await loop.create_connection(_Floor, host, int(port), ssl=tls)
        protocol.waiter = loop.create_future()
        transport.write(request)
        await protocol.waiter
        idle.append((transport, protocol))

    try:
        yield call
    finally:
        for transport, _ in idle:
            transport.abort()
        await asyncio.sleep(0.05)


def _is_trio() -> bool:
    return anyio.get_cancelled_exc_class().__module__.startswith("trio")


async def _measure(call: Call, count: int, in_flight: int) -> float:
    remaining = itertools.repeat(None, count)

    async def work() -> None:
        for _ in remaining:
            await call()

    began = time.process_time()
    async with anyio.create_task_group() as group:
        for _ in range(in_flight):
            group.start_soon(work)
    return (time.process_time() - began) / count * 1e6


async def _compare(url: str, bundle: str | None, options: argparse.Namespace) -> None:
    ways: dict[str, Way] = {"ours": _ours}
    ways |= {"httpx2": _httpx} if _is_trio() else {"aiohttp": _aiohttp, "floor": _floor}
    base = "httpx2" if _is_trio() else "aiohttp"
    costs: dict[str, list[float]] = {name: [] for name in ways}
    context = ssl.create_default_context(cafile=bundle)
    async with contextlib.AsyncExitStack() as stack:
        calls = {
            name: await stack.enter_async_context(way(url, context)) for name, way in ways.items()
        }
        for call in calls.values():
            await _measure(call, 2000, options.in_flight)
        for _ in range(options.rounds):
            for name, call in calls.items():
                costs[name].append(await _measure(call, options.count, options.in_flight))
    for name, values in costs.items():
        ratio = median(a / b for a, b in zip(values, costs[base], strict=True))
        spread = f"{min(values):.1f} to {max(values):.1f}"
        print(f"{name:>8}: {median(values):6.1f} us ({spread}), {ratio:.3f} of bare {base}")


class _Endpoint(asyncio.Protocol):
    """Responds when a complete request has arrived, which its body shows."""

    _received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(_BODY):
            self._received = b""
            self._transport.write(_ANSWER)


async def _serve(certificate: str | None, key: str | None) -> None:
    loop, tls = asyncio.get_running_loop(), None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
    server = await loop.create_server(_Endpoint, "127.0.0.1", 0, backlog=1024, ssl=tls)
    host, port = server.sockets[0].getsockname()
    while await loop.run_in_executor(None, sys.stdin.readline):
        url = f"{'http' if tls is None else 'https'}://{host}:{port}"
        print(json.dumps({"url": url}), flush=True)


def main() -> None:
    """Measure, and print a line for each variant."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--loop", choices=("asyncio", "uvloop", "trio"), default="asyncio")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--count", type=int, default=10_000, help="exchanges a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--serve", nargs="*", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        import uvloop

        certificate, key = options.serve or (None, None)
        uvloop.run(_serve(certificate, key))
        return
    with tempfile.TemporaryDirectory() as folder:
        files = [str(file) for file in make_certificate(Path(folder))] if options.tls else []
        with Child("wire", "--serve", *files) as endpoint:
            anyio.run(
                _compare,
                endpoint.ask()["url"],
                files[0] if files else None,
                options,
                backend="trio" if options.loop == "trio" else "asyncio",
                backend_options={"use_uvloop": True} if options.loop == "uvloop" else {},
            )


if __name__ == "__main__":
    main()
