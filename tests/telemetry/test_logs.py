"""What is logged: retries and final failures, and nothing about calls that succeed."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pythonjsonlogger.json import JsonFormatter
from tenacity import stop_after_attempt, wait_fixed

from asyncinvoke import (
    Backoff,
    FunctionError,
    InvocationError,
    Invoker,
    RetryPolicy,
    ThrottledError,
)
from asyncinvoke.local import throttle
from asyncinvoke.testing import FakeLambda, InstantClock

pytestmark = pytest.mark.anyio

RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
TWICE = RetryPolicy(throttled=Backoff(wait=wait_fixed(2), stop=stop_after_attempt(2)))


def broken(event: Any, _: Any) -> None:
    raise LookupError("attacked-payload")


async def chunks(event: Any, _: Any) -> Any:
    yield "one"


@pytest.fixture
def fake() -> FakeLambda:
    return FakeLambda({"f": lambda event, _: event, "broken": broken, "chunks": chunks})


class RecordCollector(logging.Handler):
    """Collects the records of this library's logger."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    kept, logger = RecordCollector(), logging.getLogger("asyncinvoke")
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    yield kept.records
    logger.removeHandler(kept)
    logger.setLevel(logging.NOTSET)


def opened(fake: FakeLambda) -> Invoker:
    return Invoker(transport=fake, clock=InstantClock(), retry=TWICE)


