"""Batches and shards with a journal: one row for each item, and the same call continues the run."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asyncinvoke import (
    Batch,
    FunctionError,
    Invoker,
    Journal,
    JournalError,
    JournalMismatchError,
    Outcome,
    Redrive,
    Shard,
    TransportError,
)
from asyncinvoke._journal import locked_file, marks
from asyncinvoke.inputs import read
from asyncinvoke.runs import open_run
from tests.doubles.counting_server import CountingServer
from tests.doubles.messages import Received
from tests.journal import killing, mapper
from tests.journal.killing import ROOT, Mapper
from tests.journal.test_unusable_journals import ENVIRONMENT

from .maps import SOON, Function, ManualClock


def doubled(payload: Any) -> Any:
    return [item * 2 for item in payload]


async def run(
    function: Function, payloads: Any, journal: Path | Journal, **options: Any
) -> list[Outcome]:
    # A clock on which the input never pauses: however slow the disk is, batches are closed full, or
    # last.
    with anyio.fail_after(SOON):
        async with (
            Invoker(transport=function, limit=10, clock=ManualClock()) as invoker,
            invoker.map("work", payloads, journal=journal, concurrency=3, **options) as mapped,
        ):
            return [outcome async for outcome in mapped]


def items_of(function: Function) -> list[int]:
    return sorted(item for batch in function.batches for item in batch)


@pytest.mark.anyio
@pytest.mark.parametrize("keyed", [False, True])
async def test_every_item_of_a_batch_has_a_row_and_is_not_sent_again(
    tmp_path: Path, keyed: bool
) -> None:
    function, journal = Function(doubled), tmp_path / "a.run"
    options = {"key": str} if keyed else {}
    first = await run(function, range(100), journal, batch=7, ordered=True, **options)
    assert items_of(function) == list(range(100))
    assert function.sizes == [7] * 14 + [2]
    again = await run(function, range(105), journal, batch=20, ordered=True, **options)
    assert items_of(function) == list(range(105))
    assert [each.unwrap().json() for each in again] == [item * 2 for item in range(105)]
    assert [each.replayed for each in again] == [True] * 100 + [False] * 5
    assert [each.key for each in first] == [each.key for each in again[:100]]
    with open_run(journal) as recorded:
        assert recorded.summary().succeeded == 105
        assert [each.index for each in recorded.outcomes()] == list(range(105))


@pytest.mark.anyio
async def test_a_run_that_was_left_goes_on_where_it_stopped(tmp_path: Path) -> None:
    function, journal = Function(doubled), tmp_path / "a.run"
    with anyio.fail_after(SOON):
        async with (
            Invoker(transport=function) as invoker,
            invoker.map(
                "work", range(200), journal=journal, batch=5, concurrency=2, shard=Shard(2, of=3)
            ) as mapped,
        ):
            for _ in range(11):
                await anext(mapped)
    ended = await run(function, range(200), journal, batch=5, shard=Shard(2, of=3))
    mine = list(range(1, 200, 3))
    assert items_of(function) == mine
    assert sorted(each.index for each in ended) == mine
    left = [each.error for each in ended if not each.ok]
    assert all(isinstance(error, TransportError) for error in left)
    assert {getattr(error, "code", None) for error in left} <= {"InvokerClosed"}


@pytest.mark.anyio
async def test_a_journal_that_is_deleted_ends_the_run_and_batches_not_yet_sent_stay_unsent(
    tmp_path: Path,
) -> None:
    function, ended = Function(doubled), list[int]()
    function.gate = anyio.Event()
    journal = tmp_path / "orders.run"
    with anyio.fail_after(SOON):
        async with (
            Invoker(transport=function, clock=ManualClock()) as invoker,
            invoker.map("work", count(), journal=journal, concurrency=2, batch=3) as run,
        ):
            while len(function.sent) < 2:
                await anyio.lowlevel.checkpoint()
            journal.unlink()
            function.gate.set()
            with pytest.raises(JournalError, match="it was deleted"):  # noqa: PT012
                async for outcome in run:
                    ended.append(outcome.index)
            assert run.statistics().working == 0
    assert sorted(ended) == items_of(function)
    assert len(ended) % 3 == 0


@pytest.mark.anyio
async def test_redriving_by_one_isolates_the_poisonous_item(tmp_path: Path) -> None:
    def poisoned(payload: Any) -> Any:
        return "no list" if 13 in payload else payload

    function, journal = Function(poisoned), tmp_path / "a.run"
    await run(function, range(30), journal, batch=10)
    ended = await run(
        function, range(30), Journal(journal, redrive=Redrive.FAILED), batch=1, ordered=True
    )
    assert [each.index for each in ended if not each.ok] == [13]
    assert sorted(function.sizes) == [1] * 10 + [10] * 3
    assert [each.take for each in ended] == [1] * 10 + [2] * 10 + [1] * 10
    (poison,) = [each for each in ended if not each.ok]
    assert isinstance(poison.error, FunctionError)
    assert poison.error.code == "BadBatchAnswer"


@pytest.mark.anyio
async def test_another_shape_or_shard_is_another_run(tmp_path: Path) -> None:
    function, journal = Function(doubled), tmp_path / "a.run"
    await run(function, range(9), journal, batch=3, shard=Shard(1, of=3))
    sent = len(function.sent)
    for options, says in (
        ({"batch": Batch(3, shape="stepfunctions"), "shard": Shard(1, of=3)}, "batch"),
        ({"batch": 3, "shard": Shard(2, of=3)}, "shard"),
        ({"batch": 3}, "shard"),
        ({"shard": Shard(1, of=3)}, "batch"),
    ):
        with pytest.raises(JournalMismatchError, match=says):
            await run(function, range(9), journal, **options)
    assert len(function.sent) == sent
    await run(function, list(range(9)), journal, batch=1, shard=Shard(1, of=3))
    assert len(function.sent) == sent


@pytest.mark.anyio
async def test_another_common_value_is_another_run_and_is_not_recorded(tmp_path: Path) -> None:
    def answer(payload: Any) -> Any:
        return {"results": [{"id": item["id"], "result": 1} for item in payload["items"]]}

    function, journal = Function(answer), tmp_path / "a.run"
    first = Batch(3, shape="items", common={"token": "hunter2"})
    await run(function, range(3), journal, batch=first)
    for common in ({"token": "other"}, "", None):
        with pytest.raises(JournalMismatchError, match="batch is 'items") as raised:
            await run(function, range(6), journal, batch=Batch(3, shape="items", common=common))
        assert "hunter2" not in str(raised.value)
    assert len(function.sent) == 1
    await run(function, range(6), journal, batch=Batch(2, shape="items", common=first.common))
    assert len(function.sent) == 3
    assert all(b"hunter2" not in each.read_bytes() for each in tmp_path.iterdir())


@pytest.mark.anyio
async def test_an_input_that_is_read_by_key_is_recorded_by_key(tmp_path: Path) -> None:
    source, journal = tmp_path / "in.jsonl", tmp_path / "a.run"
    source.write_text('{"id": 1}\n{"id": "a"}\n{"id": "1"}\n')
    function = Function()
    ended = await run(function, read(source, key="/id"), journal, batch=2)
    message = {each.index: str(each.error) for each in ended if not each.ok}
    assert message == {2: "key '1' is that of item 0"}
    source.write_text('{"id": "a"}\n{"id": "b"}\n{"id": 1}\n')  # in another order, and one more
    await run(function, read(source, key="/id"), journal, batch=2)
    assert sorted(str(item["id"]) for batch in function.batches for item in batch) == list("1ab")


@pytest.mark.anyio
async def test_items_that_cannot_travel_are_recorded_as_such(tmp_path: Path) -> None:
    function, journal = Function(), tmp_path / "a.run"
    payloads = [1, {2}, b"{no", b"x" * 6_291_457, 5]
    ended = await run(function, payloads, journal, batch=5, ordered=True)
    assert [each.ok for each in ended] == [True, False, False, False, True]
    with open_run(journal) as recorded:
        assert recorded.summary().not_run == 3


@pytest.mark.anyio
async def test_a_handle_with_codecs_writes_and_reads_each_item_of_a_batch() -> None:
    function = Function(doubled)
    with anyio.fail_after(SOON):
        async with Invoker(transport=function) as invoker:
            handle = invoker.function(
                "work",
                encode=lambda number: str(number).encode(),
                decode=lambda body: int(body) + 1000,
            )
            async with handle.map(range(7), batch=3, ordered=True) as mapped:
                read = [each.unwrap().json() async for each in mapped]
    assert read == [1000 + 2 * number for number in range(7)]
    assert function.sizes == [3, 3, 1]


class Endpoint:
    """An endpoint that echoes batches, counts their items, and kills a process at one of them."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.server = CountingServer()
        self.server.on_request = self._look
        self._victim = (0, -1)

    def kill(self, pid: int, at: int) -> None:
        with self.server.changed:
            self._victim = (len(self.seen) + at, pid)

    def _look(self, request: Received) -> None:
        with self.server.changed:
            self.seen += [each["item"] for each in json.loads(request.body)]
            at, pid = self._victim
            if pid > 0 and len(self.seen) >= at:
                self._victim = (0, -1)
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def started() -> Iterator[Mapper]:
    with Mapper() as process:
        yield process


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_killed_run_in_batches_runs_nothing_twice_and_names_what_is_in_doubt(
    started: Mapper, tmp_path: Path, backend: str
) -> None:
    journal, endpoint = tmp_path / "a.run", Endpoint()
    with endpoint.server:
        pid = started.start(
            url=endpoint.server.url,
            journal=str(journal),
            items=400,
            batch=9,
            concurrency=4,
            backend=backend,
        )
        endpoint.kill(pid, 100)
        assert started.ended() == 9, "it ended before it was killed"
        with endpoint.server.changed:
            assert endpoint.server.changed.wait_for(lambda: not endpoint.server.connections, 60)
        left, seen = killing.inspect_journal(journal), set(endpoint.seen)
        assert seen - left.recorded <= left.unknown
        assert len(left.unknown - (seen - left.recorded)) <= 4 * 9
        outcomes = mapper.run(backend, endpoint.server.url, str(journal), 400, batch=9)
        assert max(Counter(endpoint.seen).values()) == 1
        assert set(endpoint.seen) | left.unknown == set(range(400))
    assert {each.index for each in outcomes if not each.ok} == left.unknown
    assert sorted(each.index for each in outcomes) == list(range(400))


