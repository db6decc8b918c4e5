"""An endpoint in the test's event loop, and commands to run against it."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda
from tests.doubles.forked import run_forked

from .processes import Ended, Run


@pytest.fixture
def anyio_backend() -> str:
    # The processes run their own event loops; the test's loop makes no difference.
    return "asyncio"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    async def run(*arguments: str, stdin: bytes = b"", **environment: str) -> Ended:
        env = {**os.environ, "COLUMNS": "80", **environment}
        return await run_forked("-m", "asyncinvoke", *arguments, stdin=stdin, cwd=tmp_path, env=env)

    return run


async def echo(event: Any, context: Any) -> Any:
    return {"got": event}


async def fail(event: Any, context: Any) -> Any:
    raise ValueError("two\nlines and \x1b[31mred")


async def block(event: Any, context: Any) -> Any:
    if event.get("block"):
        await anyio.sleep_forever()
    return {"got": event}


@pytest.fixture
async def endpoint(anyio_backend: str) -> AsyncIterator[LocalLambda]:
    async with LocalLambda() as local:
        local.function("echo", echo)
        local.function("fail", fail)
        local.function("block", block, timeout=60)
        yield local
