"""The demo's run: serves the function, fans out over it, and gives what came of it."""

import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from asyncinvoke import Invoker, Outcome
from asyncinvoke.cli.demo import read
from asyncinvoke.cli.demo.killed_run import INPUT, LEDGER, Killed, KilledRun
from asyncinvoke.cli.demo.library import read_payloads
from asyncinvoke.cli.demo.read import Streamed
from asyncinvoke.cli.pace import Pace
from asyncinvoke.cli.progress import Counts, Display, show_progress
from asyncinvoke.cli.running import beside
from asyncinvoke.local import LocalLambda

FUNCTION_NAME = "measure"

ASIDE = "measure-on-the-side"
"""The same function, for what is no part of the run."""

HANDLER = f"{Path(__file__).with_name('measure.py')}:handler"

REGION = "us-east-1"

FUNCTION_TIMEOUT = 60
"""Seconds for one module, the largest on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a fan-out."""

    names: tuple[str, ...]
    """The payloads, by name, in the order of the input."""

    killed: Killed
    """The run, which was killed once."""

    event: int
    """The status of the one Event."""

    dry_run: int
    """The status of the one DryRun."""

    streamed: Streamed
    """What came of the one stream."""

    elapsed: float
    """Seconds from the start of the first process to the end of the last."""

    throttles: int
    """Requests that the endpoint throttled."""

    peak_in_flight: int
    """The most executions that the endpoint ran at once."""

    @property
    def outcomes(self) -> list[Outcome[Any]]:
        """The outcomes, in the order of the input."""
        return self.killed.outcomes

    @property
    def measures(self) -> list[dict[str, Any]]:
        """What the function returned for each module, in the order of the input."""
        return [each.response.json() for each in self.outcomes if each.response is not None]


async def fan_out(
    modules: dict[str, Path], display: Display, *, concurrency: int, account_concurrency: int
) -> Result:
    """Measure every module in AWS's own runtime, in a process that is killed in the middle.

    Args:
        modules: The input.
        display: Shows the progress.
        concurrency: How many invocations are worked upon at once.
        account_concurrency: How many executions the endpoint allows at once.
    """
    with tempfile.TemporaryDirectory(prefix="asyncinvoke-demo-") as name:
        folder = Path(name)
        write_lines(folder / INPUT, read_payloads(modules))
        endpoint = LocalLambda(account_concurrency=account_concurrency, region_name=REGION)
        ledger = {"LEDGER": str(folder / LEDGER)}
        endpoint.function(FUNCTION_NAME, HANDLER, timeout=FUNCTION_TIMEOUT, environment=ledger)
        endpoint.function(ASIDE, HANDLER, timeout=FUNCTION_TIMEOUT)
        endpoint.function(read.FUNCTION_NAME, read.handler, timeout=FUNCTION_TIMEOUT)
        async with (
            endpoint,
            Invoker(region_name=REGION, endpoint_url=endpoint.url) as invoker,
        ):
            one = next(read_payloads(modules))
            event = await invoker.send_event(ASIDE, one)
            dry_run = await invoker.dry_run(ASIDE, one)
            where = ("--endpoint-url", endpoint.url, "--region", REGION)
            words = (FUNCTION_NAME, INPUT, "--concurrency", str(concurrency), *where)
            run = KilledRun(folder, words)
            began = time.monotonic()
            count = partial(_count, run, endpoint, Pace(), began=began, total=len(modules))
            async with beside(partial(show_progress, display, count)):
                killed = await run.run(len(modules))
            elapsed = time.monotonic() - began
            streamed = await read.stream_largest(invoker, list(modules.values()))
            counted = endpoint.statistics()
    return Result(
        names=tuple(modules),
        killed=killed,
        event=event.status_code,
        dry_run=dry_run.status_code,
        streamed=streamed,
        elapsed=elapsed,
        throttles=sum(counted.throttles.values()),
        peak_in_flight=counted.peak_in_flight,
    )


def write_lines(path: Path, payloads: Iterable[object]) -> None:
    """Write payloads to a file, one line of JSON each."""
    with path.open("w", encoding="utf-8") as file:
        for payload in payloads:
            file.write(json.dumps(payload) + "\n")


def _count(
    run: KilledRun, endpoint: LocalLambda, pace: Pace, *, began: float, total: int
) -> Counts:
    elapsed, summary, counted = time.monotonic() - began, run.summary(), endpoint.statistics()
    succeeded = 0 if summary is None else summary.succeeded
    failed = 0 if summary is None else summary.failed
    rate, expected = pace.at(elapsed, succeeded + failed, endpoint.account_concurrency)
    return Counts(
        elapsed=elapsed,
        succeeded=succeeded,
        failed=failed,
        in_flight=counted.in_flight,
        throttles=sum(counted.throttles.values()),
        total=total,
        rate=rate,
        pace=expected,
    )
