"""The phase of an attempt at the fake, however it ends, which determines `delivery`."""

import contextlib
import math
from typing import Any

import anyio
import pytest

from asyncinvoke import Delivery, Invoker, ServiceError, TransportError
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.local import (
    Answer,
    Close,
    Raw,
    Reset,
    Stall,
    Step,
    Streamed,
    Truncated,
    error,
    stream,
)
from asyncinvoke.testing import FakeLambda, InstantClock
from tests.doubles.handlers import echo

pytestmark = pytest.mark.anyio


class Spy:
    """A transport that records the progress and the results of attempts."""

    def __init__(self, fake: FakeLambda) -> None:
        self.fake = fake
        self.progress: Progress
        self.ended: Any = None

    async def send(self, parameters: InvokeParameters, payload: bytes, progress: Progress) -> Any:
        self.progress = progress
        self.ended = await self.fake.send(parameters, payload, progress)
        return self.ended

    async def open(self, parameters: InvokeParameters, payload: bytes, progress: Progress) -> Any:
        self.progress = progress
        self.ended = await self.fake.open(parameters, payload, progress)
        return self.ended


STEPS: dict[str, tuple[Step, Phase]] = {
    "answer": (Answer(), Phase.BODY_READ),
    "error": (error(500, "ServiceException"), Phase.BODY_READ),
    "reset": (Reset(), Phase.WRITTEN),
    # Its head was read by the other side, so all of it may have been read.
    "reset, not read": (Reset(read=False), Phase.WRITTEN),
    "close": (Close(), Phase.WRITTEN),
    "garbage": (Raw(), Phase.WRITTEN),
    "stall": (Stall(seconds=0), Phase.WRITTEN),
    "stall beyond patience": (Stall(), Phase.WRITTEN),
    "cut short": (Truncated(), Phase.HEAD_READ),
    "stream cut short": (Streamed(frames=(b"x",), ending="closed"), Phase.HEAD_READ),
}


@pytest.mark.parametrize("name", STEPS)
async def test_a_fault_is_met_where_it_happens(name: str) -> None:
    step, phase = STEPS[name]
    spy = Spy(FakeLambda({"f": echo}, read_timeout=0.01))
    spy.fake.fault(step)
    async with Invoker(transport=spy, clock=InstantClock()) as invoker:
        with contextlib.suppress(ServiceError, TransportError):
            await invoker.invoke("f")
    assert spy.progress.phase is phase
    if isinstance(spy.ended, Failure) and spy.ended.fault is not None:
        assert spy.ended.phase is phase
        assert phase.delivery is Delivery.UNKNOWN


async def test_a_stream_is_open_once_its_head_was_read() -> None:
    spy = Spy(FakeLambda({"f": echo}))
    spy.fake.fault(stream(b"one"))
    async with Invoker(transport=spy) as invoker, invoker.stream("f"):
        assert spy.progress.phase is Phase.HEAD_READ


async def test_a_call_cancelled_before_the_request_arrives_has_sent_nothing() -> None:
    spy = Spy(FakeLambda({"f": echo}))
    async with Invoker(transport=spy) as invoker:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await invoker.invoke("f")
    assert spy.progress.phase.delivery is Delivery.NOT_SENT
    assert spy.fake.statistics().invocations == 0
    assert spy.fake.requests == ()


async def test_a_call_cancelled_while_the_function_runs_has_sent_all() -> None:
    async def hang(event: Any, context: Any) -> None:
        scope.cancel()
        await anyio.sleep(math.inf)

    spy = Spy(FakeLambda({"f": hang}))
    async with Invoker(transport=spy) as invoker:
        with anyio.CancelScope() as scope:
            await invoker.invoke("f")
    assert spy.progress.phase is Phase.WRITTEN
    assert spy.fake.statistics().executions == spy.fake.statistics().invocations == 1
    assert spy.fake.statistics().in_flight == 0
