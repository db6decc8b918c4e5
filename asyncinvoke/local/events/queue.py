"""The Event queue: runs accepted Events, retries failures, and reports how each ended.

Lives on the endpoint's loop. An Event that waits is a timer and no task, so that a long queue
costs little.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from anyio.abc import TaskGroup

from asyncinvoke.local.counters import Counters
from asyncinvoke.local.events import destinations
from asyncinvoke.local.execution.calling import RaisedError, carrying
from asyncinvoke.local.execution.invocation import Invocation, Result
from asyncinvoke.local.functions.event_config import Destination, EventConfig
from asyncinvoke.local.limits.admission import Admission


@dataclass(frozen=True, slots=True, kw_only=True)
class EventProgress:
    """What has become of an Event: a run of it ended, it was throttled, or it has ended."""

    function_name: str
    """The function."""
    request_id: str
    """Its request id, the same for all runs."""
    runs: int
    """Runs that ended so far."""
    function_error: str | None
    """How the last run failed; None if it did not, or there was none."""
    condition: str | None
    """How the Event ended, such as `Success` or `RetriesExhausted`; None if it is tried again."""
    delay: float | None
    """Seconds until it is tried again; None if it has ended."""
    payload: bytes = field(repr=False)
    """What the last run answered."""


ProgressListener: TypeAlias = Callable[[EventProgress], None]
"""Called on the endpoint's loop; must neither block nor raise."""

THROTTLE_DELAYS = (1.0, 300.0)
"""Least and most seconds until a throttled Event is tried again (AWS's documentation)."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Event:
    invocation: Invocation
    """What it runs, the same for all runs."""
    config: EventConfig
    """Its function's configuration when it arrived."""
    arrived: float
    """When it was accepted."""
    runs: int = 0
    """Runs that ended."""
    refusals: int = 0
    """Tries that were throttled, or that the endpoint failed."""
    result: Result | None = None
    """How the last run ended."""


class EventQueue:
    """The accepted Events of all functions.

    Args:
        admission: Where a run's permit comes from.
        execute: Runs an admitted invocation and gives back its permit; None if it could not run.
        tasks: Where runs and deliveries live.
        counters: Where waiting and dropped Events are counted.
        time_scale: What one second of AWS takes here, in seconds.
        on_progress: Called when a run of an Event has ended, or the Event.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        execute: Callable[[Invocation], Awaitable[Result | None]],
        tasks: TaskGroup,
        counters: Counters,
        time_scale: float,
        on_progress: ProgressListener | None = None,
    ) -> None:
        self._admission = admission
        self._execute = execute
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
        """Accept an Event, and run it if there is a permit.

        Args:
            invocation: What to run.
            config: How to treat it.
            delay: Seconds, not scaled, until it may run first.
        """
        event = _Event(invocation, config, time.monotonic())
        self._timers[event] = None
        if delay:
            self._wait(event, delay / self._time_scale)
        else:
            self._try(event)

    def close(self) -> None:
        """Drop and count every Event that has not ended."""
        self._is_open = False
        for event, timer in self._timers.items():
            name, waiting = event.invocation.function_name, timer is not None
            self._counters.add(name, events_dropped=1, events_waiting=-int(waiting))
            if timer is not None:
                timer.cancel()
        self._timers.clear()

    def _try(self, event: _Event) -> None:
        name = event.invocation.function_name
        if self._left(event) <= 0:
            self._end(event, "EventAgeExceeded")
        elif self._admission.reserved(name) == 0:
            self._end(event, "ZeroReservedConcurrency")
        elif self._admission.admit(name, time.monotonic()) is not None:
            self._refused(event)
        else:
            self._tasks.start_soon(self._run, event)

    async def _run(self, event: _Event) -> None:
        result = await self._execute(event.invocation)
        if result is None:
            self._refused(event)
            return
        event.runs += 1
        event.result = result
        if result.function_error is None:
            self._end(event, "Success")
        elif event.runs > event.config.maximum_retry_attempts:
            self._end(event, "RetriesExhausted")
        else:
            self._wait(event, event.config.retry_delays[event.runs - 1])

    def _refused(self, event: _Event) -> None:
        first, most = THROTTLE_DELAYS
        # The exponent is cut because the queue may hold an Event for thousands of tries.
        delay = min(most, first * 2.0 ** min(event.refusals, 10))
        event.refusals += 1
        self._wait(event, delay)

    def _tell(self, event: _Event, condition: str | None, delay: float | None) -> None:
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
        seconds = max(0.0, min(delay * self._time_scale, self._left(event)))
        self._timers[event] = self._loop.call_later(seconds, self._ready.put_nowait, event)
        if event.runs or event.refusals:
            self._tell(event, None, seconds)

    async def _try_again(self) -> None:
        # A timer's callback belongs to no task, and only within one can anyio start another.
        while True:
            event = await self._ready.get()
            self._timers[event] = None
            self._counters.add(event.invocation.function_name, events_waiting=-1)
            self._try(event)

    def _left(self, event: _Event) -> float:
        limit = event.config.maximum_event_age * self._time_scale
        return event.arrived + limit - time.monotonic()

    def _end(self, event: _Event, condition: str) -> None:
        if not self._is_open:
            return
        del self._timers[event]
        self._tell(event, condition, None)
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
        except (Exception, SystemExit) as raised:  # noqa: BLE001  # what a destination raises must not end the endpoint
            error = raised.error if isinstance(raised, RaisedError) else raised
            _logger.warning(
                "a destination of %s failed: %s", invocation.function_name, type(error).__name__
            )
