"""One execution: permit, attempt, verdict, wait, and again, until there is a response or an error.

A call that succeeds at once, as nearly all do, stays in one coroutine, `Engine.execute`, and makes
nothing but its permit, its progress and its response. The history, the classification and tenacity
come with the first failure. What that is worth stands in `docs/architecture.md`.
"""

import math
import time
from typing import Any

import anyio

from asyncinvoke._clock import SYSTEM_CLOCK, Clock
from asyncinvoke._engine.history import History, response
from asyncinvoke._engine.options import Call
from asyncinvoke._engine.waits import Waits
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._limits.permit import Permit
from asyncinvoke._limits.scopes import LimiterClosedError, PermitTimeoutError
from asyncinvoke._model.delivery import Delivery, Progress
from asyncinvoke._model.failure import Failure, FailureKind, TransportFault
from asyncinvoke._model.response import Attempt, Reply, Response
from asyncinvoke._retries.classify import FUNCTION_FAILED, Verdict, classify
from asyncinvoke._statistics import Tally
from asyncinvoke._transport.base import Transport
from asyncinvoke.errors import InvocationError

_ENDINGS = (TransportFault.INTERRUPTED, TransportFault.CLOSED)


def forget_frames(error: BaseException) -> None:
    """Let a cancellation, or an interrupt, keep no frames from further in.

    It may be what the caller's own `TimeoutError` was raised from, as `asyncio.timeout` does. Nobody
    needs to see then where we waited; but the frames there, the SDK's too, hold payload and keys.
    """
    if not isinstance(error, Exception):
        error.__traceback__ = None


class Engine:
    """Executes calls, and holds what the executions of an invoker share.

    Args:
        limiter: Gives the permits.
        clock: Tells the time, and sleeps.
        tally: Counts.
        waits: Ends whatever waits when the invoker is closed.
    """

    def __init__(self, limiter: Limiter, *, clock: Clock, tally: Tally, waits: Waits) -> None:
        self.limiter = limiter
        self.clock = clock
        self.tally = tally
        self.waits = waits
        self._is_real = clock is SYSTEM_CLOCK
        self._active = 0
        self._idle: anyio.Event | None = None

    async def execute(
        self, transport: Transport, call: Call, payload: bytes
    ) -> Response[Any] | InvocationError:
        """Execute a call; an error is returned, not raised. Only cancellation is raised."""
        clock, tally = self.clock, self.tally
        began = clock.monotonic()
        deadline = began + call.timeout
        history: History | None = None
        # As `begin`, `progress` and `over`, which streams call, but for the price of three calls.
        tally.calls += 1
        self._active += 1
        if call.balance is not None:
            call.balance.earn()
        try:
            while True:
                progress = Progress(deadline) if self._is_real else self.progress(deadline)
                async with self.limiter.permit(call.key, deadline=deadline) as permit:
                    tally.attempts += 1
                    started, sent = clock.time(), clock.monotonic()
                    answer = await transport.send(call.parameters, payload, progress)
                    elapsed = clock.monotonic() - sent
                    if isinstance(answer, Reply) and answer.function_error is None:
                        permit.admitted()
                        if history is None:
                            attempt = Attempt(
                                number=1,
                                waited=permit.waited,
                                started=started,
                                elapsed=elapsed,
                                status_code=answer.status_code,
                                request_id=answer.request_id,
                            )
                            return response(call, answer, (attempt,))
                        return history.responded(
                            answer, started=started, elapsed=elapsed, waited=permit.waited
                        )
                    verdict = self.end(permit, answer, call)
                if verdict is None:
                    continue
                if history is None:
                    history = History(call, began=began, deadline=deadline)
                ended = history.failed(
                    answer,
                    verdict,
                    started=started,
                    elapsed=elapsed,
                    waited=permit.waited,
                    now=clock.monotonic(),
                )
                if not isinstance(ended, float):
                    return ended
                await self.back_off(ended, deadline)
        except (PermitTimeoutError, LimiterClosedError) as refused:
            if history is None:
                history = History(call, began=began, deadline=deadline)
            return history.without_permit(refused, now=clock.monotonic())
        except BaseException as error:
            payload = b""  # whoever shows this frame shows no payload
            forget_frames(error)
            raise
        finally:
            self._active -= 1
            if self._idle is not None and not self._active:
                self._idle.set()

    def begin(self, call: Call) -> None:
        """Count an execution that begins."""
        self.tally.calls += 1
        self._active += 1
        if call.balance is not None:
            call.balance.earn()

    def over(self) -> None:
        """Count an execution that is over."""
        self._active -= 1
        if self._idle is not None and not self._active:
            self._idle.set()

    async def drained(self) -> None:
        """Wait until no execution is under way."""
        while self._active:
            if self._idle is None or self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()

    def progress(self, deadline: float) -> Progress:
        """Return the progress of a new attempt; its deadline is in the time of the machine."""
        return Progress(self._in_real_time(deadline))

    def end(self, permit: Permit, answer: Reply | Failure, call: Call) -> Verdict | None:
        """End the permit of an attempt that failed.

        Returns:
            What the failure means; `None` if there was no file for a connection while other
            attempts have theirs: that is no attempt, and the next permit waits for one of them.
        """
        if isinstance(answer, Reply):
            # A function that failed was admitted all the same.
            permit.admitted()
            return FUNCTION_FAILED
        if answer.fault is TransportFault.FILES and permit.out_of_files():
            self.tally.attempts -= 1
            return None
        verdict = classify(answer, now=self.clock.time())
        if answer.fault is TransportFault.FILES:
            return verdict
        if verdict.reason is not None:
            self.tally.throttles[verdict.reason] += 1
            permit.throttled(verdict.reason)
        elif self._holds_back(verdict, call) and answer.fault not in _ENDINGS:
            permit.unreachable()
        else:
            permit.ignored()
        return verdict

    async def back_off(self, seconds: float, deadline: float) -> None:
        """Wait before the next attempt.

        Raises:
            LimiterClosedError: The invoker was closed meanwhile.
            PermitTimeoutError: A busy machine woke up after the deadline.
        """
        is_over = False
        with self.waits.scope(self._in_real_time(deadline)):
            await self.clock.sleep(seconds)
            is_over = True
        if self.waits.is_closed:
            raise LimiterClosedError
        if not is_over:
            raise PermitTimeoutError(None)
        self.tally.retries += 1

    def _in_real_time(self, deadline: float) -> float:
        if self._is_real or deadline == math.inf:
            return deadline
        return time.monotonic() + deadline - self.clock.monotonic()

    @staticmethod
    def _holds_back(verdict: Verdict, call: Call) -> bool:
        if verdict.kind is not FailureKind.TRANSPORT or verdict.delivery is not Delivery.NOT_SENT:
            return False
        backoff = call.policy.backoff(verdict)
        return backoff is not None and backoff.holds_back