def attributes_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the attributes of a record that not every record has."""
    return {name: value for name, value in vars(record).items() if "." in name}


async def test_successful_calls_are_not_logged(
    fake: FakeLambda, records: list[logging.LogRecord]
) -> None:
    async with opened(fake) as invoker:
        await invoker.invoke("f", 1)
        await invoker.send_event("f", 1)
        async with invoker.stream("chunks") as stream:
            [_ async for _ in stream]
        async with invoker.map("f", range(20)) as run:
            [_ async for _ in run]
    assert records == []


async def in_a_call(invoker: Invoker) -> None:
    await invoker.invoke("f:live", 1)


async def in_a_stream(invoker: Invoker) -> None:
    async with invoker.stream("f:live") as stream:
        [_ async for _ in stream]


@pytest.mark.parametrize("way", [in_a_call, in_a_stream])
async def test_a_retry_and_a_final_failure_are_one_debug_line_each(
    fake: FakeLambda, records: list[logging.LogRecord], way: Any
) -> None:
    fake.fault(throttle(RESERVED), count=2)
    async with opened(fake) as invoker:
        with pytest.raises(ThrottledError) as failed:
            await way(invoker)
    retried, given_up = (record for record in records if record.levelname == "DEBUG")
    first = failed.value.attempts[0]
    assert retried.getMessage() == (
        f"f:live: attempt 1 failed with TooManyRequestsException ({RESERVED}), the next one in 2 s"
    )
    assert attributes_of(retried) == {
        "faas.invoked_name": "f",
        "asyncinvoke.qualifier": "live",
        "asyncinvoke.attempt": 1,
        "error.type": "TooManyRequestsException",
        "http.response.status_code": 429,
        "aws.request_id": first.request_id,
        "asyncinvoke.delivery": "rejected",
        "asyncinvoke.throttle.reason": RESERVED,
        "asyncinvoke.retry.delay": 2.0,
    }
    assert given_up.getMessage().startswith("f:live: given up after 2 attempts in ")
    assert attributes_of(given_up) == {
        "faas.invoked_name": "f",
        "asyncinvoke.qualifier": "live",
        "asyncinvoke.attempts": 2,
        "error.type": "TooManyRequestsException",
        "http.response.status_code": 429,
        "aws.request_id": failed.value.request_id,
        "asyncinvoke.delivery": "rejected",
        "asyncinvoke.gave_up": "attempts",
        "asyncinvoke.throttle.reason": RESERVED,
    }


async def test_a_function_that_fails_is_named_by_its_exception_and_not_quoted(
    fake: FakeLambda, records: list[logging.LogRecord]
) -> None:
    async with opened(fake) as invoker:
        with pytest.raises(FunctionError):
            await invoker.invoke("broken")
    (record,) = records
    assert attributes_of(record)["error.type"] == "LookupError"
    assert "attacked-payload" not in f"{record.getMessage()} {vars(record)}"


async def test_a_lowered_limit_and_a_pause_name_their_scope(
    fake: FakeLambda, records: list[logging.LogRecord]
) -> None:
    fake.fault(throttle(RESERVED), count=12)
    async with (
        Invoker(transport=fake, clock=InstantClock(), limit=1) as invoker,
        invoker.map("f", range(3)) as run,
    ):
        assert [outcome.ok async for outcome in run] == [True] * 3
    (pauses,) = (record for record in records if record.levelname == "WARNING")
    assert pauses.getMessage() == f"function f pauses: {RESERVED}"
    assert attributes_of(pauses) == {
        "asyncinvoke.limit.scope": "function",
        "asyncinvoke.limit.key": "f",
        "asyncinvoke.throttle.reason": RESERVED,
    }


async def test_a_limit_that_was_lowered_often_is_one_line_a_minute_with_the_count(
    fake: FakeLambda, records: list[logging.LogRecord]
) -> None:
    clock = InstantClock()
    began = clock.monotonic()

    async def work(event: Any, _: Any) -> None:
        await clock.sleep(1)

    fake.function("work", work)
    fake.fault(throttle(RESERVED), probability=0.2, seed=7, count=40)
    async with (
        Invoker(transport=fake, clock=clock, limit=20) as invoker,
        invoker.map("work", range(80)) as run,
    ):
        async for _ in run:
            pass
    lowered = [attributes_of(record) for record in records if record.levelname == "INFO"]
    assert lowered
    assert lowered[0]["asyncinvoke.limit.lowered"] == 1
    assert lowered[0]["asyncinvoke.limit.quantity"] == "concurrency"
    assert lowered[0]["asyncinvoke.limit.before"] > lowered[0]["asyncinvoke.limit.value"]
    assert len(lowered) <= 1 + (clock.monotonic() - began) / 60


async def test_pauses_that_come_and_go_are_one_line_a_minute(
    fake: FakeLambda, records: list[logging.LogRecord]
) -> None:
    """Each pause lasts at least a second, and is over after a few successes."""
    clock = InstantClock()
    began = clock.monotonic()
    async with Invoker(transport=fake, clock=clock, retry=TWICE) as invoker:
        for _ in range(60):
            fake.fault(throttle("ConcurrentSnapshotCreateLimitExceeded"), count=1)
            for _ in range(10):
                await invoker.invoke("f")
    pauses = [record for record in records if record.levelname == "WARNING"]
    elapsed = clock.monotonic() - began
    assert elapsed >= 120
    assert 2 <= len(pauses) <= 1 + elapsed / 60


@pytest.fixture
def written() -> Iterator[tuple[logging.Handler, io.StringIO]]:
    """A handler of the asyncinvoke logger, and its output."""
    stream = io.StringIO()
    handler, logger = logging.StreamHandler(stream), logging.getLogger("asyncinvoke")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler, stream
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


async def give_up(fake: FakeLambda) -> None:
    fake.fault(throttle(RESERVED), count=2)
    async with opened(fake) as invoker:
        with pytest.raises(InvocationError):
            await invoker.invoke("f", 1)


def check(lines: list[dict[str, Any]]) -> None:
    retried, given_up = (line for line in lines if line["level"].lower() == "debug")
    assert retried["asyncinvoke.retry.delay"] == 2.0
    assert given_up["asyncinvoke.gave_up"] == "attempts"
    assert given_up["faas.invoked_name"] == "f"


async def test_a_json_formatter_writes_the_attributes(
    fake: FakeLambda, written: tuple[logging.Handler, io.StringIO]
) -> None:
    handler, stream = written
    handler.setFormatter(
        JsonFormatter("%(levelname)s %(message)s", rename_fields={"levelname": "level"})
    )
    await give_up(fake)
    check([json.loads(line) for line in stream.getvalue().splitlines()])


async def test_structlog_writes_the_attributes(
    fake: FakeLambda, written: tuple[logging.Handler, io.StringIO]
) -> None:
    handler, stream = written
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    await give_up(fake)
    check([json.loads(line) for line in stream.getvalue().splitlines()])


async def test_debug_lines_are_not_formatted_unless_enabled(
    fake: FakeLambda, records: list[logging.LogRecord]
) -> None:
    logging.getLogger("asyncinvoke").setLevel(logging.INFO)
    await give_up(fake)
    assert not [record for record in records if record.levelno < logging.INFO]
