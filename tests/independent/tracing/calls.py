"""Calls that the scripts in this folder make under a tracer, and facts about them.

`test_tracing.py` starts these scripts in the environment of `peers.TRACERS`, with the path of the
file for the facts.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from asyncinvoke import Invoker
from asyncinvoke._transport.interception import Interception
from asyncinvoke.local import throttle
from asyncinvoke.testing import InstantClock
from tests.doubles.fault_endpoint import FaultEndpoint

ONCE = AioConfig(retries={"total_max_attempts": 1})

Facts = dict[str, Any]
Span = dict[str, Any]


class Site:
    """A client, an invoker on it, and an endpoint that records request headers."""

    def __init__(self, endpoint: FaultEndpoint, client: Any, invoker: Invoker) -> None:
        self._endpoint = endpoint
        self._client = client
        self._invoker = invoker
        self._calls = 0

    async def call(self, spans: Sequence[Span]) -> Facts:
        """Call a new and a known function, in sequence and concurrently, and once again.

        Args:
            spans: The list to which the tracer adds ended spans.
        """
        self._calls += 1
        names = ["old", f"new-{self._calls}", "old", f"throttled-{self._calls}"]
        self._endpoint.script(names[-1], throttle())
        seen, known = len(spans), {name: len(self._endpoint.requests(name)) for name in names}
        for name in names:
            await self._invoker.invoke(name, {})
        await asyncio.gather(*(self._invoker.invoke("old", {}) for _ in range(3)))
        requests = [
            request
            for name in dict.fromkeys(names)
            for request in self._endpoint.requests(name)[known[name] :]
        ]
        return {
            "found": Interception(self._client).found(),
            "spans": list(spans[seen:]),
            "requests": [dict(request.headers) for request in requests],
            "payloads": [request.payload.decode() for request in requests],
        }


@contextlib.asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Site]:
    """Open a client, and an invoker on it with more options."""
    async with (
        FaultEndpoint() as endpoint,
        AioSession().create_client("lambda", endpoint_url=endpoint.url, config=ONCE) as client,
        Invoker(client, clock=InstantClock(), **options) as invoker,
    ):
        yield Site(endpoint, client, invoker)


async def call_function() -> list[str]:
    """Call the function that returns its trace header three times, at a real endpoint."""
    async with Invoker(endpoint_url=os.environ["FUNCTION_URL"]) as invoker:
        return [(await invoker.invoke("trace")).json() for _ in range(3)]


def run(script: Callable[[], Coroutine[Any, Any, Facts]]) -> None:
    """Run a script, and write its facts and the log messages of asyncinvoke."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(f"{record.levelname} {record.getMessage()}")  # type: ignore[method-assign]
    logger = logging.getLogger("asyncinvoke")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    facts = asyncio.run(script())
    # Messages about limits are ignored here.
    aside = [line for line in said if "calls go through" in line]
    Path(sys.argv[1]).write_text(json.dumps({**facts, "said": aside}), encoding="utf-8")
