"""What one HTTP exchange costs: CPU time, over a connection of ours and by bare aiohttp.

Both send the same request of 711 bytes of head to one endpoint on loopback that answers at once, in
one process, in interleaved rounds; a ratio compares the two in the same round. "floor" is a protocol
that writes the same bytes and takes any bytes for an answer: what the event loop and the kernel
cost. Run it as `python -m benchmarks.wire [--loop uvloop] [--tls]`.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from yarl import URL

from asyncinvoke._model.delivery import Progress
from asyncinvoke._transport.http.open_aiohttp import open_aiohttp
from asyncinvoke._transport.http.pool import Connections
from benchmarks.canned import CannedEndpoint

Call = Callable[[], Awaitable[Any]]

_BODY = b'"0123456789abc"'


def _head(host: str) -> bytes:
    lines = [
        "POST /2015-03-31/functions/work/invocations HTTP/1.1",
        f"Host: {host}",
        f"Content-Length: {len(_BODY)}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "User-Agent: aiobotocore/3.10.0 md/Botocore#1.43.117 ua/2.1 os/linux#6.1 md/arch#x86_64",
        "X-Amz-Date: 20300101T000000Z",
        "X-Amz-Invocation-Type: RequestResponse",
        "amz-sdk-invocation-id: 6f1a6d9c-5a0e-4b8e-9b0a-6d1f0c3a2b10",
        "amz-sdk-request: attempt=1",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20300101/eu-west-1/lambda/aws4_request,"
        " SignedHeaders=host;x-amz-date;x-amz-invocation-type, Signature=" + "0" * 64,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextlib.asynccontextmanager
async def _ours(url: str, bundle: str | None) -> AsyncIterator[Call]:
    async with AIOHTTPSession(verify=bundle or False, timeout=60) as session:
        connections = Connections(open_aiohttp(session, url), most_body=1 << 23)
        head = _head(url.split("/")[2])
        try:
            yield lambda: connections.exchange(head, _BODY, Progress())
        finally:
            await connections.aclose()


@contextlib.asynccontextmanager
async def _aiohttp(url: str, bundle: str | None) -> AsyncIterator[Call]:
    context = ssl.create_default_context(cafile=bundle) if bundle else None
    lines = _head(url.split("/")[2]).decode().split("\r\n")[3:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    target = URL(url + "/2015-03-31/functions/work/invocations")
    # The session's options are aiobotocore's.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context or True),
        timeout=aiohttp.ClientTimeout(sock_connect=60, sock_read=60),
        skip_auto_headers={"Content-Type"},
        auto_decompress=False,
    ) as session:

        async def call() -> bytes:
            async with session.post(target, data=_BODY, headers=headers) as answer:
                return await answer.read()

        yield call


class _Floor(asyncio.Protocol):
    def data_received(self, data: bytes) -> None:  # noqa: ARG002
        self.waiter.set_result(None)


@contextlib.asynccontextmanager
async def _floor(url: str, bundle: str | None) -> AsyncIterator[Call]:
    loop = asyncio.get_running_loop()
    host, port = url.split("/")[2].split(":")
    context = ssl.create_default_context(cafile=bundle) if bundle else None
    idle: list[tuple[Any, _Floor]] = []
    request = _head(f"{host}:{port}") + _BODY

    async def call() -> None:
        transport, protocol = (
            idle.pop()
            if idle
            else await loop.create_connection(_Floor, host, int(port), ssl=context)
        )
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


_WAYS = {"floor": _floor, "ours": _ours, "aiohttp": _aiohttp}


async def _measure(call: Call, count: int, in_flight: int) -> float:
    remaining = itertools.repeat(None, count)

    async def work() -> None:
        for _ in remaining:
            await call()

    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
    return (time.process_time() - began) / count * 1e6


async def _compare(url: str, bundle: str | None, options: argparse.Namespace) -> None:
    costs: dict[str, list[float]] = {name: [] for name in _WAYS}
    async with contextlib.AsyncExitStack() as stack:
        calls = {
            name: await stack.enter_async_context(way(url, bundle)) for name, way in _WAYS.items()
        }
        for call in calls.values():
            await _measure(call, 2000, options.in_flight)
        for _ in range(options.rounds):
            for name, call in calls.items():
                costs[name].append(await _measure(call, options.count, options.in_flight))
    for name, values in costs.items():
        ratio = median(a / b for a, b in zip(values, costs["aiohttp"], strict=True))
        print(f"{name:>8}: {median(values):6.1f} us of CPU, {ratio:.3f} of bare aiohttp")


def make_certificate(folder: str) -> tuple[str, str]:
    """Have openssl make a certificate for 127.0.0.1; return the paths of it and of its key."""
    certificate, key = str(Path(folder, "cert.pem")), str(Path(folder, "key.pem"))
    command = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-keyout", key, "-out", certificate, "-subj", "/CN=127.0.0.1"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def main() -> None:
    """Measure, and print a line for each way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--count", type=int, default=10_000, help="exchanges a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--in-flight", type=int, default=32)
    options = parser.parse_args()
    run: Any = asyncio.run
    if options.loop == "uvloop":
        import uvloop

        run = uvloop.run
    with tempfile.TemporaryDirectory() as folder:
        bundle = key = None
        if options.tls:
            bundle, key = make_certificate(folder)
            os.environ["BENCH_TLS"] = f"{bundle}{os.pathsep}{key}"
        with CannedEndpoint() as endpoint:
            run(_compare(endpoint.url, bundle, options))


if __name__ == "__main__":
    main()
