"""The demo's run: serves the function, fans out over it, and gives what came of it."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from asyncinvoke import Invoker, Outcome
from asyncinvoke.cli.demo import read
from asyncinvoke.cli.demo.library import read_payloads
from asyncinvoke.cli.demo.read import Streamed
from asyncinvoke.cli.pace import Pace
from asyncinvoke.cli.progress import Counts, Display, show_progress
from asyncinvoke.cli.running import beside
from asyncinvoke.local import LocalLambda

FUNCTION_NAME = "measure"

HANDLER = f"{Path(__file__).with_name('measure.py')}:handler"

REGION = "us-east-1"

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

    @property
    def measures(self) -> list[dict[str, Any]]:
        """What the function returned for each module, in the order of the input."""
        ended = sorted(self.outcomes, key=lambda outcome: outcome.index)
        return [outcome.response.json() for outcome in ended if outcome.response is not None]


async def fan_out(
    modules: dict[str, Path], display: Display, *, concurrency: int, account_concurrency: int
) -> Result:
    """Measure every module in AWS's own runtime.

    Args:
        modules: The input.
        display: Shows the progress.
        concurrency: How many invocations are worked upon at once.
        account_concurrency: How many executions the endpoint allows at once.
    """
    endpoint = LocalLambda(account_concurrency=account_concurrency, region_name=REGION)
    endpoint.function(FUNCTION_NAME, HANDLER, timeout=FUNCTION_TIMEOUT)
    endpoint.function(read.FUNCTION_NAME, read.handler, timeout=FUNCTION_TIMEOUT)
    async with (
        endpoint,
        Invoker(region_name=REGION, endpoint_url=endpoint.url, limit=concurrency) as invoker,
    ):
        one = next(read_payloads(modules))
        event = await invoker.send_event(FUNCTION_NAME, one)
        dry_run = await invoker.dry_run(FUNCTION_NAME, one)
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

        async with (
            beside(partial(show_progress, display, count)),
            invoker.map(FUNCTION_NAME, read_payloads(modules), concurrency=concurrency) as run,
        ):
            async for outcome in run:
                outcomes.append(outcome)  # noqa: PERF401  # the display looks at them meanwhile
        elapsed = time.monotonic() - began
        streamed = await read.stream_largest(invoker, list(modules.values()))
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
        )