def test_a_full_disk_ends_a_run_in_batches_and_no_item_of_it_is_lost(tmp_path: Path) -> None:
    # A limit on the file size simulates a full disk, in a separate process.
    journal = tmp_path / "a.run"
    code = f"""
        import anyio, resource, signal
        from asyncinvoke import JournalError
        from tests.journal.fake_service import FakeService
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        service = FakeService()
        async def main():
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
            try:
                await service.map({str(journal)!r}, range(100_000), concurrency=4, batch=7)
            except JournalError as error:
                print(error)
            ended = service.statistics
            print(ended.succeeded, ended.failed, ended.working, sum(map(len, service.sent)))
        anyio.run(main)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=100,
    )
    assert done.stderr == ""
    message, counts = done.stdout.splitlines()
    assert "the disk is full" in message
    succeeded, failed, working, sent = map(int, counts.split())
    assert (failed, working) == (0, 0), "what was read and not sent has no outcome"
    assert succeeded == sent
    with open_run(journal) as recorded:
        summary = recorded.summary()
        assert 0 < summary.ended <= sent
        assert summary.succeeded + summary.may_have_run == sent


@pytest.mark.anyio
@pytest.mark.parametrize("failing", range(11, 16))
async def test_a_batch_that_cannot_be_marked_whole_is_not_sent_and_not_in_doubt(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, journal, write, written = (
        Function(doubled),
        tmp_path / "a.run",
        locked_file.write_at,
        0,
    )

    def full(descriptor: int, data: bytes, offset: int) -> int:
        nonlocal written
        written += len(data) == 1
        return 0 if written == failing else write(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(marks, "write_at", full)
        with pytest.raises(JournalError, match="the disk is full"):
            await run(function, range(100), journal, batch=5)
    sent = items_of(function)
    with open_run(journal) as recorded:
        found = recorded.summary()
    assert (found.succeeded, found.may_have_run) == (len(sent), 0)
    await run(function, range(100), journal, batch=5)
    assert items_of(function) == list(range(100))
