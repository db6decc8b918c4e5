"""The demo's run: serves the function, fans out over it, and returns the results."""

import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from asyncinvoke import Invoker, Outcome
from asyncinvoke.cli.demo import measure, read
from asyncinvoke.cli.demo.chart import Sample, sample
from asyncinvoke.cli.demo.killed_run import INPUT, LEDGER, Killed, KilledRun
from asyncinvoke.cli.demo.library import read_payloads
from asyncinvoke.cli.demo.read import Streamed
from asyncinvoke.cli.map.pace import Pace
from asyncinvoke.cli.map.progress import Counts, Display, show_progress
from asyncinvoke.cli.running import beside
from asyncinvoke.local import LocalLambda

FUNCTION_NAME = "measure"

ASIDE = "measure-on-the-side"
"""The same function, for what is no part of the run."""

HANDLER = f"{Path(__file__).with_name('measure.py')}:handler"

REGION = "us-east-1"

_MOMENT = 0.1
"""Seconds between two moments of the picture."""

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

    samples: list[Sample]
    """Moments of the fan-out, for the picture."""

    @property
    def outcomes(self) -> list[Outcome[Any]]:
        """The outcomes, in the order of the input."""
        return self.killed.outcomes

    @property
    def measures(self) -> list[dict[str, Any]]:
        """What the function returned for each module, in the order of the input."""
        return [each.response.json() for each in self.outcomes if each.response is not None]


async def fan_out(
    modules: dict[str, Path],
    new_display: Callable[[], Display],
    *,
    concurrency: int,
    account_concurrency: int,
    in_runtime: bool,
    tell: Callable[[str], None],
) -> Result:
    """Measure every module in a process that is killed in the middle, and what else there is to show.

    Args:
        modules: The input.
        new_display: Makes what shows the progress, once there is some.
        concurrency: How many invocations are worked on at once.
        account_concurrency: How many executions the endpoint allows at once.
        in_runtime: Whether the function runs in AWS's own runtime, or in this process.
        tell: Says what happens, as it happens.
    """
    with tempfile.TemporaryDirectory(prefix="asyncinvoke-demo-") as name:
        folder = Path(name)
        write_lines(folder / INPUT, read_payloads(modules))
        endpoint = _served(account_concurrency, str(folder / LEDGER), in_runtime=in_runtime)
        async with endpoint, Invoker(region_name=REGION, endpoint_url=endpoint.url) as invoker:
            one = next(read_payloads(modules))
            event = await invoker.send_event(ASIDE, one)
            dry_run = await invoker.dry_run(ASIDE, one)
            tell(
                f"An Event is accepted ({event.status_code}); a DryRun is allowed "
                f"({dry_run.status_code}), and runs nothing."
            )
            tell(
                f"{len(modules):,} invocations, {concurrency} requested at once where "
                f"{account_concurrency} are allowed:"
            )
            where = ("--endpoint-url", endpoint.url, "--region", REGION)
            words = (FUNCTION_NAME, INPUT, "--concurrency", str(concurrency), *where)
            run, display, samples = KilledRun(folder, words), new_display(), list[Sample]()
            began = time.monotonic()
            count = partial(_count, run, endpoint, Pace(), began=began, total=len(modules))
            look = partial(_look, run, endpoint)
            async with beside(
                partial(show_progress, display, count),
                partial(sample, samples, look, interval=_MOMENT),
            ):
                killed = await run.run(len(modules), lambda text: display.note(f"  {text}"))
            elapsed = time.monotonic() - began
            counted = endpoint.statistics()
            throttles = sum(counted.throttles.values())
            ok = sum(outcome.ok for outcome in killed.outcomes)
            tell(
                f"Done in {elapsed:.1f} s: {throttles:,} throttles, one kill, and {ok:,} of "
                f"{len(modules):,} succeeded."
            )
            streamed = await read.stream_largest(invoker, list(modules.values()))
            tell(f"A stream: {streamed.size:,} bytes of {streamed.name}, piece by piece.")
    return Result(
        names=tuple(modules),
        killed=killed,
        event=event.status_code,
        dry_run=dry_run.status_code,
        streamed=streamed,
        elapsed=elapsed,
        throttles=throttles,
        peak_in_flight=counted.peak_in_flight,
        samples=samples,
    )


def write_lines(path: Path, payloads: Iterable[object]) -> None:
    """Write payloads to a file, one line of JSON each."""
    with path.open("w", encoding="utf-8") as file:
        for payload in payloads:
            file.write(json.dumps(payload) + "\n")


def _served(account_concurrency: int, ledger: str, *, in_runtime: bool) -> LocalLambda:
    endpoint = LocalLambda(account_concurrency=account_concurrency, region_name=REGION)

    def in_process(event: dict[str, str], context: object) -> dict[str, Any]:  # noqa: ARG001
        return measure.charged(event, ledger)

    if in_runtime:
        endpoint.function(
            FUNCTION_NAME, HANDLER, timeout=FUNCTION_TIMEOUT, environment={"LEDGER": ledger}
        )
    else:
        endpoint.function(FUNCTION_NAME, in_process, timeout=FUNCTION_TIMEOUT)
    endpoint.function(ASIDE, HANDLER if in_runtime else measure.handler, timeout=FUNCTION_TIMEOUT)
    endpoint.function(read.FUNCTION_NAME, read.handler, timeout=FUNCTION_TIMEOUT)
    return endpoint


def _look(run: KilledRun, endpoint: LocalLambda) -> Sample:
    summary, counted = run.summary(), endpoint.statistics()
    return Sample(
        done=0 if summary is None else summary.ended,
        in_flight=counted.in_flight,
        throttles=sum(counted.throttles.values()),
    )


def _count(
    run: KilledRun, endpoint: LocalLambda, pace: Pace, *, began: float, total: int
) -> Counts:
    elapsed, seen = time.monotonic() - began, _look(run, endpoint)
    summary = run.summary()
    failed = 0 if summary is None else summary.failed
    rate, expected = pace.at(elapsed, seen.done, endpoint.account_concurrency)
    return Counts(
        elapsed=elapsed,
        succeeded=max(seen.done - failed, 0),
        failed=failed,
        in_flight=seen.in_flight,
        throttles=seen.throttles,
        total=total,
        rate=rate,
        pace=expected,
    )
