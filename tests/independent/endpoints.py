"""The endpoints of the matrix: one without limits, others that refuse calls."""

import base64
import contextlib
import io
import json
import urllib.request
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asyncinvoke.local import LocalLambda

from .matrix import ACCOUNT, CHUNKS

HERE = Path(__file__).parent
FUNCTIONS = "/2015-03-31/functions"
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=any"}
FOREVER = 3600.0
NOTHING = 1e-9
"""A rate in requests per second, so low that no second request is accepted during the tests."""


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[dict[str, str]]:
    """Open all endpoints; yield their URLs by the names that the matrix uses."""
    endpoints = {
        "plain": LocalLambda(account_id=ACCOUNT),
        "managed": LocalLambda(account_id=ACCOUNT),
        "full": LocalLambda(account_id=ACCOUNT, account_concurrency=0),
        "rates": LocalLambda(account_id=ACCOUNT, limit_request_rate=True),
        "caller": LocalLambda(account_id=ACCOUNT, caller_rate=NOTHING),
        "settling": LocalLambda(account_id=ACCOUNT, settling_time=FOREVER),
    }
    _create_functions(endpoints["plain"])
    for name in ("managed", "full", "rates", "caller"):
        endpoints[name].function("echo", echo)
    endpoints["rates"].function("narrow", echo, reserved_concurrency=1)
    managed = endpoints["managed"].function(
        "tell", tell, timeout=7, memory_size=256, reserved_concurrency=5
    )
    managed.alias("live", managed.publish_version())
    endpoints["settling"].function("updating", echo)
    async with contextlib.AsyncExitStack() as stack:
        # A slow machine never reaches ten for each unit of concurrency.
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("asyncinvoke.local.limits.REQUESTS_PER_CONCURRENCY", NOTHING)
        for endpoint in endpoints.values():
            await stack.enter_async_context(endpoint)
        await anyio.to_thread.run_sync(_settle, endpoints["settling"].url)
        await anyio.to_thread.run_sync(
            _send, endpoints["caller"].url, "POST", f"{FUNCTIONS}/echo/invocations", {}
        )
        yield {name: endpoint.url for name, endpoint in endpoints.items()}


def _create_functions(local: LocalLambda) -> None:
    local.function("echo", echo)
    local.function("nothing", nothing)
    local.function("context", context)
    local.function("tenant", tenant)
    local.function("letters", letters)
    local.function("fail", fail)
    local.function("slow", slow, timeout=0.05)
    local.function("unserializable", unserializable)
    local.function("count", count)
    local.function("chunks", chunks)
    local.function("break", break_off)
    local.function("closed", echo, reserved_concurrency=0)
    local.function("say", "lambda_functions:echo", directory=HERE, timeout=30)
    local.function("leave", "lambda_functions:leave", directory=HERE, timeout=30)
    local.function("devour", "lambda_functions:devour", directory=HERE, timeout=30)
    versions = local.function("tell", tell)
    versions.alias("live", versions.publish_version())


def _settle(url: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.write(HERE / "lambda_functions.py", "lambda_functions.py")
    code = base64.b64encode(archive.getvalue()).decode()
    pending = {
        "FunctionName": "pending",
        "Role": f"arn:aws:iam::{ACCOUNT}:role/r",
        "Runtime": "python3.13",
    }
    pending |= {"Handler": "lambda_functions.echo"}
    _send(url, "POST", FUNCTIONS, {**pending, "Code": {"ZipFile": code}})
    _send(url, "PUT", f"{FUNCTIONS}/updating/configuration", {"Timeout": 9})


def _send(url: str, method: str, path: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(url + path, json.dumps(body).encode(), SIGNED, method=method)
    with urllib.request.urlopen(request, timeout=30):
        pass


async def echo(event: Any, context: Any) -> Any:
    """Answer with the event."""
    return event


async def nothing(event: Any, context: Any) -> None:
    """Return nothing."""


async def context(event: Any, context: Any) -> Any:
    """Return the client context's `custom` part."""
    return context.client_context.custom


async def tenant(event: Any, context: Any) -> Any:
    """Return the tenant ID."""
    return context.tenant_id


async def tell(event: Any, context: Any) -> str:
    """Return the ARN by which it was invoked."""
    arn: str = context.invoked_function_arn
    return arn


async def letters(event: int, context: Any) -> str:
    """Return a number of letters."""
    return "x" * event


async def fail(event: Any, context: Any) -> None:
    """Raise an exception."""
    raise LookupError(f"no {event}")


async def slow(event: Any, context: Any) -> None:
    """Run until the timeout."""
    await anyio.sleep_forever()


async def unserializable(event: Any, context: Any) -> Any:
    """Return what JSON cannot hold."""
    return {1}


async def count(event: int, context: Any) -> AsyncIterator[str]:
    """Yield a number of lines."""
    for number in range(event):
        yield f"{number + 1}\n"


async def chunks(event: Any, context: Any) -> AsyncIterator[bytes]:
    """Yield the chunks of the matrix."""
    for chunk in CHUNKS:
        yield chunk


async def break_off(event: Any, context: Any) -> AsyncIterator[str]:
    """Yield one piece, then fail."""
    yield "one"
    raise LookupError("no two")
