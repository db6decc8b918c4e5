"""Runs the examples of pages in order: `python -m tests.telemetry.run_page PAGE...`.

The environment leads them to an endpoint on loopback. Each runs as a program of its own would, but
without the time to start a process.
"""

import ast
import asyncio
import inspect
import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, ClassVar
from urllib.request import Request, urlopen

from anyio.from_thread import start_blocking_portal

from asyncinvoke.local import LocalLambda

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[str]:
    """Return the examples of a page."""
    return BLOCK.findall(page.read_text("utf-8"))


def run(page: Path) -> int:
    """Run them; return the number of failures."""
    failed = 0
    for number, block in enumerate(blocks(page)):
        try:
            run_block(block, f"{page.name}[{number}]")
        except BaseException:
            traceback.print_exc()
            failed += 1
        else:
            sys.stdout.write(f"{page.name} {number} ran\n")
    return failed


def run_block(block: str, name: str) -> None:
    """Run one example as the main module, or as a notebook cell if it awaits outside functions."""
    code: CodeType = compile(block, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    module = ModuleType("__main__")
    before, sys.modules["__main__"] = sys.modules["__main__"], module
    try:
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(FunctionType(code, vars(module))())
        else:
            exec(code, vars(module))
    finally:
        sys.modules["__main__"] = before


class Bucket(BaseHTTPRequestHandler):
    """The part of S3 that puts and gets objects."""

    protocol_version = "HTTP/1.1"
    objects: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        self.objects[self._key] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"")

    def do_GET(self) -> None:
        found = self.objects.get(self._key)
        self._answer(404 if found is None else 200, found or b"")

    @property
    def _key(self) -> str:
        return self.path.partition("?")[0]

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving_a_bucket() -> Iterator[str]:
    """Serve it on loopback; yield the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def mirror(event: Any, _: object) -> Any:
    """Mirror pixels, claimed as on the page of recipes, but without boto3."""
    url = os.environ["AWS_ENDPOINT_URL_S3"]
    if "claim" in event:
        with urlopen(f"{url}/claims/{event['claim']}") as found:
            event = json.loads(found.read())
    answer = {"pixels": event["pixels"][::-1]}
    body = json.dumps(answer).encode()
    if len(body) <= 6_000_000:
        return answer
    with urlopen(Request(f"{url}/claims/answer", data=body, method="PUT")):
        return {"claim": "answer"}


def main() -> None:
    """Serve the functions that examples invoke, and run them."""
    local = LocalLambda()
    local.function("resize", lambda event, _: {"url": f"thumbs/{(event or {}).get('key')}"})
    local.function("mirror", mirror)
    with (
        serving_a_bucket() as bucket,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(local),
    ):
        os.environ.update(
            AWS_ENDPOINT_URL_S3=bucket,
            AWS_ENDPOINT_URL_LAMBDA=local.url,
            AWS_ACCESS_KEY_ID="test-key",
            AWS_SECRET_ACCESS_KEY="test-secret",
            AWS_DEFAULT_REGION="eu-west-1",
        )
        failed = sum(run(Path(each)) for each in sys.argv[1:])
    sys.exit(failed)


if __name__ == "__main__":
    main()
