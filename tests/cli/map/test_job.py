"""How a run ends: its output, its messages, and the exit status."""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from tenacity import stop_never, wait_fixed

from asyncinvoke import (
    AsyncInvokeError,
    Backoff,
    ConfigurationError,
    Delivery,
    Invoker,
    InvokerStatistics,
    MapRun,
    MapStatistics,
    Outcome,
    RejectedError,
    Response,
    RetryPolicy,
    ToleranceExceededError,
    TransportError,
)
from asyncinvoke.cli.errors import complain
from asyncinvoke.cli.map import job as jobs
from asyncinvoke.cli.map.job import MapJob
from asyncinvoke.cli.map.progress import Silent
from asyncinvoke.cli.running import Interrupt
from asyncinvoke.cli.streams import Output
from asyncinvoke.inputs import read
from asyncinvoke.testing import FakeLambda
from tests.batches.maps import Function
from tests.doubles.engine import LOST, REFUSED

pytestmark = pytest.mark.anyio


class Run:
    """A run that yields the given outcomes, and then raises."""

    def __init__(self, outcomes: list[Outcome], raises: Exception | None = None) -> None:
        self.outcomes = outcomes
        self._raises = raises
        self._taken = 0

    def __aiter__(self) -> AsyncIterator[Outcome]:
        return self

    async def __anext__(self) -> Outcome:
        if self._taken < len(self.outcomes):
            self._taken += 1
            return self.outcomes[self._taken - 1]
        if self._raises is not None:
            raise self._raises
        raise StopAsyncIteration

    def stop(self) -> None:
        pass

    def statistics(self) -> SimpleNamespace:
        ended = len(self.outcomes)
        return SimpleNamespace(
            read=ended,
            succeeded=ended,
            failed=0,
            working=0,
            buffered=0,
            concurrency=2,
            recorded=0,
            paused=False,
            waiting_for=None,
        )


def outcome(line: int, error: AsyncInvokeError | None = None) -> Outcome:
    response = Response(status_code=200, payload=b"1") if error is None else None
    return Outcome(index=line - 1, response=response, error=error, started=0, elapsed=0)


def refused() -> RejectedError:
    return RejectedError(
        "no", function_name="f", delivery=Delivery.REJECTED, code="ExpiredTokenException"
    )


def lost() -> TransportError:
    return TransportError("lost", function_name="f", delivery=Delivery.UNKNOWN)


def job_of(
    invoker: Invoker,
    source: Any,
    *,
    concurrency: int = 2,
    ordered: bool = False,
    idempotent: bool = False,
) -> MapJob:
    return MapJob(
        invoker,
        source=source,
        concurrency=concurrency,
        ordered=ordered,
        verb="succeeded",
        idempotent=idempotent,
        display=Silent(),
        progress="auto",
    )


async def work(run: Run, tmp_path: Path, *, ordered: bool = False) -> tuple[int, list[Any]]:
    """Process a run as the command does; return its status and the lines written."""
    (tmp_path / "in.jsonl").write_text("1\n2\n3\n4\n")
    source = read(tmp_path / "in.jsonl")
    with (tmp_path / "out").open("wb", buffering=0) as file:
        async with Invoker(transport=FakeLambda()) as invoker:
            job = job_of(invoker, source, ordered=ordered)
            lines = job.read()
            for _ in run.outcomes:
                await anext(lines)
            try:
                status = await job.work(
                    cast("MapRun", run), Output(file.fileno(), "out", is_ours=True), Interrupt()
                )
            except Exception as error:
                status = complain(error)
            await cast("Any", lines).aclose()
    written = (tmp_path / "out").read_text("utf-8").splitlines()
    return status, [json.loads(line) for line in written]


