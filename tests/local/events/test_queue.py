"""The Event queue: retries, destinations and dead letters, over real HTTP."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from asyncinvoke.local import EventConfig, EventProgress, LocalLambda
from tests.doubles.handlers import until

pytestmark = pytest.mark.anyio

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"


@pytest.fixture
async def local() -> AsyncIterator[LocalLambda]:
    """An endpoint on which a minute of the queue takes 60 ms."""
    async with LocalLambda(event_time_scale=0.001) as local_lambda:
        yield local_lambda


class Failing:
    """A handler that fails a number of times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.ids: list[str] = []

    async def __call__(self, event: Any, context: Any) -> Any:
        self.ids.append(context.aws_request_id)
        if self.left:
            self.left -= 1
            raise ValueError("no good")
        return {"done": event}


@pytest.mark.parametrize("attempts", [0, 1, 2])
async def test_a_failing_event_runs_again_with_the_same_id_and_is_then_given_up(
    local: LocalLambda, invoke: Any, attempts: int
) -> None:
    handler, records = Failing(9), list[Any]()
    config = EventConfig(maximum_retry_attempts=attempts, on_failure=records.append)
    local.function("fail", handler, events=config)
    reply = await invoke("fail", b'{"a": 1}', Invocation_Type="Event")
    await until(lambda: bool(records))
    request_id = reply.headers["x-amzn-requestid"]
    assert handler.ids == [request_id] * (attempts + 1)
    (record,) = records
    assert record["requestContext"]["approximateInvokeCount"] == attempts + 1
    assert local.statistics().events_waiting == 0


async def test_each_run_gets_the_event_as_it_was_sent_whatever_a_handler_did_to_it(
    local: LocalLambda, invoke: Any
) -> None:
    seen: list[Any] = []
    records: list[Any] = []

    def fail(event: Any, context: Any) -> None:
        seen.append(dict(event))
        event["orders"].clear()
        del event["id"]
        raise ValueError("no good")

    function = local.function("fail", fail, events=EventConfig(on_failure=records.append))
    function.duplicate_events(1)
    await invoke("fail", b'{"id": 7, "orders": []}', Invocation_Type="Event")
    await until(lambda: len(records) == 2)
    sent = {"id": 7, "orders": []}
    assert seen == [sent] * 6
    assert [record["requestPayload"] for record in records] == [sent, sent]


@pytest.mark.parametrize("answer", [b"[" * 100_000, b"9" * 5000], ids=["deep", "long"])
async def test_an_answer_that_python_does_not_decode_goes_to_its_destination_as_text(
    local: LocalLambda, invoke: Any, answer: bytes
) -> None:
    records: list[Any] = []
    config = EventConfig(on_success=records.append)
    local.function("odd", lambda event, context: answer, events=config)
    await invoke("odd", b"1", Invocation_Type="Event")
    await until(lambda: bool(records))
    assert records[0]["responsePayload"] == answer.decode()
    assert (await invoke("odd", b"1")).body == answer  # the endpoint continues


async def test_an_event_that_succeeds_at_last_goes_to_the_file_for_successes(
    local: LocalLambda, invoke: Any, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    config = EventConfig(on_success=good, on_failure=str(bad), dead_letter=bad)
    function = local.function("fail", Failing(2), events=config)
    function.alias("live", function.publish_version())
    await invoke("fail:live", b"5", Invocation_Type="Event")
    await until(lambda: good.exists() and good.read_text("utf-8").endswith("\n"))
    record = json.loads(good.read_text("utf-8"))
    assert record["requestContext"] | {"requestId": ""} == {
        "requestId": "",
        "functionArn": f"{ARN}fail:live",
        "condition": "Success",
        "approximateInvokeCount": 3,
    }
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "1"}
    assert record["responsePayload"] == {"done": 5}
    assert not bad.exists()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_receiver_may_be_async_and_gets_the_payload_byte_by_byte(
    local: LocalLambda, invoke: Any
) -> None:
    letters: list[Any] = []

    async def take(letter: Any) -> None:
        letters.append(letter)

    local.function("fail", Failing(9), events=EventConfig(dead_letter=take))
    await invoke("fail", b"[1,  2]", Invocation_Type="Event")
    await until(lambda: bool(letters))
    assert [letter["Body"] for letter in letters] == ["[1,  2]"]


async def test_throttled_events_go_back_to_the_queue_until_there_is_a_permit(
    local: LocalLambda, invoke: Any, gate: Any
) -> None:
    local.account_concurrency = 0
    local.function("held", gate)
    for number in range(5):
        assert (await invoke("held", str(number), Invocation_Type="Event")).status == 202
    assert local.statistics().events_waiting == 5
    assert gate.events == []
    local.account_concurrency = 2
    await until(lambda: len(gate.events) == 2)
    gate.open()
    await until(lambda: local.statistics().executions == 5 and not local.statistics().in_flight)
    assert sorted(gate.events) == [0, 1, 2, 3, 4]
    assert local.statistics().peak_in_flight == 2
    assert local.statistics().throttles == {}
    assert local.statistics().events_waiting == 0


async def test_a_throttled_event_waits_twice_as_long_each_time_up_to_five_minutes(
    request_to: Any,
) -> None:
    heard: list[EventProgress] = []
    async with LocalLambda(
        event_time_scale=0.001, account_concurrency=0, on_event=heard.append
    ) as local:
        local.function("held", Failing(0))
        path = "/2015-03-31/functions/held/invocations"
        await request_to(local.url, path, b"1", headers={"X-Amz-Invocation-Type": "Event"})
        await until(lambda: len(heard) >= 10)
    delays = [each.delay for each in heard[:10]]
    assert delays == pytest.approx([*(0.001 * 2**times for times in range(9)), 0.3])


