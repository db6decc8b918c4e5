"""Doubles for the engine: a clock whose sleep takes no time, and scripted answers."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel

from asyncinvoke._engine.calls import Call, Calls, Defaults
from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.item import ItemWork
from asyncinvoke._engine.waits import Waits, guarded
from asyncinvoke._limits.limit import FixedLimit
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply, Response, decode_json
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._request.payload import encode_json
from asyncinvoke._retries.policy import Backoff, RetryPolicy
from asyncinvoke._statistics import Tally
from asyncinvoke._transport.base import Stream
from asyncinvoke.errors import InvocationError

OK = Reply(status_code=200, payload=b'"done"', request_id="ok-1")
FAILED = Reply(
    status_code=200,
    payload=b'{"errorType": "Busy", "errorMessage": "come back"}',
    function_error="Unhandled",
    request_id="failed-1",
)
THROTTLED = Failure(
    status_code=429,
    code="TooManyRequestsException",
    message="Rate Exceeded.",
    reason="ConcurrentInvocationLimitExceeded",
    request_id="throttled-1",
)
NOT_READY = Failure(status_code=409, code="SnapStartNotReadyException", message="soon")
SERVICE = Failure(status_code=500, code="ServiceException", message="oops")
REJECTED = Failure(status_code=404, code="ResourceNotFoundException", message="no such function")
REFUSED = Failure(fault=TransportFault.CONNECT, phase=Phase.CONNECTING, message="refused")
LOST = Failure(
    fault=TransportFault.CONNECTION_LOST, message="reset", cause=ConnectionResetError("reset")
)


class FakeClock:
    """A clock that advances only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def time(self) -> float:
        return 1_700_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()
        self.now += seconds


class StuckClock(FakeClock):
    """A clock on which a sleep never ends."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = anyio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep.set()
        await anyio.sleep_forever()


Answer = Reply | Failure | Callable[[], Awaitable[Reply | Failure]]


class ScriptedTransport:
    """A transport that returns prepared answers in turn; a callable is called and awaited."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers = iter(answers)
        self.sent: list[tuple[InvokeParameters, bytes]] = []

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        self.sent.append((parameters, payload))
        progress.phase = Phase.WRITTEN
        await anyio.lowlevel.checkpoint()
        answer = next(self._answers)
        return answer if isinstance(answer, Reply | Failure) else await answer()

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        raise NotImplementedError


@dataclass(kw_only=True)
class ScriptedEngine:
    """An engine over a scripted transport, with its parts for tests to inspect."""

    script: ScriptedTransport
    engine: Engine
    limiter: Limiter
    tally: Tally
    waits: Waits
    clock: FakeClock

    async def execute(self, wanted: Call, payload: bytes) -> Response | InvocationError:
        return await self.engine.execute(guarded(self.script, self.waits), wanted, payload)


def engine(*answers: Answer, limit: int = 1, clock: FakeClock | None = None) -> ScriptedEngine:
    clock = FakeClock() if clock is None else clock
    script, limiter, tally = (
        ScriptedTransport(answers),
        Limiter(FixedLimit(limit), clock=clock),
        Tally(),
    )
    waits = Waits()
    return ScriptedEngine(
        script=script,
        engine=Engine(limiter, clock=clock, tally=tally, waits=waits),
        limiter=limiter,
        tally=tally,
        waits=waits,
        clock=clock,
    )


def call(policy: RetryPolicy | None = None, **options: Any) -> Call:
    defaults = Defaults(decode=decode_json, retry=RetryPolicy())
    return Calls(defaults).check("work", {"qualifier": "live", "retry": policy, **options})


def item_work(scripted: ScriptedEngine, options: Any, *, key: Any = None) -> ItemWork:
    """Return the work of a map over the engine."""
    return ItemWork(
        scripted.engine,
        guarded(scripted.script, scripted.waits),
        Calls(Defaults(decode=decode_json, retry=RetryPolicy())),
        function_name="work",
        options=options,
        key=key,
        encode=encode_json,
    )


def every(backoff: Backoff) -> RetryPolicy:
    """Return a policy with the same backoff for every kind of failure."""
    return RetryPolicy(
        throttled=backoff,
        not_ready=backoff,
        service=backoff,
        transport=backoff,
        function=backoff,
        rejected=backoff,
    )