async def test_a_run_that_goes_well_is_status_0(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, written = await work(Run([outcome(1), outcome(2)]), tmp_path)
    assert (status, [line["line"] for line in written]) == (0, [1, 2])
    assert capfd.readouterr().err.startswith("2 outcomes in ")


async def interrupt(
    folder: Path,
    transport: Any,
    lines: str,
    is_time: Callable[[InvokerStatistics, MapStatistics], bool],
    **options: Any,
) -> list[Any]:
    """Interrupt an idempotent run of lines once a condition holds; return the lines written."""
    (folder / "in.jsonl").write_text(lines, encoding="utf-8")
    signals = Interrupt()
    async with Invoker(transport=transport) as invoker:

        async def interrupt_it(run: MapRun[Any]) -> None:
            while not is_time(invoker.statistics(), run.statistics()):
                await anyio.sleep(0.01)
            signals.signal = signal.SIGINT
            signals.leave()

        with (folder / "out").open("wb", buffering=0) as file:
            job = job_of(
                invoker,
                read(folder / "in.jsonl"),
                concurrency=options["concurrency"],
                idempotent=True,
            )
            with anyio.fail_after(60):
                async with (
                    anyio.create_task_group() as group,
                    invoker.map("f", job.read(), idempotent=True, **options) as run,
                ):
                    group.start_soon(interrupt_it, run)
                    await job.work(run, Output(file.fileno(), "out", is_ours=True), signals)
    return [json.loads(line) for line in (folder / "out").read_text("utf-8").splitlines()]


async def test_an_interrupted_idempotent_run_knows_which_items_may_have_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    class Transport(Function):
        async def send(self, parameters: Any, payload: bytes, progress: Any) -> Any:
            if payload == b"4":
                await anyio.sleep_forever()
            return await super().send(parameters, payload, progress)

    # The first two may have run, and wait for another attempt; the third did not run; the last is
    # in progress.
    answers = {1: LOST, 2: LOST, 3: REFUSED}
    hour = Backoff(wait=wait_fixed(3600), stop=stop_never)
    written = await interrupt(
        tmp_path,
        Transport(lambda payload: answers[int(payload)]),
        "1\n2\n3\n4\n",
        lambda invoker, _: invoker.attempts >= 4 and invoker.in_flight <= 1,
        concurrency=4,
        retry=RetryPolicy(transport=hour, not_sent=hour),
    )
    assert {line["line"]: line["gave_up"] for line in written} == {1: "stopped", 2: "stopped"}
    left = capfd.readouterr().err.splitlines()[-1]
    assert left.startswith("unfinished: 2 lines without an outcome, 1 of them may have run;")


async def test_an_interrupted_run_does_not_wait_for_workers_that_are_all_busy(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Items are read ahead for 16 workers, each with a call that does not end.
    monkeypatch.setattr(jobs, "LAST_WRITES", 3600.0)

    class Transport(Function):
        async def send(self, *_: Any) -> Any:
            await anyio.sleep_forever()

    await interrupt(
        tmp_path,
        Transport(lambda _: b""),
        "1\n" * 40,
        lambda invoker, run: invoker.in_flight == 16 and run.working > 16,
        concurrency=16,
    )
    assert "16 of them may have run" in capfd.readouterr().err.splitlines()[-1]


async def test_an_interrupted_run_whose_output_nobody_reads_says_that_and_ends(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LAST_WRITES", 0.0)
    (tmp_path / "in.jsonl").write_text("1\n")
    signals = Interrupt()
    with full_pipe() as pipe:
        async with Invoker(transport=FakeLambda()) as invoker:
            job = job_of(invoker, read(tmp_path / "in.jsonl"))
            lines = job.read()
            await anext(lines)

            class InterruptedRun(Run):
                async def __anext__(self) -> Outcome:
                    signals.signal = signal.SIGINT
                    signals.leave()
                    return await super().__anext__()

            run = cast("MapRun", InterruptedRun([outcome(1)]))
            with anyio.fail_after(60):
                await job.work(run, Output(pipe, "the pipe"), signals)
            await cast("Any", lines).aclose()
    said, summary, left = capfd.readouterr().err.splitlines()
    assert said == "nobody reads the output: the last outcomes are not written"
    assert summary.startswith("1 outcome in ")
    assert left == "unfinished: 1 outcome not written; no line after line 1 was sent"


@contextmanager
def full_pipe() -> Iterator[int]:
    """Yield the descriptor of a pipe that is full, and that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    try:
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_run_that_is_stopped_writes_what_is_done_and_is_status_3(
    ordered: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stopped = ToleranceExceededError("stopped after 100 refusals in a row: ExpiredTokenException")
    run = Run([outcome(1), outcome(3, refused()), outcome(4, refused())], raises=stopped)
    status, written = await work(run, tmp_path, ordered=ordered)
    assert (status, [line["index"] for line in written]) == (3, [0, 2, 3])
    summary, group, left, error = capfd.readouterr().err.splitlines()
    assert "1 succeeded, 2 failed" in summary
    assert group == "  2 RejectedError ExpiredTokenException, such as line 3: no"
    assert left == "unfinished: no line after line 3 was sent"
    assert error == (
        "asyncinvoke: error: stopped after 100 refusals in a row: ExpiredTokenException"
    )


async def test_a_configuration_that_is_wrong_from_the_start_is_one_line_and_status_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run([], raises=ConfigurationError("credential_process: no such file: /missing"))
    assert await work(run, tmp_path) == (2, [])
    assert capfd.readouterr().err == (
        "asyncinvoke: error: credential_process: no such file: /missing\n"
    )


async def test_a_configuration_that_becomes_wrong_later_is_not_status_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run([outcome(1)], raises=ConfigurationError("no such file: /missing"))
    status, written = await work(run, tmp_path)
    assert (status, len(written)) == (1, 1)
    summary, left, error = capfd.readouterr().err.splitlines()
    assert "1 succeeded" in summary
    assert left == "unfinished: no line after line 1 was sent"
    assert error == "asyncinvoke: error: no such file: /missing"


async def test_failures_that_may_have_run_are_status_4_and_others_1(tmp_path: Path) -> None:
    assert (await work(Run([outcome(1, refused())]), tmp_path))[0] == 1
    assert (await work(Run([outcome(1, refused()), outcome(2, lost())]), tmp_path))[0] == 4


def test_an_error_of_the_system_is_one_line_with_the_path(
    capfd: pytest.CaptureFixture[str],
) -> None:
    limits = "see ulimit -u, or the limit of the container"
    assert complain(FileNotFoundError(2, os.strerror(2), "/missing")) == 1
    assert complain(OSError(28, os.strerror(28))) == 1
    assert complain(RuntimeError("can't start new thread")) == 1  # as Python says it
    assert capfd.readouterr().err.splitlines() == [
        "asyncinvoke: error: /missing: No such file or directory",
        "asyncinvoke: error: No space left on device",
        f"asyncinvoke: error: the system allows this process no more threads: {limits}",
    ]