async def test_an_event_grows_too_old_in_the_queue(local: LocalLambda, invoke: Any) -> None:
    records: list[Any] = []
    config = EventConfig(maximum_event_age=60, on_failure=records.append)
    local.function("fail", Failing(9), events=config)
    await invoke("fail", Invocation_Type="Event")
    await until(lambda: len(records) == 1)
    local.account_concurrency = 0
    await invoke("fail", Invocation_Type="Event")
    await until(lambda: len(records) == 2)
    contexts = [record["requestContext"] for record in records]
    assert [context["condition"] for context in contexts] == ["EventAgeExceeded"] * 2
    assert [context["approximateInvokeCount"] for context in contexts] == [1, 0]
    assert "responsePayload" in records[0]
    assert "responsePayload" not in records[1]


async def test_events_are_delivered_twice_on_demand(local: LocalLambda, invoke: Any) -> None:
    handler = Failing(0)
    function = local.function("fail", handler)
    function.duplicate_events(1)
    replies = [await invoke("fail", Invocation_Type="Event") for _ in range(2)]
    await until(lambda: local.statistics().executions == 3)
    first, second = [reply.headers["x-amzn-requestid"] for reply in replies]
    assert sorted(handler.ids) == sorted([first, first, second])
    assert local.statistics().invocations == 2
    with pytest.raises(ValueError, match="count=-1 must be"):
        function.duplicate_events(-1)


async def test_a_destination_that_fails_is_logged_without_the_payload(
    local: LocalLambda, invoke: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(record: Any) -> None:
        raise OSError(f"cannot take {record}")

    local.function("fail", Failing(0), events=EventConfig(on_success=refuse))
    with caplog.at_level(logging.WARNING):
        await invoke("fail", b'"secret"', Invocation_Type="Event")
        await until(lambda: bool(caplog.messages))
    assert caplog.messages == ["a destination of fail failed: OSError"]
    assert (await invoke("fail")).status == 200


def test_a_failed_event_runs_again_on_a_loop_that_anyio_did_not_start() -> None:
    handler = Failing(1)

    async def main() -> None:
        async with (
            LocalLambda(event_time_scale=0.001, allow_unsigned=True) as local,
            aiohttp.ClientSession() as client,
        ):
            local.function("f", handler)
            url = f"{local.url}/2015-03-31/functions/f/invocations"
            async with client.post(url, headers={"X-Amz-Invocation-Type": "Event"}) as answer:
                assert answer.status == 202
            await until(lambda: len(handler.ids) == 2)

    asyncio.run(main())


class Base(BaseException):
    pass


@pytest.mark.parametrize("error", [Base("x"), SystemExit(3), GeneratorExit()], ids=repr)
async def test_whatever_a_destination_raises_does_not_end_the_endpoint(
    local: LocalLambda, invoke: Any, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def refuse(record: Any) -> None:
        raise error

    local.function("f", Failing(0), events=EventConfig(on_success=refuse))
    with caplog.at_level(logging.WARNING):
        await invoke("f", b"1", Invocation_Type="Event")
        await until(lambda: bool(caplog.messages))
    assert caplog.messages == [f"a destination of f failed: {type(error).__name__}"]
    assert (await invoke("f")).status == 200


@pytest.mark.parametrize("qualifier", ["$LATEST", "1"])
async def test_an_event_of_what_was_deleted_is_dropped_and_counted(
    local: LocalLambda,
    invoke: Any,
    request_to: Any,
    caplog: pytest.LogCaptureFixture,
    qualifier: str,
) -> None:
    handler = Failing(0)
    local.account_concurrency = 0
    local.function("fail", handler).publish_version()
    await invoke("fail", qualifier=qualifier, Invocation_Type="Event")
    assert local.statistics().events_waiting == 1
    query = f"?Qualifier={qualifier}" if qualifier == "1" else ""
    deleted = await request_to(local.url, f"/2015-03-31/functions/fail{query}", method="DELETE")
    assert deleted.status == 204
    await until(lambda: local.statistics().events_dropped == 1)
    local.account_concurrency = 1
    assert (local.statistics().events_waiting, handler.ids) == (0, [])
    assert caplog.messages == []


async def test_what_has_not_ended_when_the_endpoint_closes_is_dropped_and_counted(
    request_to: Any, gate: Any
) -> None:
    event = {"X-Amz-Invocation-Type": "Event"}
    path = "/2015-03-31/functions/{}/invocations"
    async with LocalLambda(account_concurrency=1) as local:
        local.function("fail", Failing(9))
        local.function("held", gate)
        await request_to(local.url, path.format("fail"), headers=event)
        await until(lambda: local.statistics().events_waiting == 1)
        for _ in range(3):
            await request_to(local.url, path.format("held"), headers=event)
        await until(lambda: local.statistics().in_flight == 1)
        assert local.statistics().events_waiting == 3
    held = local.statistics().functions["held"]
    assert (held.events_dropped, held.events_waiting) == (3, 0)
    assert (local.statistics().events_dropped, local.statistics().events_waiting) == (4, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"maximum_retry_attempts": 3},
            "maximum_retry_attempts=3 must be a whole number from 0 to 2",
        ),
        ({"maximum_event_age": 59}, "maximum_event_age=59 must be 60 to 21600 seconds"),
        ({"retry_delays": (1.0,)}, "must be two times in seconds"),
        ({"dead_letter": 5}, "dead_letter=5 must be a callable or a path"),
        ({"on_failure": "/gone/x.jsonl"}, "on_failure='/gone/x.jsonl' is in no directory"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EventConfig(**options)
