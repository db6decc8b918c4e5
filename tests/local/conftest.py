"""An endpoint for each test, and an independent plain HTTP client."""

import base64
import http.client
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from anyio import to_thread

from asyncinvoke import Invoker
from asyncinvoke.local import LocalLambda
from asyncinvoke.local.execution.environment import Environment
from asyncinvoke.testing import InstantClock
from tests.doubles.handlers import Gate, echo
from tests.doubles.sessions import SESSION
from tests.doubles.sockets import SIGNATURE

HANDLERS = """
import logging
import os
import sys
import time

print("importing")
calls = 0


def describe(event, context):
    global calls
    calls += 1
    client = context.client_context
    return {
        "event": event,
        "calls": calls,
        "pid": os.getpid(),
        "environ": dict(os.environ),
        "directory": os.getcwd(),
        "aws_request_id": context.aws_request_id,
        "function_name": context.function_name,
        "invoked_function_arn": context.invoked_function_arn,
        "memory_limit_in_mb": context.memory_limit_in_mb,
        "remaining": context.get_remaining_time_in_millis(),
        "custom": client.custom if client else None,
        "tenant_id": context.tenant_id,
    }


def speak(event, context):
    print("häl" * event.get("times", 1) + "lo")
    sys.stderr.write("to stderr\\n")
    logging.getLogger().warning("warned")


def fail(event, context):
    raise ValueError("no good")


def leave(event, context):
    os._exit(event)


def pause(event, context):
    time.sleep(event)
    return os.getpid()


def meet(event, context):
    open(event + ".begun", "a").write("x")
    while not os.path.exists(event):
        time.sleep(0.005)
    return os.getpid()


def letters(event, context):
    return "x" * event
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str | None, Any]:
        return self.status, self.headers.get("x-amzn-errortype"), self.json()

    @property
    def log(self) -> str:
        return base64.b64decode(self.headers["x-amz-log-result"]).decode(errors="replace")


def send(url: str, path: str, body: Any, headers: dict[str, str], method: str) -> Reply:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, path, body, {"Authorization": SIGNATURE, **headers})
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(status=response.status, headers=names, body=response.read())
    finally:
        connection.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def local() -> AsyncIterator[LocalLambda]:
    async with LocalLambda(keep_requests=1000) as local_lambda:
        yield local_lambda


@pytest.fixture
def functions(local: LocalLambda) -> None:
    """Register functions that echo their event, and one that streams."""
    local.function("echo", echo)
    local.function("other", echo)
    local.function("words", words)


async def words(event: Any, context: Any) -> AsyncIterator[bytes]:
    for word in (b"one ", b"two"):
        yield word


@pytest.fixture
async def invoker(local: LocalLambda) -> AsyncIterator[Invoker]:
    async with Invoker(session=SESSION, endpoint_url=local.url, clock=InstantClock()) as invoker:
        yield invoker


@pytest.fixture
def request_to() -> Callable[..., Awaitable[Reply]]:
    """Send one HTTP request as it is."""

    async def request(
        url: str,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        return await to_thread.run_sync(partial(send, url, path, body, headers or {}, method))

    return request


@pytest.fixture
def invoke(local: LocalLambda, request_to: Any) -> Callable[..., Awaitable[Reply]]:
    """Send one Invoke request; keywords become `X-Amz-` headers."""

    async def invoke(
        name: str, body: Any = b"", *, qualifier: str | None = None, **headers: str
    ) -> Reply:
        path = f"/2015-03-31/functions/{quote(name, safe='')}/invocations"
        if qualifier is not None:
            path += f"?Qualifier={quote(qualifier, safe='')}"
        spelled = {f"X-Amz-{key.replace('_', '-')}": value for key, value in headers.items()}
        reply: Reply = await request_to(local.url, path, body, headers=spelled)
        return reply

    return invoke


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> list[Environment]:
    """The execution environments of all invocations in worker processes, in order."""
    used: list[Environment] = []
    invoke = Environment.invoke

    async def spied(self: Environment, invocation: Any) -> Any:
        used.append(self)
        return await invoke(self, invocation)

    monkeypatch.setattr(Environment, "invoke", spied)
    return used


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def handlers(tmp_path: Path) -> Path:
    """Return a directory with a module of handlers for worker processes."""
    (tmp_path / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    return tmp_path
