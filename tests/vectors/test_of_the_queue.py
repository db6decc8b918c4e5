"""Every recorded end of an Event: the record or dead letter that the endpoint delivers."""

from functools import partial
from typing import Any

import anyio
import pytest
from anyio import to_thread

from asyncinvoke.local import EventConfig, LocalLambda

from . import functions
from .raw import exchange, invoke_path, request
from .recorded import EVENT
from .recorded_queue import RECORDS, QueueVector
from .vector import as_json, matches


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector.name) for vector in RECORDS])
async def test_an_event_ends_as_recorded(vector: QueueVector) -> None:
    given: list[Any] = []
    ended = anyio.Event()

    def take(value: Any) -> None:
        given.append(value)
        ended.set()

    config: dict[str, Any] = {vector.receiver: take, **vector.config}
    async with LocalLambda(event_time_scale=0.001) as local:
        handler = getattr(functions, vector.handler)
        local.function("f", handler, events=EventConfig(**config), **vector.options)
        sent = request("POST", invoke_path("f"), b'{"order":7}', EVENT)
        (answer,) = await to_thread.run_sync(partial(exchange, local.url, sent))
        with anyio.fail_after(20):
            await ended.wait()
    assert answer.status == 202
    known = {"id": dict(answer.headers)["x-amzn-RequestId"]}
    assert [matches(as_json(vector.expected), as_json(value), **known) for value in given] == [True]
