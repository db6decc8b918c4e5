"""One execution: permit, attempt, verdict, wait, and again, until there is a response or an error.

A call that succeeds on the first attempt, as nearly all do, stays in one coroutine,
`Engine.execute`, and creates only its permit, its progress and its response. History,
classification and tenacity come into play with the first failure. `docs/architecture.md` shows what
this saves.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import anyio

from asyncinvoke._clock import SYSTEM_CLOCK, Clock
from asyncinvoke._engine.calls import Call
from asyncinvoke._engine.events import (
    attempt_ended,
    attempt_started,
    execution_ended,
    execution_started,
)
from asyncinvoke._engine.frames import forget_frames
from asyncinvoke._engine.history import ENDS, History
from asyncinvoke._engine.in_progress import InProgress
from asyncinvoke._engine.prepared import AttemptMarks
from asyncinvoke._engine.waits import Brake, NotStartedError, Waits, WaitScope
from asyncinvoke._limits.books import LimiterClosedError, PermitTimeoutError
from asyncinvoke._limits.limiter import Limiter, Permit
from asyncinvoke._model.delivery import Delivery, Phase, Progress
from asyncinvoke._model.failure import Failure, FailureKind, TransportFault
from asyncinvoke._model.response import Attempt, Reply, Response
from asyncinvoke._model.text import in_one_line
from asyncinvoke._retries.classify import FUNCTION_FAILED, Verdict, classify
from asyncinvoke._retries.decide import backoff_for
from asyncinvoke._statistics import Tally
from asyncinvoke._telemetry.attributes import log_given_up, log_retry
from asyncinvoke._telemetry.hooks import Hooks
from asyncinvoke._transport.base import Transport
from asyncinvoke.errors import InvocationError

_logger = logging.getLogger("asyncinvoke")

_Ended = TypeVar("_Ended", bound=Response[Any] | InvocationError)

Emitter: TypeAlias = tuple[Callable[[object], None] | None, Any]
"""The function that emits the events of one execution, and the execution's start event."""

_NO_EMITTER: Emitter = (None, None)

_LONGEST_REASON = 200
"""The maximum length of what a transport says about why nothing can be sent, in characters."""


