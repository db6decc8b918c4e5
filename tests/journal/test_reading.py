"""Reading recorded runs: while they are in progress, and by later versions."""

import dataclasses
import errno
import gc
import json
import os
import pickle
import re
import shutil
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke import (
    Delivery,
    FunctionError,
    Invoker,
    Journal,
    JournalError,
    JournalMismatchError,
    Outcome,
    Redrive,
    RejectedError,
    Request,
    ThrottledError,
    ThrottleReason,
    ThrottleScope,
    TransportError,
)
from asyncinvoke._journal.restoring import unpacked_id
from asyncinvoke._journal.rows import packed_id
from asyncinvoke._journal.schema import APPLICATION_ID
from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.runs import RecordedRun, merge, open_run, settle
from tests.journal.crashes import crash
from tests.journal.fake_service import FakeService, indexes

FORMAT_1 = Path(__file__).with_name("format_1.run")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.run"


@pytest.fixture
def format_1(path: Path) -> Iterator[RecordedRun]:
    shutil.copy(FORMAT_1, path)
    with open_run(path) as recorded:
        yield recorded


class LargeAnswers(FakeService):
    """A transport whose answers have 256 KiB each."""

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        await anyio.lowlevel.checkpoint()
        return Reply(200, b'"' + b"x" * (256 << 10) + b'"')


