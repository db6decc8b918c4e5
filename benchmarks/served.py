"""What the local endpoint costs: CPU time for one request, and memory for one that sleeps.

The endpoint has a separate process and an in-process async handler; its CPU time is measured, user and
system. The baseline is aiohttp's own server, on which the endpoint is built, with a handler that echoes
the body. The load comes over 32 connections that send the next request as soon as the last is answered.
Then a number of invocations sleep at the same time, each over its own connection, and the growth of the
process's resident memory is measured.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from asyncinvoke.local import LocalLambda
from benchmarks.child import Child
from benchmarks.command import Benchmark
from benchmarks.process import memory
from benchmarks.rounds import interleaved, machine, ratios, spread
from benchmarks.tables import figure, table

FLOOR, LOCAL = "aiohttp", "LocalLambda"
CONNECTIONS = 32
WARM_UP = 1000
BODY = b'{"key": "cat.jpg"}'


class Server(Child):
    """One of the two servers in a separate process."""

    def __init__(self, name: str) -> None:
        super().__init__("served", f"--serve={name}")

    @property
    def address(self) -> tuple[str, int]:
        """The URL of the server."""
        url = urlsplit(self.ask()["url"])
        assert url.hostname is not None
        assert url.port is not None
        return url.hostname, url.port


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both servers in turn, then sleeping invocations."""
    cpu: dict[str, list[float]] = {FLOOR: [], LOCAL: []}
    for name in interleaved(list(cpu), options.rounds):
        with Server(name) as server:
            asyncio.run(_load(server.address, WARM_UP))
            before = server.ask()
            asyncio.run(_load(server.address, options.requests))
            after = server.ask()
        served = after["served"] - before["served"]
        if served != options.requests:
            raise RuntimeError(f"{served} of {options.requests} requests were served")
        cpu[name].append((after["cpu_seconds"] - before["cpu_seconds"]) / served)
    with Server(LOCAL) as server:
        growth = asyncio.run(_sleepers(server, options.sleepers))
    return {
        "machine": machine(),
        "requests": options.requests,
        "servers": {
            name: {"cpu": spread(values), "ratio": ratios(values, cpu[FLOOR])}
            for name, values in cpu.items()
        },
        "sleepers": options.sleepers,
        "memory_of_one": growth / options.sleepers,
    }


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        (
            name,
            figure(values["cpu"], scale=1e6),
            f"{1 / values['cpu']['median']:,.0f}",
            figure(values["ratio"], digits=2),
        )
        for name, values in found["servers"].items()
    ]
    headings = ("server", "CPU per request, µs", "requests per second of CPU", "ratio")
    return (
        f"{table(headings, rows)}\n\n"
        f"{found['sleepers']:,} invocations that sleep: {found['memory_of_one'] / 1024:.1f} KiB "
        f"each, their connections included. {found['requests']:,} requests a round. "
        f"{found['machine']}."
    )


async def _load(address: tuple[str, int], requests: int) -> None:
    left = iter(range(requests))

    async def client() -> None:
        async with _connection(address) as (reader, writer):
            for _ in left:
                writer.write(_request("echo"))
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"\r\ncontent-length:")[2].split(maxsplit=1)[0])
                if await reader.readexactly(length) != BODY:
                    raise RuntimeError("an answer was not the body that was sent")

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(client())


async def _sleepers(server: Server, count: int) -> int:
    address = server.address
    await _load(address, WARM_UP)
    before = server.ask()["resident"]
    async with AsyncExitStack() as stack:
        for _ in range(count):
            _, writer = await stack.enter_async_context(_connection(address))
            writer.write(_request("sleep"))
        await asyncio.to_thread(_wait_for_sleepers, server, count)
        return int(server.ask()["resident"]) - int(before)


def _wait_for_sleepers(server: Server, count: int) -> None:
    while server.ask()["sleeping"] < count:
        time.sleep(0.05)


@asynccontextmanager
async def _connection(
    address: tuple[str, int],
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _request(function_name: str) -> bytes:
    return (
        f"POST /2015-03-31/functions/{function_name}/invocations HTTP/1.1\r\n"
        f"Host: localhost\r\nAuthorization: AWS4-HMAC-SHA256 \r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY


async def _serve_local() -> None:
    sleeping = 0

    async def sleep(_event: object, _context: object) -> None:
        nonlocal sleeping
        sleeping += 1
        await asyncio.sleep(900)

    async def echo(event: object, _context: object) -> object:
        return event

    async with LocalLambda(account_concurrency=100_000) as local:
        local.function("echo", echo)
        local.function("sleep", sleep, timeout=900)
        await _answer_lines(
            local.url, lambda: (local.statistics().functions["echo"].executions, sleeping)
        )


async def _serve_floor() -> None:
    served = 0

    async def echo(request: web.BaseRequest) -> web.Response:
        nonlocal served
        served += 1
        return web.Response(body=await request.read(), content_type="application/json")

    server = web.Server(echo, access_log=None)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    await _answer_lines(f"http://{host}:{port}", lambda: (served, 0))
    await runner.cleanup()


async def _answer_lines(url: str, counts: Any) -> None:
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        served, sleeping = counts()
        said = {
            "url": url,
            "served": served,
            "sleeping": sleeping,
            "cpu_seconds": time.process_time(),
            "resident": memory("VmRSS"),
        }
        print(json.dumps(said), flush=True)


BENCHMARK = Benchmark(
    name="served",
    description=__doc__ or "",
    numbers={
        "rounds": (5, "rounds, each with both servers in turn"),
        "requests": (10_000, "requests a round"),
        "sleepers": (1000, "invocations that sleep at once"),
    },
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    if sys.argv[1:] == [f"--serve={LOCAL}"]:
        asyncio.run(_serve_local())
    elif sys.argv[1:] == [f"--serve={FLOOR}"]:
        asyncio.run(_serve_floor())
    else:
        BENCHMARK.main()
