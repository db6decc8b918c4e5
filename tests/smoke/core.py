"""A smoke test of an installation: a script without pytest, for environments with nothing else.

`make core` and `make oldest` run it. It uses every installed event loop, and an independent server:
a few lines with as much HTTP as necessary.
"""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import TypeVar

import anyio
import tenacity
from anyio.abc import SocketAttribute, SocketStream

import asyncinvoke
from asyncinvoke.otel import OpenTelemetry

LIBRARIES = ("aiobotocore", "anyio", "httptools", "tenacity")
THROTTLED = (
    b"HTTP/1.1 429 Too Many Requests\r\nx-amzn-errortype: TooManyRequestsException\r\n"
    b'Content-Length: 46\r\n\r\n{"Reason":"ConcurrentInvocationLimitExceeded"}'
)
ITEMS = 20

_T = TypeVar("_T")


def equal(found: _T, expected: _T) -> None:
    """Compare; unlike `assert`, also under `python -O`."""
    if found != expected:
        sys.exit(f"{found!r} should be {expected!r}")


class Server:
    """A server that throttles the first request, and echoes the payload of the others."""

    def __init__(self) -> None:
        self.deliveries = 0

    async def serve(self, stream: SocketStream) -> None:
        """Answer requests on one connection until it ends."""
        received = b""
        async with stream:
            try:
                while True:
                    while b"\r\n\r\n" not in received:
                        received += await stream.receive()
                    head, _, received = received.partition(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length:")[2].split()[0])
                    while len(received) < length:
                        received += await stream.receive()
                    payload, received = received[:length], received[length:]
                    await stream.send(self._answer(payload))
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    def _answer(self, payload: bytes) -> bytes:
        self.deliveries += 1
        if self.deliveries == 1:
            return THROTTLED
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(payload), payload)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    """Serve on loopback; yield the URL."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


async def use() -> None:
    """Invoke, be throttled, and map."""
    again = asyncinvoke.Backoff(wait=tenacity.wait_fixed(0.01), stop=tenacity.stop_after_attempt(3))
    server = Server()
    hooks = [OpenTelemetry()] if find_spec("opentelemetry") is not None else []
    async with (
        serving(server) as url,
        asyncinvoke.Invoker(
            endpoint_url=url,
            region_name="eu-west-1",
            retry=asyncinvoke.RetryPolicy(throttled=again),
            hooks=hooks,
        ) as invoker,
    ):
        response = await invoker.invoke("resize", {"key": "cat.jpg"}, timeout=30)
        equal(response.json(), {"key": "cat.jpg"})
        equal([attempt.status_code for attempt in response.attempts], [429, 200])
        async with invoker.map("resize", range(ITEMS), timeout=30) as run:
            values = [json.loads(outcome.unwrap().payload) async for outcome in run]
    equal(sorted(values), list(range(ITEMS)))
    equal(server.deliveries, 2 + ITEMS)


def main() -> None:
    """Test every installed event loop, and the command."""
    os.environ.update(AWS_ACCESS_KEY_ID="test-key", AWS_SECRET_ACCESS_KEY="test-secret")
    loops = [name for name in ("asyncio", "trio") if find_spec(name) is not None]
    for name in loops:
        anyio.run(use, backend=name)
    for argument, status in (("--version", 0), ("no-such-command", 2)):
        command = subprocess.run(
            [sys.executable, "-m", "asyncinvoke", argument], check=False, capture_output=True
        )
        equal(command.returncode, 2 if find_spec("click") is None else status)
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"asyncinvoke {version('asyncinvoke')} on {' and '.join(loops)}: ok")
    print(f"(Python {python}, {libraries})")


if __name__ == "__main__":
    main()