class Engine:
    """Executes calls, and holds the state shared by all executions of an invoker.

    Args:
        limiter: Grants permits.
        clock: The source of time and sleep.
        tally: The counters.
        waits: Interrupts all waits when the invoker is closed.
        hooks: The hooks, if any.
        region: The region of functions whose name does not include one, if known.
    """

    def __init__(
        self,
        limiter: Limiter,
        *,
        clock: Clock,
        tally: Tally,
        waits: Waits,
        hooks: Hooks | None = None,
        region: str | None = None,
    ) -> None:
        self.limiter = limiter
        self.clock = clock
        self.tally = tally
        self.waits = waits
        self.hooks: Hooks | None = hooks or None
        self._region = region
        self._is_real = clock is SYSTEM_CLOCK
        self.in_progress: InProgress = InProgress()

    async def execute(
        self,
        transport: Transport,
        call: Call,
        payload: bytes,
        brake: Brake | None = None,
        marks: AttemptMarks | None = None,
    ) -> Response[Any] | InvocationError:
        """Execute a call. Errors are returned, not raised; only cancellation is raised.

        Raises:
            NotStartedError: The map was stopped, and the function certainly did not run.
            JournalError: An attempt cannot be marked.
        """
        clock, tally, in_progress = self.clock, self.tally, self.in_progress
        began = clock.monotonic()
        deadline = began + call.timeout
        history: History | None = None
        result: Response[Any] | InvocationError | None = None
        # Emits the events of this execution, and its start event; set only if a hook listens.
        emit: Callable[[object], None] | None = None
        execution: Any = None
        if self.hooks is not None:
            emit, execution = self.emitter_of(call)
        # `begin`, `progress` and `InProgress.end`, which streams call, are inlined to save the calls.
        tally.calls += 1
        in_progress.active += 1
        if call.balance is not None:
            call.balance.earn()
        try:
            if emit is not None:
                emit(execution)
            while True:
                if brake is not None and brake.is_on:
                    paused = clock.monotonic()
                    await self._hold(brake, deadline if history is not None else math.inf)
                    if history is None:  # the timeout excludes pauses, but not waits for permits
                        held = clock.monotonic() - paused
                        began += held
                        deadline += held
                progress = Progress(deadline) if self._is_real else self.progress(deadline)
                async with self.limiter.permit(call.key, deadline=deadline, owner=brake) as permit:
                    if brake is not None and (brake.is_on or not permit.is_held):
                        permit.unused()
                        continue
                    tally.attempts += 1
                    if history is not None:
                        tally.retries += 1
                    if emit is not None:
                        number = 1 if history is None else history.number + 1
                        emit(attempt_started(execution, number, permit.waited))
                    if marks is not None:
                        marks.begin(progress)
                    started, sent = clock.time(), clock.monotonic()
                    answer = await transport.send(call.parameters, payload, progress)
                    elapsed = clock.monotonic() - sent
                    if isinstance(answer, Reply) and answer.function_error is None:
                        permit.admitted()
                        if history is None:
                            attempt = Attempt(
                                1,
                                started,
                                elapsed,
                                permit.waited,
                                answer.status_code,
                                answer.request_id,
                            )
                            result = call.response(answer, (attempt,))
                        else:
                            result = history.responded(
                                answer, started=started, elapsed=elapsed, waited=permit.waited
                            )
                        counts = call.counts
                        counts.succeeded += 1
                        counts.latency += sent + elapsed - began
                        if emit is not None:
                            emit(attempt_ended(execution, result.attempts[-1]))
                        return result
                    verdict = self.end(permit, answer, call, is_retry=history is not None)
                if marks is not None:
                    marks.ended(did_not_run=verdict is None or not verdict.delivery.may_have_run)
                if verdict is None:
                    continue
                if history is None:
                    history = History(call, began=began, deadline=deadline)
                now = clock.monotonic()
                try:
                    ended = history.failed(
                        answer,
                        verdict,
                        started=started,
                        elapsed=elapsed,
                        waited=permit.waited,
                        now=now,
                    )
                finally:
                    if emit is not None:
                        emit(attempt_ended(execution, history.last))
                if not isinstance(ended, float):
                    result = self.ended(call, ended, now - began)
                    return result
                await self.back_off(call, history, ended, brake)
        except NotStartedError:
            if history is None or history.surely_did_not_run:
                raise
            now = clock.monotonic()
            result = self.ended(call, history.stopped(now=now), now - began)
            return result
        except (PermitTimeoutError, LimiterClosedError) as refused:
            if history is None:
                history = History(call, began=began, deadline=deadline)
            now = clock.monotonic()
            result = self.ended(call, history.without_permit(refused, now=now), now - began)
            return result
        except BaseException as error:
            payload = b""  # keeps it out of tracebacks
            if marks is not None and _is_cancelled(error):
                marks.cancelled()
            forget_frames(error)
            raise
        finally:
            in_progress.active -= 1
            if in_progress.changed is not None:
                in_progress.notify()
            if result is None:
                call.counts.ended(None)
            if emit is not None:
                payload = b""  # a hook may be interrupted
                elapsed = clock.monotonic() - began
                emit(execution_ended(execution, result, elapsed))

    def emitter_of(self, call: Call, *, streams: bool = False) -> Emitter:
        """Return the function that emits an execution's events, and its start event, if a hook listens."""
        hooks = self.hooks
        if hooks is None or not hooks.listen:
            return _NO_EMITTER
        parameters = call.parameters
        target = parameters.target
        region = target.region or self._region
        started = execution_started(target, region, parameters.invocation_type, streams)
        return hooks.emit, started

    @staticmethod
    def ended(call: Call, result: _Ended, elapsed: float) -> _Ended:
        """Count and log an execution that had at least one failed attempt; return its result."""
        call.counts.ended(result, elapsed)
        log_given_up(call.parameters.target, result)
        return result

    def begin(self, call: Call) -> None:
        """Count an execution that starts."""
        self.tally.calls += 1
        self.in_progress.begin()
        if call.balance is not None:
            call.balance.earn()

    def progress(self, deadline: float) -> Progress:
        """Return the progress of a new attempt; its deadline is on the system clock."""
        return Progress(self._in_real_time(deadline))

    def end(
        self, permit: Permit, answer: Reply | Failure, call: Call, *, is_retry: bool
    ) -> Verdict | None:
        """Release the permit of a failed attempt.

        Args:
            permit: The permit.
            answer: The result of the attempt.
            call: The call.
            is_retry: Whether it was not the first attempt of its execution.

        Returns:
            The meaning of the failure. `None` if no file descriptor was available while other
            attempts are in flight: this does not count as an attempt, and the next permit waits for
            one of them to end.
        """
        if isinstance(answer, Reply):
            # A function that failed was nevertheless admitted.
            permit.admitted()
            return FUNCTION_FAILED
        if answer.fault is TransportFault.FILES and permit.out_of_files():
            self.tally.attempts -= 1
            self.tally.retries -= is_retry
            return None
        verdict = classify(answer, now=self.clock.time())
        if answer.fault is TransportFault.FILES:
            return verdict
        if verdict.reason is not None:
            self.tally.throttles[verdict.reason] += 1
            permit.throttled(verdict.reason)
        elif self._holds_back(verdict, call) and answer.fault not in ENDS:
            # What a credential process prints is not logged.
            has_credentials = answer.phase is not Phase.CREDENTIALS
            why = answer.message if has_credentials else "credentials are not available"
            began = permit.unreachable(in_one_line(why, _LONGEST_REASON))
            verdict = replace(verdict, outage_began=began)
        elif answer.fault is None or answer.phase is Phase.BODY_READ:
            permit.answered()
        else:
            permit.ignored()
        return verdict

    async def back_off(
        self, call: Call, history: History, seconds: float, brake: Brake | None = None
    ) -> None:
        """Log a failed attempt, and wait before the next one, or until it is clear that there is none.

        Args:
            call: The call.
            history: Its attempts so far.
            seconds: The wait before the next one.
            brake: The brake of the map that it belongs to, if any.

        Raises:
            LimiterClosedError: The invoker was closed in the meantime.
            PermitTimeoutError: The event loop woke up after the deadline.
        """
        if _logger.isEnabledFor(logging.DEBUG):
            log_retry(call.parameters.target, history.last)
        is_over = False
        with WaitScope(self.waits, self._in_real_time(history.deadline)):
            if brake is None:
                await self.clock.sleep(seconds)
            else:
                await brake.sleep(self.clock, seconds)
            is_over = True
        if self.waits.is_closed:
            raise LimiterClosedError
        if not is_over:
            raise PermitTimeoutError(None)

    async def _hold(self, brake: Brake, deadline: float) -> None:
        """Wait while a map is paused.

        Raises:
            LimiterClosedError: The invoker was closed in the meantime.
            PermitTimeoutError: The map was still paused at the deadline.
        """
        is_over = False
        with WaitScope(self.waits, self._in_real_time(deadline)):
            await brake.wait()
            is_over = True
        if self.waits.is_closed:
            raise LimiterClosedError
        if not is_over:
            raise PermitTimeoutError("the map is paused")

    def _in_real_time(self, deadline: float) -> float:
        if self._is_real or deadline == math.inf:
            return deadline
        return time.monotonic() + deadline - self.clock.monotonic()

    @staticmethod
    def _holds_back(verdict: Verdict, call: Call) -> bool:
        if verdict.kind is not FailureKind.TRANSPORT or verdict.delivery is not Delivery.NOT_SENT:
            return False
        backoff = backoff_for(call.policy, verdict)
        return backoff is not None and backoff.holds_back


def _is_cancelled(error: BaseException) -> bool:
    # Without an event loop, as when its coroutine is closed, there is no class to ask for.
    return not isinstance(error, GeneratorExit) and isinstance(
        error, anyio.get_cancelled_exc_class()
    )
