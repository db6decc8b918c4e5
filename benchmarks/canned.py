"""An endpoint that answers every request with the same 200, at a cost far below any client's.

Run as a module, it serves on loopback until its standard input ends, and answers each line read
there with what it has done so far. It reads of a request only what HTTP needs to find its end.
"""

import asyncio
import contextlib
import json
import sys
import time
from typing import Any, Self, cast

from benchmarks.child import Child

BODY = b'{"ok": true}'

_ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: %d\r\n"
    b"Connection: keep-alive\r\n"
    b"x-amzn-RequestId: 6f1a6d9c-5a0e-4b8e-9b0a-6d1f0c3a2b10\r\n"
    b"x-amzn-Remapped-Content-Length: 0\r\n"
    b"X-Amz-Executed-Version: $LATEST\r\n"
    b"X-Amzn-Trace-Id: root=1-65f2c0de-1a2b3c4d5e6f708192a3b4c5;sampled=0\r\n"
    b"\r\n%b" % (len(BODY), BODY)
)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class CannedEndpoint(Child):
    """The endpoint in a process of its own."""

    def __init__(self) -> None:
        super().__init__("canned")

    def __enter__(self) -> Self:
        super().__enter__()
        self.url: str = self.ask()["url"]
        return self

    def requests(self) -> int:
        """Return how many requests were answered so far."""
        return int(self.ask()["requests"])

    def cpu_seconds(self) -> float:
        """Return the CPU time that the endpoint's process has used."""
        return float(self.ask()["cpu_seconds"])


class _Connection(asyncio.Protocol):
    requests = 0

    def __init__(self) -> None:
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._body_received(len(data))
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return
        head, received = self._head[:end].lower(), len(self._head) - end - 4
        self._head = b""
        _, _, length = head.partition(b"\r\ncontent-length:")
        self._missing = int(length.split(b"\r\n", 1)[0]) if length else 0
        if b"\r\nexpect: 100-continue" in head:
            self._transport.write(_CONTINUE)
        self._body_received(received)

    def _body_received(self, size: int) -> None:
        # Nobody here sends a request before the last one is answered.
        self._missing -= size
        if not self._missing:
            _Connection.requests += 1
            self._transport.write(_ANSWER)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    while await loop.run_in_executor(None, sys.stdin.readline):
        done: dict[str, Any] = {
            "url": f"http://{host}:{port}",
            "requests": _Connection.requests,
            "cpu_seconds": time.process_time(),
        }
        print(json.dumps(done), flush=True)


def main() -> None:
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.run(_serve())
        return
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
