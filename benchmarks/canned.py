"""An endpoint that returns the same 200 to every request, at a far lower cost than any client.

Run as a module, it serves on loopback until its standard input is closed, and answers each line read
there with its counts so far. Of a request it parses only what is needed to find its end, and the
function's name: some names have other answers (`canned_answers.py`).
"""

import argparse
import asyncio
import contextlib
import json
import ssl
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from benchmarks.canned_answers import BY_NAME, OK, THROTTLED, stream
from benchmarks.child import Child
from tests.doubles.certificates import make_certificate

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class CannedEndpoint(Child):
    """The endpoint in a separate process.

    Args:
        tls: Whether to serve TLS, with a newly generated certificate.
        function_ms: The delay of each answer, in milliseconds.
        stream_bytes: The size of a response stream in bytes; 0 for no streams.
        chunk_bytes: The size of one event of the stream in bytes.
    """

    def __init__(
        self,
        *,
        tls: bool = False,
        function_ms: int = 0,
        stream_bytes: int = 0,
        chunk_bytes: int = 16_384,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        arguments = [f"--function-ms={function_ms}"]
        arguments += [f"--stream-bytes={stream_bytes}", f"--chunk-bytes={chunk_bytes}"]
        self.environment: dict[str, str] = {}
        """What its clients need in their environment."""
        if tls:
            certificate, key = make_certificate(Path(self._folder.name))
            arguments += [f"--certificate={certificate}", f"--key={key}"]
            self.environment["AWS_CA_BUNDLE"] = str(certificate)
        super().__init__("canned", *arguments)

    def __enter__(self) -> Self:
        super().__enter__()
        self.url: str = self.ask()["url"]
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc, traceback)
        self._folder.cleanup()

    def requests(self) -> int:
        """Return the number of requests answered so far."""
        return int(self.ask()["requests"])

    def cpu_seconds(self) -> float:
        """Return the CPU time used by the endpoint's process."""
        return float(self.ask()["cpu_seconds"])

    def throttle(self, requests: int) -> None:
        """Reject the next `count` requests with `CallerRateLimitExceeded`."""
        self.ask(throttle=requests)


class _Connection(asyncio.Protocol):
    requests = 0
    throttled = 0
    delay = 0.0
    streamed = b""

    def __init__(self) -> None:
        self._head = b""
        self._missing = 0
        self._answer: bytes | None = OK

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
        # POST /2015-03-31/functions/NAME/invocations, behind the origin where httpx sends it
        name, operation = head.partition(b"/functions/")[2].split(b"/", 2)[:2]
        self._answer = BY_NAME.get(name, OK)
        if operation.startswith(b"response-streaming"):
            self._answer = self.streamed
        _, _, length = head.partition(b"\r\ncontent-length:")
        self._missing = int(length.split(b"\r\n", 1)[0]) if length else 0
        if b"\r\nexpect: 100-continue" in head:
            self._transport.write(_CONTINUE)
        self._body_received(received)

    def _body_received(self, size: int) -> None:
        # Nobody here sends a request before the last one is answered.
        self._missing -= size
        if self._missing:
            return
        _Connection.requests += 1
        if _Connection.throttled:
            _Connection.throttled -= 1
            self._answer = THROTTLED
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self._write)
        else:
            self._write()

    def _write(self) -> None:
        if self._answer:
            self._transport.write(self._answer)
        elif self._answer is not None:
            self._transport.close()


async def _serve(context: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024, ssl=context)
    host, port = server.sockets[0].getsockname()
    scheme = "http" if context is None else "https"
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _Connection.throttled = json.loads(line).get("throttle", _Connection.throttled)
        done: dict[str, Any] = {
            "url": f"{scheme}://{host}:{port}",
            "requests": _Connection.requests,
            "cpu_seconds": time.process_time(),
        }
        print(json.dumps(done), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--function-ms", type=int, default=0)
    parser.add_argument("--stream-bytes", type=int, default=0)
    parser.add_argument("--chunk-bytes", type=int, default=0)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    options = parser.parse_args()
    _Connection.delay = options.function_ms / 1000
    if options.stream_bytes:
        _Connection.streamed = stream(options.stream_bytes, options.chunk_bytes)
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.run(_serve(context))
        return
    asyncio.run(_serve(context))


if __name__ == "__main__":
    main()
