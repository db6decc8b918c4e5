"""The demo's run: serves the function, fans out over it, and gives what came of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from asyncinvoke import Invoker, LimitChanged, Outcome
from asyncinvoke.cli.demo import measure, read
from asyncinvoke.cli.demo.chart import Sample, sample
from asyncinvoke.cli.demo.library import read_payloads
from asyncinvoke.cli.demo.read import Streamed
from asyncinvoke.cli.pace import Pace
from asyncinvoke.cli.progress import Counts, Display, show_progress
from asyncinvoke.cli.running import beside
from asyncinvoke.local import LocalLambda

FUNCTION_NAME = "measure"

HANDLER = f"{Path(__file__).with_name('measure.py')}:handler"

REGION = "us-east-1"

_MOMENT = 0.1
"""Seconds between two moments of the picture."""

_TOLD = 3
"""How many changes of the limit are told; from then on it only keeps pace."""

FUNCTION_TIMEOUT = 60
"""Seconds for one module, the largest on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a fan-out."""

    modules: int
    """How many payloads there were."""

    outcomes: list[Outcome]
    """Their outcomes."""

    event: int
    """The status of the one Event."""

    dry_run: int
    """The status of the one DryRun."""

    streamed: Streamed
    """What came of the one stream."""

    elapsed: float
    """Seconds from the first payload to the last outcome."""

    sent: int
    """Attempts that the invoker made, Event, DryRun and stream included."""

    delivered: int
    """Requests that the endpoint counted."""

    peak_in_flight: int
    """The most executions that the endpoint ran at once."""

    samples: list[Sample]
    """Moments of the fan-out, for the picture."""

    @property
    def measures(self) -> list[dict[str, Any]]:
        """What the function returned for each module, in the order of the input."""
        ended = sorted(self.outcomes, key=lambda outcome: outcome.index)
        return [outcome.response.json() for outcome in ended if outcome.response is not None]


class Limits:
    """Tells of the first changes of a limit, as a hook.

    Args:
        tell: Says a line.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._left = _TOLD

    def __call__(self, event: object) -> None:
        """Take note of an event."""
        if not isinstance(event, LimitChanged) or event.reason is None or not self._left:
            return
        self._left -= 1
        self._tell(
            f"throttled ({event.reason}): from {event.before:,.0f} at once to {event.after:,.0f}"
        )


async def fan_out(
    modules: dict[str, Path],
    new_display: Callable[[], Display],
    *,
    concurrency: int,
    account_concurrency: int,
    in_runtime: bool,
    tell: Callable[[str], None],
) -> Result:
    """Measure every module, and what else there is to show.

    Args:
        modules: The input.
        new_display: Makes what shows the progress, once there is some.
        concurrency: How many invocations are worked upon at once.
        account_concurrency: How many executions the endpoint allows at once.
        in_runtime: Whether the function runs in AWS's own runtime, or in this process.
        tell: Says what happens, as it happens.
    """
    endpoint = LocalLambda(account_concurrency=account_concurrency, region_name=REGION)
    endpoint.function(
        FUNCTION_NAME, HANDLER if in_runtime else measure.handler, timeout=FUNCTION_TIMEOUT
    )
    endpoint.function(read.FUNCTION_NAME, read.handler, timeout=FUNCTION_TIMEOUT)
    async with (
        endpoint,
        Invoker(
            region_name=REGION,
            endpoint_url=endpoint.url,
            limit=concurrency,
            hooks=[Limits(lambda text: display.note(f"  {text}"))],
        ) as invoker,
    ):
        one = next(read_payloads(modules))
        event = await invoker.send_event(FUNCTION_NAME, one)
        dry_run = await invoker.dry_run(FUNCTION_NAME, one)
        tell(
            f"An Event is accepted ({event.status_code}), and a DryRun let in "
            f"({dry_run.status_code}), which runs nothing."
        )
        tell(
            f"{len(modules):,} invocations, {concurrency} asked for at once where "
            f"{account_concurrency} are allowed:"
        )
        display = new_display()
        outcomes: list[Outcome] = []
        began, paces = time.monotonic(), Pace()

        def count() -> Counts:
            elapsed, statistics = time.monotonic() - began, invoker.statistics()
            failed = sum(not outcome.ok for outcome in outcomes)
            allowed = min(scope.limit for scope in statistics.scopes)
            rate, pace = paces.at(elapsed, len(outcomes), allowed)
            return Counts(
                elapsed=elapsed,
                succeeded=len(outcomes) - failed,
                failed=failed,
                in_flight=statistics.in_flight,
                throttles=sum(statistics.throttles.values()),
                total=len(modules),
                rate=rate,
                pace=pace,
            )

        def look() -> Sample:
            statistics = invoker.statistics()
            return Sample(
                done=len(outcomes),
                in_flight=statistics.in_flight,
                throttles=sum(statistics.throttles.values()),
            )

        samples: list[Sample] = []
        async with (
            beside(
                partial(show_progress, display, count),
                partial(sample, samples, look, interval=_MOMENT),
            ),
            invoker.map(FUNCTION_NAME, read_payloads(modules), concurrency=concurrency) as run,
        ):
            async for outcome in run:
                outcomes.append(outcome)  # noqa: PERF401  # the display looks at them meanwhile
        elapsed = time.monotonic() - began
        throttles = sum(invoker.statistics().throttles.values())
        ok = sum(outcome.ok for outcome in outcomes)
        tell(
            f"Done in {elapsed:.1f} s: {throttles:,} throttles, and {ok:,} of {len(modules):,} "
            "succeeded."
        )
        streamed = await read.stream_largest(invoker, list(modules.values()))
        tell(f"A stream: {streamed.size:,} bytes of {streamed.name}, piece by piece.")
        counted = endpoint.statistics()
        return Result(
            modules=len(modules),
            outcomes=outcomes,
            event=event.status_code,
            dry_run=dry_run.status_code,
            streamed=streamed,
            elapsed=elapsed,
            sent=invoker.statistics().attempts,
            delivered=counted.invocations,
            peak_in_flight=counted.peak_in_flight,
            samples=samples,
        )