def peak_of(function: Callable[[], object]) -> int:
    """Return the most memory that was allocated at once by a function, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_large_results_are_read_and_replayed_a_few_at_a_time(path: Path) -> None:
    items = 600  # 150 MiB

    async def run() -> int:
        journal = Journal(path, results=True, replay=True)
        async with (
            Invoker(transport=LargeAnswers()) as invoker,
            invoker.map("work", range(items), concurrency=4, journal=journal) as run,
        ):
            return [outcome.ok async for outcome in run].count(True)

    def read() -> None:
        with open_run(path) as recorded:
            assert sum(len(each.unwrap().payload) for each in recorded.outcomes()) > items * (
                256 << 10
            )

    assert anyio.run(run) == items
    assert peak_of(read) < 24 << 20
    assert peak_of(lambda: anyio.run(run)) < 40 << 20


def recorded_map(path: Path, service: FakeService, items: int = 8) -> None:
    anyio.run(lambda: service.map(path, range(items)))


def test_a_summary_does_not_show_what_may_be_secret(path: Path) -> None:
    context, notes = {"custom": {"token": "SECRET"}}, {"command": {"url": "http://me:SECRET@host"}}
    journal = Journal(path, notes=notes)
    anyio.run(lambda: FakeService().map(journal, range(2), client_context=context))
    with open_run(path) as recorded:
        summary = recorded.summary()
    encoded = str(summary.identity["client_context"])
    assert encoded != "None"
    for shown in (repr(summary), repr(journal), repr(recorded)):
        assert "SECRET" not in shown
        assert encoded not in shown


def test_the_first_format_is_read(format_1: RecordedRun) -> None:
    summary = format_1.summary()
    assert (summary.function_name, summary.qualifier) == ("work", "live")
    assert summary.keyed
    assert (summary.succeeded, summary.failed, summary.not_run) == (8, 2, 0)
    assert (summary.may_have_run, summary.ended, summary.total) == (2, 12, 12)
    assert summary.versions == {"3": 10}
    assert summary.notes == {"input": "orders.jsonl"}
    assert [session.status for session in summary.sessions] == ["complete", "complete"]
    assert [
        (cause.error, cause.code, cause.error_type, cause.count) for cause in format_1.causes()
    ] == [
        ("FunctionError", None, "Busy", 2),
        ("TransportError", "ConnectionLost", None, 2),
    ]
    assert [item.key for item in format_1.unknown()] == ["order-5", "order-6"]
    again = format_1.item(key="order-4")
    assert again is not None
    assert (again.state, again.take, [take.state for take in again.earlier]) == (
        "succeeded",
        2,
        ["not_run"],
    )
    ok = format_1.outcome(key="order-0")
    assert ok is not None
    assert ok.unwrap().json() == {"id": "order-0"}
    failed = format_1.outcome(key="order-2")
    assert failed is not None
    assert isinstance(failed.error, FunctionError)
    assert failed.error.error_type == "Busy"
    assert failed.error.response.executed_version == "3"


def test_the_first_format_is_continued(path: Path) -> None:
    shutil.copy(FORMAT_1, path)
    orders = [{"id": f"order-{number}"} for number in range(13)]
    service = FakeService()
    options: dict[str, Any] = {"key": lambda order: order["id"], "qualifier": "live"}
    outcomes = anyio.run(
        lambda: service.map(Journal(path, redrive=Redrive.FAILED), orders, **options)
    )
    assert sorted(order["id"] for order in service.sent) == ["order-12", "order-2", "order-3"]
    assert indexes(outcomes) == list(range(13))


def test_what_is_read_pickles_and_turns_to_json(format_1: RecordedRun) -> None:
    values = [
        format_1.summary(),
        *format_1.causes(),
        *format_1.unknown(),
        format_1.item(key="order-4"),
    ]
    for value in values:
        assert value is not None
        assert pickle.loads(pickle.dumps(value)) == value
        assert json.loads(json.dumps(dataclasses.asdict(value)))
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.__setattr__(dataclasses.fields(value)[0].name, 1)
    outcome = format_1.outcome(key="order-2")
    assert pickle.loads(pickle.dumps(outcome)).key == "order-2"


def text_of(outcome: Outcome) -> str:
    """Return the message of an error without the elapsed time, which is stored only for the item."""
    return re.sub(r"in [0-9.]+ s", "in some time", str(outcome.error))


def test_a_recorded_outcome_equals_the_first_one(path: Path) -> None:
    service = FakeService(failing=[1], refused=[2], lost=[3])
    first = {o.index: o for o in anyio.run(lambda: service.map(path, range(5)))}
    with open_run(path) as recorded:
        again = {o.index: o for o in recorded.outcomes()}
    assert again.keys() == first.keys()
    for index, outcome in first.items():
        other = again[index]
        assert other.replayed
        assert (other.take, other.key) == (outcome.take, outcome.key)
        assert text_of(other) == text_of(outcome)
        assert abs(other.elapsed - outcome.elapsed) < 1e-5
        assert [a.status_code for a in other.attempts] == [a.status_code for a in outcome.attempts]
        assert [a.code for a in other.attempts] == [a.code for a in outcome.attempts]
        assert [a.kind for a in other.attempts] == [a.kind for a in outcome.attempts]
        assert [a.delivery for a in other.attempts] == [a.delivery for a in outcome.attempts]
    errors = [type(again[index].error) for index in range(5)]
    assert errors == [type(None), FunctionError, RejectedError, TransportError, type(None)]
    assert isinstance(again[1].error, FunctionError)
    assert again[1].error.error_message == "1?"
    assert again[1].error.status_code == 200
    assert isinstance(again[3].error, TransportError)
    assert again[3].error.delivery is Delivery.UNKNOWN


def test_what_only_some_answers_have_is_recorded_too(path: Path) -> None:
    reply = Reply(
        status_code=200,
        payload=b"1",
        log_result="REPORT",
        request_id="no-id-of-aws-but-of-thirty-six-chars",
        durable_execution_arn="arn:aws:lambda:durable",
    )
    throttled = Failure(
        status_code=429,
        code="TooManyRequestsException",
        message="Rate Exceeded.",
        reason="ConcurrentInvocationLimitExceeded",
        retry_after="7",
    )

    class FullReplyTransport(FakeService):
        async def send(self, parameters: Any, payload: bytes, progress: Any) -> Reply | Failure:
            return reply if payload == b"1" else throttled

    first = {o.index: o for o in anyio.run(lambda: FullReplyTransport().map(path, [1, 2]))}
    with open_run(path) as recorded:
        again = {o.index: o for o in recorded.outcomes()}
    for found in (first[0].unwrap(), again[0].unwrap()):
        assert (found.log_result, found.request_id) == ("REPORT", reply.request_id)
        assert found.durable_execution_arn == "arn:aws:lambda:durable"
    for error in (first[1].error, again[1].error):
        assert isinstance(error, ThrottledError)
        assert (error.reason, error.scope, error.retry_after, error.delivery) == (
            ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED,
            ThrottleScope.ACCOUNT,
            7.0,
            Delivery.REJECTED,
        )


def test_without_results_no_output_of_the_function_is_in_the_file(path: Path) -> None:
    service = FakeService(failing=["secret-1"])
    anyio.run(lambda: service.map(Journal(path, results=False), ["secret-1", "secret-2"]))
    assert b"secret" not in path.read_bytes()
    with open_run(path) as recorded:
        assert recorded.causes()[0].example is None
        failed = recorded.outcome(position=0)
    assert failed is not None
    assert isinstance(failed.error, FunctionError)
    assert failed.error.error_type == "Busy"


@pytest.mark.parametrize("results", [True, False])
def test_a_recorded_function_error_still_says_whether_the_platform_ended_the_function(
    results: bool, path: Path
) -> None:
    class TimedOut(FakeService):
        async def send(
            self, parameters: InvokeParameters, payload: bytes, progress: Progress
        ) -> Reply | Failure:
            answer = await super().send(parameters, payload, progress)
            if payload != b"1":
                return answer
            assert isinstance(answer, Reply)
            body = b'{"errorType": "Sandbox.Timedout", "errorMessage": "timed out"}'
            return dataclasses.replace(answer, payload=body)

    service = TimedOut(failing=[0, 1])
    anyio.run(lambda: service.map(Journal(path, results=results), [0, 1]))
    with open_run(path) as recorded:
        restored = [outcome.error for outcome in recorded.outcomes()]
    asked = list[bool]()

    def ask(outcome: Outcome[Any]) -> bool:
        assert isinstance(outcome.error, FunctionError)
        asked.append(outcome.error.by_platform)
        return False

    anyio.run(lambda: service.map(Journal(path, results=results, redrive=ask), [0, 1]))
    assert [isinstance(each, FunctionError) and each.by_platform for each in restored] == asked
    assert asked == [False, True]


def test_payloads_are_in_no_file(path: Path) -> None:
    class SilentTransport(FakeService):
        async def send(self, parameters, payload, progress):  # type: ignore[no-untyped-def]
            answer = await super().send(parameters, payload, progress)
            return (
                dataclasses.replace(answer, payload=b"1") if isinstance(answer, Reply) else answer
            )

    service = SilentTransport(failing=["secret-1"], lost=["secret-2"])
    anyio.run(lambda: service.map(path, ["secret-1", "secret-2", "secret-3"]))
    for each in path.parent.iterdir():
        assert b"secret" not in each.read_bytes()


def test_outcomes_are_given_by_state_by_cause_and_by_when_they_ended(
    path: Path,
) -> None:
    recorded_map(path, FakeService(failing=[1, 4], refused=[2]), 3000)
    with open_run(path) as recorded:
        assert indexes(recorded.outcomes(ok=False)) == [1, 2, 4]
        assert len(indexes(recorded.outcomes(ok=True))) == 2997
        number = recorded.causes()[0].number
        assert indexes(recorded.outcomes(cause=number)) == [1, 4]
        assert recorded.ends() == 3000
        parts = [(0, 1000), (1000, 2990), (2990, 3000)]
        ended = [indexes(recorded.outcomes(ended=part)) for part in parts]
        assert [len(part) for part in ended] == [1000, 1990, 10]
        assert sorted(index for part in ended for index in part) == list(range(3000))


def test_a_journal_can_be_read_with_sqlite(path: Path) -> None:
    recorded_map(path, FakeService(failing=[1], lost=[2]))
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM outcomes ORDER BY position").fetchall()
    assert [row["outcome"] for row in found[:3]] == ["succeeded", "failed", "may have run"]
    assert found[0]["request_id"] == "11111111-2222-3333-4444-555555555555"
    assert found[0]["version"] == "3"
    assert found[0]["status_code"] == 200
    assert found[0]["began"].startswith("20")
    assert found[1]["error_type"] == "Busy"
    assert found[2]["code"] == "ConnectionLost"
    assert path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")


def test_a_reader_changes_nothing_and_sees_what_is_committed_meanwhile(path: Path) -> None:
    async def look() -> None:
        async with (
            Invoker(transport=FakeService()) as invoker,
            invoker.map("work", range(40), journal=path, concurrency=2) as run,
        ):
            with open_run(path) as recorded:
                assert recorded.summary().running
                version = recorded.data_version()
                ended = [recorded.summary().ended async for _ in run]
                assert ended == sorted(ended)
                assert ended[-1] == 40
                assert recorded.data_version() != version
                assert list(recorded.unknown()) == []

    anyio.run(look)
    before = path.read_bytes()
    with open_run(path) as recorded:
        assert not recorded.summary().running
        recorded.causes()
    assert path.read_bytes() == before


def test_a_run_is_read_without_the_event_loops_libraries(path: Path) -> None:
    recorded_map(path, FakeService())
    code = (
        "import sys; from asyncinvoke.runs import open_run\n"
        f"with open_run({str(path)!r}) as run: print(run.summary().succeeded)\n"
        "print([m for m in ('aiobotocore', 'trio', 'botocore') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["8", "[]"]


def test_reading_a_closed_run_raises(path: Path) -> None:
    recorded_map(path, FakeService())
    with open_run(path) as recorded:
        pass
    with pytest.raises(JournalError, match="it is closed"):
        recorded.summary()
    with pytest.raises(JournalError, match="there is no such journal"):
        open_run(path.parent / "other.run")


def test_samples_show_the_progress_over_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncinvoke._journal.writing.SAMPLE_EVERY", 0.0)
    recorded_map(path, FakeService(), 100)
    with open_run(path) as recorded:
        samples = list(recorded.samples())
        latest = recorded.latest_sample()
        started = recorded.summary().sessions[0].started
    assert samples
    assert latest == samples[-1]
    assert samples[-1].succeeded > samples[0].succeeded
    assert {sample.session for sample in samples} == {1}
    assert all(started <= sample.at + 0.001 for sample in samples)
    assert all(sample.limit > 0 for sample in samples)


class TestSettling:
    def test_one_that_ran_is_not_run_again_and_not_in_doubt(self, path: Path) -> None:
        recorded_map(path, FakeService(lost=[3]))
        settle(path, position=3, ran=True)
        with open_run(path) as recorded:
            summary = recorded.summary()
            assert (summary.settled, summary.may_have_run, summary.ended) == (1, 0, 8)
            assert list(recorded.unknown()) == []
            assert recorded.causes() == ()
        service = FakeService()
        outcomes = anyio.run(lambda: service.map(Journal(path, redrive=~Redrive.NONE), range(8)))
        assert service.sent == []
        settled = next(outcome for outcome in outcomes if outcome.index == 3)
        assert isinstance(settled.error, TransportError)
        assert settled.error.delivery is Delivery.EXECUTED

    def test_one_that_did_not_run_runs_when_the_run_is_continued(self, path: Path) -> None:
        recorded_map(path, FakeService(lost=[3]))
        settle(path, position=3, ran=False)
        with open_run(path) as recorded:
            assert recorded.item(position=3) is None
            assert recorded.summary().ended == 7
        service = FakeService()
        outcomes = anyio.run(lambda: service.map(path, range(8)))
        assert service.sent == [3]
        assert {outcome.index: outcome.take for outcome in outcomes}[3] == 2
        with open_run(path) as recorded:
            item = recorded.item(position=3)
            assert item is not None
            assert [take.state for take in item.earlier] == ["may_have_run"]

    def test_one_that_has_no_such_name_is_refused_as_that(self, path: Path) -> None:
        recorded_map(path, FakeService(lost=[3]))
        with pytest.raises(JournalError, match="item 'a': the run has no keys"):
            settle(path, key="a", ran=True)
        # Keys of requests are recorded in such a run too, where they need not be unique.
        several = path.with_name("several.run")
        requests = [Request(payload=n, key="a") for n in range(8)]
        anyio.run(lambda: FakeService(lost=[3, 4]).map(several, requests))
        crash(several, sent=[5, 6])
        for ran in (True, False):
            with pytest.raises(JournalError, match="item 'a': the run has no keys"):
                settle(several, key="a", ran=ran)
        with open_run(several) as recorded:
            assert [each.position for each in recorded.unknown()] == [5, 6, 3, 4]
        keyed = path.with_name("keyed.run")
        anyio.run(lambda: FakeService(lost=[3]).map(keyed, range(8), key=str))
        with pytest.raises(JournalError, match="item 'a' surely did not run: nothing is recorded"):
            settle(keyed, key="a", ran=True)
        # Row numbers match the input only until a process has died.
        with pytest.raises(JournalError, match="item 3: the run has keys: name the item by its"):
            settle(keyed, position=3, ran=True)
        settle(keyed, key="3", ran=True)

    def test_it_is_refused_where_the_marks_are_missing(self, path: Path) -> None:
        """As in a copy without them, or in a run in progress whose marks were deleted."""
        recorded_map(path, FakeService(lost=[3]))
        crash(path, sent=[8])
        Path(f"{path}-marks").unlink()
        for _ in range(2):
            with pytest.raises(JournalError, match="run-marks is missing"):
                settle(path, position=3, ran=True)
            assert not Path(f"{path}-marks").exists()

    @pytest.mark.parametrize(
        ("position", "message"),
        [(1, "it is recorded as succeeded"), (99, "the input has 8 items")],
    )
    def test_any_other_is_refused(self, path: Path, position: int, message: str) -> None:
        recorded_map(path, FakeService(lost=[3]))
        before = path.read_bytes()
        with pytest.raises(JournalError, match=message):
            settle(path, position=position, ran=True)
        assert path.read_bytes() == before


@pytest.mark.parametrize("table", ["run", "count", "flight", "session", "cause"])
def test_what_is_read_of_a_run_is_consistent(path: Path, table: str) -> None:
    recorded_map(path, FakeService(failing=[1]))
    crash(path, sent=[1])  # a redrive is in progress
    with (
        open_run(path) as recorded,
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
    ):
        assert recorded._connection is not None
        connection: sqlite3.Connection = recorded._connection

        def read_all() -> tuple[Any, Any]:
            return recorded.summary(), recorded.causes()

        def succeed(statement: str) -> None:
            """Let the redrive succeed when a table is read."""
            if f"FROM {table}" in statement:
                connection.set_trace_callback(None)
                writer.executescript(
                    "BEGIN; DELETE FROM flight; UPDATE item SET state = 0, cause = NULL"
                    " WHERE idx = 1; UPDATE cause SET count = 0; UPDATE count SET value = value +"
                    " CASE name WHEN 'succeeded' THEN 1 WHEN 'failed' THEN -1 ELSE 0 END; COMMIT"
                )

        before = read_all()
        connection.set_trace_callback(succeed)
        summary, causes = read_all()
        after = read_all()
        assert before[0].may_have_run == after[0].succeeded - before[0].succeeded == 1
        assert summary in (before[0], after[0])
        assert causes in (before[1], after[1])


@pytest.mark.parametrize("replay", [True, False], ids=["item by item", "skimmed"])
def test_digests_of_the_first_format_are_longer_and_equivalent(path: Path, replay: bool) -> None:
    recorded_map(path, FakeService())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE item SET digest = CAST(digest || x'01020304' AS BLOB)")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    assert dataclasses.is_dataclass(merge(path.with_name("merged.run"), [path]))
    for journal in (path, path.with_name("merged.run")):
        for payloads in (range(9), iter(range(10))):
            service = FakeService()
            anyio.run(service.map, Journal(journal, replay=replay), payloads)
            assert len(service.sent) == 1
        with pytest.raises(JournalMismatchError, match="item 2 is not what it was"):
            anyio.run(
                FakeService().map, Journal(journal, replay=replay), iter([0, 1, 7, *range(3, 12)])
            )
        with closing(sqlite3.connect(journal)) as connection:
            # It has new digests too, which older versions cannot read.
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)


@pytest.mark.parametrize(
    ("request_id", "is_packed"),
    [
        ("3c30f3e1-7a1d-4bd1-8a8e-6b4be6a2a3f1", True),
        ("3C30F3E1-7A1D-4BD1-8A8E-6B4BE6A2A3F1", False),
        ("3c30f3e17-a1d-4bd1-8a8e-6b4be6a2a3f1", False),
        ("3c30f3e1-7a1d-4bd1-8a8e-6b4be6a2a3f1\n", False),
        ("3c30f3e1-7a1d-4bd1-8a8e-6b4be6a2a3 1", False),
        ("3c30f3e1-7a1d-4bd1-8a8e-6b4be6a2a3fg", False),
        ("\u0663c30f3e1-7a1d-4bd1-8a8e-6b4be6a2a3f1", False),
        ("failed-1", False),
        ("", False),
        (None, False),
    ],
)
def test_a_request_id_is_read_as_it_was_sent_whatever_its_format(
    request_id: str | None, is_packed: bool
) -> None:
    packed = packed_id(request_id)
    assert (isinstance(packed, bytes), unpacked_id(packed)) == (is_packed, request_id)


def test_closing_a_run_does_not_fail_because_its_marks_cannot_be_closed(
    format_1: RecordedRun, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.with_name(f"{path.name}-marks").write_bytes(bytes(64))
    close = os.close
    with open_run(path) as run, monkeypatch.context() as patched:

        def failing(descriptor: int) -> None:
            close(descriptor)
            raise OSError(errno.EIO, "Input/output error")

        patched.setattr(os, "close", failing)
        run.close()
