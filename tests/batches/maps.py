"""Maps in batches over a transport without a network, which records every batch."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import anyio.lowlevel

from asyncinvoke import Batch, MapRun
from asyncinvoke._engine.batch_work import BatchWork
from asyncinvoke._engine.batcher import Batcher
from asyncinvoke._engine.map_block import open_run
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.base import Stream
from tests.doubles.engine import FakeClock, engine, item_work

SOON = 60.0
"""Timeout in seconds of tests that detect a hang; never reached otherwise."""


class ManualClock(FakeClock):
    """A clock whose sleeps end when a test advances it."""

    def __init__(self) -> None:
        super().__init__()
        self._moved = anyio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.now + seconds
        while self.now < until:
            await self._moved.wait()

    def move(self, seconds: float) -> None:
        self.now += seconds
        moved, self._moved = self._moved, anyio.Event()
        moved.set()


class Function:
    """A transport that answers batches by a given function; by default it echoes."""

    def __init__(self, answer: Callable[[Any], Any] = lambda payload: payload) -> None:
        self._answer = answer
        self.sent: list[tuple[InvokeParameters, Any]] = []
        self.gate: anyio.Event | None = None
        self.pauses = 0

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        batch = json.loads(payload)
        self.sent.append((parameters, batch))
        progress.phase = Phase.WRITTEN
        for _ in range(1 + len(self.sent) % (self.pauses + 1)):
            await anyio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        answer = self._answer(batch)
        if isinstance(answer, Reply | Failure):
            return answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return Reply(status_code=200, payload=body, request_id=f"id-{len(self.sent)}")

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        raise NotImplementedError

    @property
    def batches(self) -> list[Any]:
        return [batch for _, batch in self.sent]

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


def batched(
    function: Function,
    payloads: object,
    batch: Batch,
    *,
    concurrency: int = 2,
    ordered: bool = False,
    clock: FakeClock | None = None,
    key: Any = None,
    **options: Any,
) -> AbstractAsyncContextManager[MapRun]:
    """Return a map in batches over a function."""
    scripted = engine(limit=1_000, clock=clock)
    scripted.script = function  # type: ignore[assignment]  # only its `send` is used
    work = item_work(scripted, options, key=key)
    return open_run(
        payloads,
        work,
        concurrency=concurrency,
        ordered=ordered,
        stop_condition=work.stop_condition,
        brake=work.brake,
        clock=scripted.clock,
        batcher=Batcher(BatchWork(work, batch), clock=scripted.clock),
    )
