"""Stand-ins for what the engine is given: a clock whose sleep takes no time, scripted answers."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from asyncinvoke._engine.attempt import InvokeAttempt, Permits
from asyncinvoke._engine.execute import Executor
from asyncinvoke._engine.execution import Executions
from asyncinvoke._engine.options import Call
from asyncinvoke._limits.limit import FixedLimit
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._model.codec import decode_json
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply, Response
from asyncinvoke._request.parameters import InvokeParameters, checked
from asyncinvoke._retries.policy import Backoff, RetryPolicy
from asyncinvoke._statistics import Tally

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
    """A clock that moves only when somebody sleeps."""

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


class Script:
    """A transport that gives prepared answers in turn; a callable is awaited for its answer."""

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


@dataclass(kw_only=True)
class Engine:
    """An executor over a script, with all that a test wants to look at."""

    script: Script
    executor: Executor[Response]
    limiter: Limiter
    tally: Tally
    clock: FakeClock = field(default_factory=FakeClock)


def engine(*answers: Answer, limit: int = 1, clock: FakeClock | None = None) -> Engine:
    clock = FakeClock() if clock is None else clock
    script, limiter, tally = Script(answers), Limiter(FixedLimit(limit), clock=clock), Tally()
    permits = Permits(limiter, clock, tally)
    executions = Executions(clock=clock, tally=tally)
    executor = Executor(InvokeAttempt(script, permits), permits, executions)
    return Engine(script=script, executor=executor, limiter=limiter, tally=tally, clock=clock)


def call(
    policy: RetryPolicy | None = None,
    *,
    timeout: float | None = None,
    idempotent: bool = False,
    raise_on_function_error: bool = True,
    invocation_type: str = "RequestResponse",
    durable_execution_name: str | None = None,
) -> Call:
    return Call(
        parameters=checked(
            "work",
            qualifier="live",
            invocation_type=invocation_type,
            durable_execution_name=durable_execution_name,
        ),
        policy=RetryPolicy() if policy is None else policy,
        decode=decode_json,
        timeout=timeout,
        idempotent=idempotent,
        raise_on_function_error=raise_on_function_error,
    )


def every(backoff: Backoff) -> RetryPolicy:
    """Return a policy with the same backoff for every kind, refusals and the function's own errors included."""
    return RetryPolicy(
        throttled=backoff,
        not_ready=backoff,
        service=backoff,
        transport=backoff,
        function=backoff,
        rejected=backoff,
    )
