"""Recorded runs in real processes that are stopped, killed, continued and controlled."""

import contextlib
import hashlib
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from anyio.abc import Process

from asyncinvoke import Invoker, JournalError
from asyncinvoke.cli.app import run as command
from asyncinvoke.cli.runs import control
from asyncinvoke.local import LocalLambda, throttle
from asyncinvoke.runs import RunSummary, open_run

from .processes import LineReader, Run, started

pytestmark = pytest.mark.anyio

SOON = 60.0
"""Timeout in seconds of tests that detect a hang; never reached otherwise."""


class Orders:
    """A function that charges orders when the test releases them, and counts each of them."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()
        self.waiting: set[int] = set()
        self._go = anyio.Semaphore(0)
        self._is_open = False

    async def __call__(self, event: Any, context: Any) -> Any:
        number = event["n"]
        self.seen[number] += 1
        self.waiting.add(number)
        try:
            if not self._is_open:
                await self._go.acquire()
        finally:
            self.waiting.discard(number)
        if event.get("bad"):
            raise ValueError("no such account")
        return {"charged": number}

    def release(self, number: int) -> None:
        for _ in range(number):
            self._go.release()

    def open(self) -> None:
        self._is_open = True
        self.release(1000)


@pytest.fixture
async def orders(anyio_backend: str) -> AsyncIterator[tuple[Orders, str]]:
    orders = Orders()
    async with LocalLambda() as local:
        local.function("charge", orders, timeout=120)
        yield orders, local.url


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def until(what: Callable[[], bool]) -> None:
    with anyio.fail_after(SOON):
        while not what():
            await anyio.sleep(0.02)


def summary() -> RunSummary:
    with open_run("o.run") as recorded:
        return recorded.summary()


def has_recorded(number: int) -> bool:
    with contextlib.suppress(JournalError):  # the journal is being created
        return summary().ended >= number
    return False


def written(path: str = "out.jsonl") -> list[dict[str, Any]]:
    """Return the lines of the output; a truncated one would not be JSON."""
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


@asynccontextmanager
async def mapping(url: str, *options: str) -> AsyncIterator[Process]:
    words = ("map", "charge", "in.jsonl", "--journal", "o.run", "--output", "out.jsonl")
    async with started(*words, "--endpoint-url", url, *options) as process:
        yield process


async def stderr_of(process: Process) -> str:
    return await LineReader(process.stderr).all()


async def runs(*words: str) -> int:
    """Run a command that shows or controls a run in a thread, which is faster than a process."""
    return await to_thread.run_sync(command, ["runs", *words])


async def succeed(*words: str) -> None:
    assert await runs(*words) == 0


def write_orders(count: int, bad: range = range(0)) -> None:
    orders = [{"n": n, "bad": True} if n in bad else {"n": n} for n in range(count)]
    Path("in.jsonl").write_text(
        "".join(json.dumps(order) + "\n" for order in orders), encoding="utf-8"
    )


async def test_a_run_is_stopped_killed_continued_shown_settled_and_exported(
    orders: tuple[Orders, str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    function, url = orders
    write_orders(40, bad=range(3))

    # Ctrl-C: items in flight end, nothing else starts, and a line says so.
    async with mapping(url, "--concurrency", "4") as process:
        function.release(10)
        await until(lambda: has_recorded(10) and len(function.waiting) == 4)
        process.send_signal(signal.SIGINT)
        line = await LineReader(process.stderr).next()
        assert line == "waiting up to 30 s for 4 in flight; Ctrl-C again abandons them"
        function.release(4)
        assert await process.wait() == 130
    assert summary().ended == len(written()) == 14
    assert summary().may_have_run == 0

    # kill -9: exactly the items that the endpoint has and the journal has not are in doubt.
    async with mapping(url, "--concurrency", "4") as process:
        function.release(6)
        await until(lambda: has_recorded(20) and len(function.waiting) == 4)
        in_doubt = sorted(function.waiting)
        process.kill()
        await process.wait()
    assert summary().may_have_run == 4
    with open_run("o.run") as recorded:
        assert [item.position for item in recorded.unknown()] == in_doubt

    # The same command continues, and runs nothing twice.
    function.open()
    async with mapping(url, "--concurrency", "4") as process:
        words = await stderr_of(process)
        assert await process.wait() == 4
    assert "o.run: 33 succeeded, 3 failed, 4 may have run, in 3 sessions" in words
    assert function.seen == Counter(range(40))
    assert sorted(line["index"] for line in written()) == list(range(40))
    assert {line["index"] for line in written() if not line["ok"]} == {0, 1, 2, *in_doubt}

    # A person settles an item.
    ran, did_not, *_ = in_doubt
    assert await runs("settle", "o.run", "--item", str(ran), "--ran") == 0
    assert await runs("settle", "o.run", "--item", str(did_not), "--did-not-run") == 0
    assert await runs("redrive", "o.run", "--may-have-run") == 2  # no one can be asked
    assert "2 items may have run. Run them again?" in capfd.readouterr().err
    assert (summary().succeeded, summary().settled, summary().may_have_run) == (33, 1, 2)

    capfd.readouterr()
    assert await runs("show", "o.run") == 0
    assert capfd.readouterr().out.splitlines()[2:5] == [
        "  succeeded     33",
        "  failed         3",
        "                 3  cause 1  FunctionError ValueError: no such account",
    ]
    assert await runs("export", "o.run", "parts", "--split") == 0
    manifest = json.loads(Path("parts/manifest.json").read_text("utf-8"))
    # The settled item has run, and there is no response.
    counts = {"succeeded": 33, "failed": 3, "may_have_run": 2, "settled": 1, "pending": 1}
    assert manifest["counts"] == counts
    for part in manifest["files"]:
        data = Path("parts", part["name"]).read_bytes()
        assert (part["bytes"], part["lines"]) == (len(data), data.count(b"\n"))
        assert part["sha256"] == hashlib.sha256(data).hexdigest()


async def test_the_output_has_each_line_once_and_whole_however_often_the_run_is_killed(
    orders: tuple[Orders, str], folder: Path
) -> None:
    function, url = orders
    write_orders(600)
    options = ["--concurrency", "16", "--ordered"]
    function.open()
    async with mapping(url, *options) as process:
        await until(lambda: len(function.seen) >= 300)
        process.kill()
        await process.wait()
    with Path("out.jsonl").open("ab") as file:
        file.write(b'{"index": 5')  # leftovers of a truncated line, as a disk page may hold them
    async with mapping(url, *options) as process:
        await stderr_of(process)
        assert await process.wait() in (0, 4)
    lines = written()
    assert all(line["line"] == line["index"] + 1 for line in lines if "line" in line)
    # No item ran twice, and only items that may have run are missing.
    assert set(function.seen.values()) == {1}
    lost = {line["index"] for line in lines if line.get("code") == "ProcessLost"}
    assert set(range(600)) - set(function.seen) <= lost
    assert [line["index"] for line in lines] == list(range(600))


async def test_a_run_is_controlled_from_another_terminal(
    orders: tuple[Orders, str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    function, url = orders
    write_orders(500)
    async with mapping(url, "--concurrency", "2", "--grace", "1h") as process:
        await until(lambda: len(function.waiting) == 2)
        # At the same time: the run replies only to the later request, which counts for both.
        async with anyio.create_task_group() as group:
            for setting in (("--concurrency", "7"), ("--tolerate", "3%")):
                group.start_soon(succeed, "set", "o.run", *setting)
        await until(lambda: len(function.waiting) == 7)
        function.release(7)
        await until(lambda: has_recorded(7) and len(function.waiting) == 7)
        # Another process is refused, with the process that runs already.
        assert await runs("redrive", "o.run") == 2
        assert await runs("stop", "o.run") == 0
        function.release(7)
        words = await stderr_of(process)
        assert await process.wait() == 3
    assert "concurrency 7, as requested\n" in words
    assert "tolerated: 3%, as requested\n" in words
    assert "waiting for 7 in flight, as requested" in words
    assert summary().ended == len(function.seen) == 14
    *sent, stopped = capfd.readouterr().out.splitlines()
    assert sorted(sent) == ["concurrency 7", "tolerated: 3%"]
    assert stopped == "stopping when calls in flight have finished"
    assert await runs("stop", "o.run") == 2  # it has stopped
    # Settings hold for the next session, the stop does not; a second SIGTERM abandons calls.
    async with mapping(url, "--concurrency", "2") as process:
        await until(lambda: len(function.waiting) == 7)
        process.send_signal(signal.SIGTERM)
        lines = LineReader(process.stderr)
        while not (await lines.next()).startswith("waiting up to 30 s for 7"):
            pass
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 143
    assert (summary().succeeded, summary().may_have_run) == (14, 7)
    assert len(function.seen) == 21


async def test_a_setting_lasts_until_a_command_says_otherwise(
    orders: tuple[Orders, str], folder: Path
) -> None:
    function, url = orders
    write_orders(60, bad=range(1))

    async def session(*options: str, in_flight: int) -> None:
        async with mapping(url, *options) as process:
            await until(lambda: len(function.waiting) == in_flight)
            function.release(in_flight)
            await until(lambda: len(function.waiting) == in_flight)
            assert await runs("stop", "o.run", "--now") == 0
            assert await process.wait() == 3
        function.waiting.clear()

    await session("--concurrency", "2", in_flight=2)
    await succeed("set", "o.run", "--concurrency", "5")
    # It is newer than the command of the last session, so another command does not replace it yet.
    await session("--concurrency", "3", in_flight=5)
    await session("--concurrency", "3", in_flight=5)
    await session("--concurrency", "4", in_flight=4)
    await session("--concurrency", "4", in_flight=4)
    await succeed("set", "o.run", "--concurrency", "5")
    async with started("runs", "redrive", "o.run", "--concurrency", "4") as process:
        await until(lambda: len(function.waiting) == 4)
        function.open()
        assert await process.wait() == 4


@pytest.mark.parametrize("changed", ["keep", "again"])
async def test_rows_that_have_changed_are_refused_unless_the_command_says_what_to_do(
    changed: str, orders: tuple[Orders, str], folder: Path, run: Run
) -> None:
    function, url = orders
    function.open()
    write_orders(5)
    words = ("map", "charge", "in.jsonl", "-j", "o.run", "--key", "/n", "--endpoint-url", url)
    assert (await run(*words)).status == 0
    Path("in.jsonl").write_text(
        Path("in.jsonl").read_text("utf-8").replace('{"n": 3}', '{"n": 3, "x": 1}'),
        encoding="utf-8",
    )
    refused = await run(*words)
    assert (refused.status, "item '3' is not what it was" in refused.err) == (2, True)
    assert "give changed, or map --changed" in refused.err
    assert function.seen.total() == 5
    assert (await run(*words, "--changed", changed)).status == 0
    assert function.seen[3] == (2 if changed == "again" else 1)
    assert function.seen.total() == (6 if changed == "again" else 5)


async def test_a_stop_now_abandons_what_is_in_flight_and_it_may_have_run(
    orders: tuple[Orders, str], folder: Path
) -> None:
    function, url = orders
    write_orders(20)
    async with mapping(url, "--concurrency", "3", "--grace", "1h") as process:
        await until(lambda: len(function.waiting) == 3)
        function.release(2)
        await until(lambda: has_recorded(2) and len(function.waiting) == 3)
        assert await runs("stop", "o.run", "--now") == 0
        words = await stderr_of(process)
        assert await process.wait() == 3
    assert "abandoning calls in flight, as requested\n" in words
    assert (summary().succeeded, summary().may_have_run) == (2, 3)
    assert len(function.seen) == 5


async def test_an_ordered_output_has_what_comes_after_an_item_that_a_stop_withdrew(
    endpoint: LocalLambda, folder: Path
) -> None:
    write_orders(6)
    endpoint.function("charge", lambda event, _: event)
    endpoint.fault(throttle(retry_after="3600"), count=1)
    async with mapping(endpoint.url, "--concurrency", "3", "--ordered") as process:
        await until(lambda: endpoint.statistics().faults == 1 and has_recorded(2))
        assert await runs("stop", "o.run") == 0
        assert await process.wait() == 3
    with open_run("o.run") as recorded:
        ended = {outcome.index for outcome in recorded.outcomes()}
    withdrawn = min({*range(6)} - ended)
    assert [line["index"] for line in written()] == [*range(withdrawn)]
    async with mapping(endpoint.url, "--ordered") as process:
        assert await process.wait() == 0
    assert [line["index"] for line in written()] == [*range(6)]


async def test_another_input_is_refused_in_one_line_and_nothing_is_sent(
    orders: tuple[Orders, str], folder: Path, run: Run
) -> None:
    function, url = orders
    function.open()
    write_orders(6, bad=range(2, 3))
    async with (
        Invoker(endpoint_url=url) as invoker,
        invoker.map("charge", [b'{"n": %d}' % n for n in range(5)], journal="o.run") as recording,
    ):
        assert [outcome.ok async for outcome in recording] == [True] * 5
    ended = await run("map", "charge", "in.jsonl", "-j", "o.run", "--endpoint-url", url)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        "asyncinvoke: error: o.run: the input is not that of the run: item 2 is not what it was "
        "(restore it, or record this input in another journal)\n"
    )
    assert function.seen.total() == 5
    # Also by a pipe, which can only be read once; and no notes of either are stored.
    before = summary()
    with open("in.jsonl", "rb") as file:
        piped = await run(
            "map", "charge", "-", "-j", "o.run", "--endpoint-url", url, stdin=file.read()
        )
    assert (piped.status, piped.out, piped.err) == (2, "", ended.err)
    assert summary() == before
    assert function.seen.total() == 5


@pytest.mark.parametrize("output", ["out.jsonl", "-"])
async def test_a_run_that_cannot_write_its_output_records_what_is_in_flight(
    output: str, orders: tuple[Orders, str], folder: Path
) -> None:
    function, url = orders
    write_orders(40)
    words = ["map", "charge", "in.jsonl", "-j", "o.run", "-o", output, "--endpoint-url", url]
    ours, theirs = os.pipe()
    async with started(*words, "--concurrency", "4", stdout=theirs) as process:
        os.close(theirs)
        function.release(2)
        await until(lambda: has_recorded(2) and len(function.waiting) == 4)
        os.close(ours)
        if output != "-":
            await until(lambda: len(Path(output).read_bytes().splitlines()) == 2)
            Path(output).write_bytes(b"")
        function.release(1)
        lines = LineReader(process.stderr)
        while not (await lines.next()).startswith("the output cannot be written: waiting "):
            pass
        function.open()
        words_said = await lines.all()
        assert await process.wait() == (141 if output == "-" else 1)
    assert ("was truncated by another program" in words_said) == (output != "-")
    assert (summary().may_have_run, summary().ended) == (0, len(function.seen))
    Path("out.jsonl").unlink(missing_ok=True)
    async with mapping(url, "--concurrency", "4") as process:
        await stderr_of(process)
        assert await process.wait() == 0
    assert len(written()) == 40


async def test_a_run_that_compares_standard_input_applies_requests_and_replies(
    orders: tuple[Orders, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    function, url = orders
    function.open()
    lines = [b'{"n": %d}\n' % n for n in range(3)]
    words = ["map", "charge", "-", "-j", "o.run", "--endpoint-url", url]
    async with started(*words) as process:
        assert process.stdin is not None
        await process.stdin.send(b"".join(lines))
        await process.stdin.aclose()
        assert await process.wait() == 0
    monkeypatch.setattr(control, "PATIENCE", 0.3)
    async with started(*words) as process:
        assert process.stdin is not None
        stderr = LineReader(process.stderr)
        await process.stdin.send(lines[0])  # the rest comes late
        await until(lambda: summary().running and len(summary().sessions) == 2)
        assert await runs("pause", "o.run") == 0
        while not (await stderr.next()).startswith("paused, as requested"):
            pass
        assert capfd.readouterr().out == f"paused: o.run {control.COMPARES}\n"
        assert control.has_begun(summary())
        assert await runs("stop", "o.run") == 0
        assert await process.wait() == 3
    assert not control.has_begun(summary())
    assert (summary().ended, len(function.seen)) == (3, 3)
