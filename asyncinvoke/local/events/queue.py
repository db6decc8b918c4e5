"""The Event queue: runs accepted Events, retries failures, and reports outcomes.

It belongs to the endpoint's loop. A waiting Event is a timer rather than a task, so that a long queue
costs little.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from anyio.abc import TaskGroup

from asyncinvoke.local.counters import Counters
from asyncinvoke.local.events import destinations
from asyncinvoke.local.execution.calling import RaisedError, carrying
from asyncinvoke.local.execution.invocation import Invocation, Result
from asyncinvoke.local.functions.event_config import Destination, EventConfig
from asyncinvoke.local.limits import Admission


@dataclass(frozen=True, slots=True, kw_only=True)
class EventProgress:
    """The progress of an Event: a run ended, it was throttled, or it left the queue."""

    function_name: str
    """The function."""
    request_id: str
    """The request id, the same for all runs."""
    runs: int
    """The number of finished runs."""
    function_error: str | None
    """The function error of the last run; None if it succeeded, or there was none."""
    condition: str | None
    """The outcome, such as `Success` or `RetriesExhausted`; None if there will be another try."""
    delay: float | None
    """Seconds until the next try; None if it has left the queue."""
    payload: bytes = field(repr=False)
    """The response of the last run."""


ProgressListener: TypeAlias = Callable[[EventProgress], None]
"""Called on the endpoint's loop; must neither block nor raise."""

THROTTLE_DELAYS = (1.0, 300.0)
"""Minimum and maximum seconds until a throttled Event is retried (AWS's documentation)."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Event:
    invocation: Invocation
    """The invocation, the same for all runs."""
    config: EventConfig
    """The configuration of its function at its arrival."""
    arrived: float
    """The time of its acceptance."""
    runs: int = 0
    """The number of finished runs."""
    refusals: int = 0
    """The number of tries that were throttled, or that failed in the endpoint."""
    result: Result | None = None
    """The result of the last run."""


class EventQueue:
    """The accepted Events of all functions.

    Args:
        admission: Admits runs.
        execute: Runs an admitted invocation and releases its permit; returns None if it could not.
        exists: Returns whether the version of an invocation has not been deleted.
        tasks: The task group of runs and deliveries.
        counters: The counters of waiting and dropped Events.
        time_scale: Real seconds per second of the queue.
        on_progress: Called after each run of an Event, and when it leaves the queue.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        execute: Callable[[Invocation], Awaitable[Result | None]],
        exists: Callable[[Invocation], bool],
        tasks: TaskGroup,
        counters: Counters,
        time_scale: float,
        on_progress: ProgressListener | None = None,
    ) -> None:
        self._admission = admission
        self._execute = execute
        self._exists = exists
        self._tasks = tasks
        self._counters = counters
        self._time_scale = time_scale
        self._on_progress = on_progress
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[_Event] = asyncio.Queue()
        tasks.start_soon(self._try_again)
        self._timers: dict[_Event, asyncio.TimerHandle | None] = {}
        self._is_open = True

    def put(self, invocation: Invocation, config: EventConfig, *, delay: float = 0.0) -> None:
        """Accept an Event, and run it if it is admitted.

        Args:
            invocation: The invocation.
            config: The configuration of its retries and destinations.
            delay: Seconds, not scaled, until its first run.
        """
        event = _Event(invocation, config, time.monotonic())
        self._timers[event] = None
        if delay:
            self._wait(event, delay / self._time_scale)
        else:
            self._try(event)

    def close(self) -> None:
        """Drop and count all unfinished Events."""
        self._is_open = False
        for event in [*self._timers]:
            self._drop(event)

    def _drop(self, event: _Event) -> None:
        name, timer = event.invocation.function_name, self._timers.pop(event)
        self._counters.add(name, events_dropped=1, events_waiting=-int(timer is not None))
        if timer is not None:
            timer.cancel()

    def _try(self, event: _Event) -> None:
        name = event.invocation.function_name
        if not self._exists(event.invocation):
            self._drop(event)
        elif self._time_left(event) <= 0:
            self._end(event, "EventAgeExceeded")
        elif self._admission.reserved(name) == 0:
            self._end(event, "ZeroReservedConcurrency")
        elif self._admission.admit(name, time.monotonic()) is not None:
            self._back_off(event)
        else:
            self._tasks.start_soon(self._run, event)

    async def _run(self, event: _Event) -> None:
        # Decoded anew for each run: a handler may change its event.
        decoded = json.loads(event.invocation.payload)
        result = await self._execute(replace(event.invocation, event=decoded))
        if result is None:
            self._back_off(event)
            return
        event.runs += 1
        event.result = result
        if result.function_error is None:
            self._end(event, "Success")
        elif event.runs > event.config.maximum_retry_attempts:
            self._end(event, "RetriesExhausted")
        else:
            self._wait(event, event.config.retry_delays[event.runs - 1])

    def _back_off(self, event: _Event) -> None:
        first, most = THROTTLE_DELAYS
        # The exponent is limited because an Event may be throttled thousands of times.
        delay = min(most, first * 2.0 ** min(event.refusals, 10))
        event.refusals += 1
        self._wait(event, delay)

    def _report(self, event: _Event, condition: str | None, delay: float | None) -> None:
        if self._on_progress is None:
            return
        result = event.result
        self._on_progress(
            EventProgress(
                function_name=event.invocation.function_name,
                request_id=event.invocation.request_id,
                runs=event.runs,
                function_error=None if result is None else result.function_error,
                condition=condition,
                delay=delay,
                payload=b"" if result is None else result.payload,
            )
        )

    def _wait(self, event: _Event, delay: float) -> None:
        if not self._is_open:
            return
        self._counters.add(event.invocation.function_name, events_waiting=1)
        seconds = max(0.0, min(delay * self._time_scale, self._time_left(event)))
        self._timers[event] = self._loop.call_later(seconds, self._ready.put_nowait, event)
        if event.runs or event.refusals:
            self._report(event, None, seconds)

    async def _try_again(self) -> None:
        # A timer callback runs outside of any task, where anyio cannot start one.
        while True:
            event = await self._ready.get()
            self._timers[event] = None
            self._counters.add(event.invocation.function_name, events_waiting=-1)
            self._try(event)

    def _time_left(self, event: _Event) -> float:
        limit = event.config.maximum_event_age * self._time_scale
        return event.arrived + limit - time.monotonic()

    def _end(self, event: _Event, condition: str) -> None:
        if not self._is_open:
            return
        del self._timers[event]
        self._report(event, condition, None)
        invocation, config, result = event.invocation, event.config, event.result
        succeeded = condition == "Success"
        destination = config.on_success if succeeded else config.on_failure
        if destination is not None:
            value = destinations.record(
                invocation, condition=condition, runs=event.runs, result=result
            )
            self._tasks.start_soon(self._deliver, invocation, destination, value)
        if config.dead_letter is not None and not succeeded:
            letter = destinations.dead_letter(invocation, result)
            self._tasks.start_soon(self._deliver, invocation, config.dead_letter, letter)

    @staticmethod
    async def _deliver(
        invocation: Invocation, destination: Destination, value: dict[str, Any]
    ) -> None:
        try:
            with carrying():
                await destinations.deliver(destination, value)
        except (Exception, SystemExit) as raised:  # noqa: BLE001  # an error of a destination must not end the endpoint
            error = raised.error if isinstance(raised, RaisedError) else raised
            _logger.warning(
                "a destination of %s failed: %s", invocation.function_name, type(error).__name__
            )
