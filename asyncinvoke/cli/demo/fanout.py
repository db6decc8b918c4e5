"""The demo's run: serves the function, fans out over it, and returns the results."""

import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
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
"""The same function, for invocations that do not belong to the run."""

REGION = "us-east-1"

_MOMENT = 0.1
"""Seconds between two samples of the chart."""

FUNCTION_TIMEOUT = 60
"""Seconds for one module; enough for the largest on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The results of the demo."""

    names: tuple[str, ...]
    """The names of the payloads, in input order."""

    killed: Killed
    """The run that was killed once."""

    event: int
    """The status code of the Event."""

    dry_run: int
    """The status code of the DryRun."""

    streamed: Streamed
    """The result of the stream."""

    elapsed: float
    """Seconds from the start of the first process to the end of the last one."""

    throttles: int
    """Requests that the endpoint throttled."""

    peak_in_flight: int
    """The maximum number of executions that the endpoint ran at once."""

    samples: list[Sample]
    """Samples of the run, for the chart."""

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
    say: Callable[[str], None],
) -> Result:
    """Serve the functions, make the single calls, and run the fan-out in a process that is killed.

    Args:
        modules: The input.
        new_display: Creates the progress display.
        concurrency: The number of invocations in progress at once.
        account_concurrency: The number of executions that the endpoint allows at once.
        in_runtime: Whether the function runs in AWS's Lambda runtime, or in this process.
        say: Prints a line about what has just happened.
    """
    with tempfile.TemporaryDirectory(
        prefix="asyncinvoke-demo-", ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        write_lines(folder / INPUT, read_payloads(modules))
        endpoint = _served(account_concurrency, folder, in_runtime=in_runtime)
        async with endpoint, Invoker(region_name=REGION, endpoint_url=endpoint.url) as invoker:
            one = next(read_payloads(modules))
            event = await invoker.send_event(ASIDE, one)
            dry_run = await invoker.dry_run(ASIDE, one)
            say(
                f"An Event: accepted ({event.status_code}). A DryRun: valid "
                f"({dry_run.status_code}), nothing ran."
            )
            say(
                f"{len(modules):,} invocations, {concurrency} requested at once, "
                f"{account_concurrency} allowed:"
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
            say(
                f"Done in {elapsed:.1f} s: {throttles:,} throttles, one kill, and {ok:,} of "
                f"{len(modules):,} succeeded."
            )
            streamed = await read.stream_largest(invoker, list(modules.values()))
            say(f"A response stream: {streamed.size:,} bytes of {streamed.name}, in chunks.")
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


def _served(account_concurrency: int, folder: Path, *, in_runtime: bool) -> LocalLambda:
    endpoint = LocalLambda(account_concurrency=account_concurrency, region_name=REGION)
    ledger = str(folder / LEDGER)

    def in_process(event: dict[str, str], context: object) -> dict[str, Any]:  # noqa: ARG001
        return measure.charged(event, ledger)

    if in_runtime:
        # A copy, because this package may be in a zip file.
        code = folder / "measure.py"
        code.write_bytes(files(__package__).joinpath(code.name).read_bytes())
        handler, environment = f"{code}:handler", {"LEDGER": ledger}
        endpoint.function(FUNCTION_NAME, handler, timeout=FUNCTION_TIMEOUT, environment=environment)
        endpoint.function(ASIDE, handler, timeout=FUNCTION_TIMEOUT)
    else:
        endpoint.function(FUNCTION_NAME, in_process, timeout=FUNCTION_TIMEOUT)
        endpoint.function(ASIDE, measure.handler, timeout=FUNCTION_TIMEOUT)
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
