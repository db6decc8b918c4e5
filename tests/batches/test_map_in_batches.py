"""A map in batches yields one outcome for each item, however batches close, fail and end."""

import gc
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncinvoke import (
    Batch,
    Delivery,
    FunctionError,
    InvalidRequestError,
    Invoker,
    MapRun,
    Outcome,
    RejectedError,
    Request,
    RunSample,
    ThrottledError,
    ToleranceExceededError,
    TransportError,
)
from asyncinvoke._batches.shape import BatchItem
from asyncinvoke._engine import run_events
from asyncinvoke._engine.batcher import MOST_OPEN, PAUSE
from asyncinvoke._engine.buffer import AHEAD
from asyncinvoke.testing import FakeLambda
from tests.doubles.engine import FAILED, LOST, REJECTED, THROTTLED
from tests.doubles.waiting import settle
from tests.engine.map_doubles import silent, tasks, trickle

from .maps import SOON, Function, ManualClock, batched


def strict(payload: Any) -> Any:
    """A function of the shape `items` that fails multiples of three and omits multiples of four."""
    return {
        "results": [
            {"id": item["id"], "error": {"type": "Odd", "message": "three"}}
            if item["payload"] % 3 == 0
            else {"id": item["id"], "result": item["payload"] * 10}
            for item in payload["items"]
            if item["payload"] % 4 or item["payload"] % 3 == 0
        ]
    }


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    payloads=st.lists(st.integers(0, 40), max_size=60),
    most=st.integers(1, 9),
    most_bytes=st.none() | st.integers(1, 400),
    concurrency=st.integers(1, 5),
    ordered=st.booleans(),
    is_async=st.booleans(),
    pauses=st.integers(0, 4),
)
@settings(max_examples=60)
def test_every_item_is_sent_once_and_gets_exactly_one_outcome(
    backend: str,
    payloads: list[int],
    most: int,
    most_bytes: int | None,
    concurrency: int,
    ordered: bool,
    is_async: bool,
    pauses: int,
) -> None:
    function = Function(strict)
    function.pauses = pauses

    async def play() -> None:
        before = tasks()
        source: Any = trickle(*payloads) if is_async else iter(payloads)
        batch = Batch(most, bytes=most_bytes, shape="items")
        with anyio.fail_after(SOON):
            async with batched(
                function, source, batch, concurrency=concurrency, ordered=ordered, key=str
            ) as run:
                ended = [each async for each in run]
                statistics = run.statistics()
        assert tasks() == before
        sent = [int(each["id"]) for payload in function.batches for each in payload["items"]]
        assert sorted(sent) == list(range(len(payloads)))
        assert sorted(each.index for each in ended) == list(range(len(payloads)))
        if ordered:
            assert [each.index for each in ended] == list(range(len(payloads)))
        for each in ended:
            check(each, payloads[each.index])
        assert (statistics.read, statistics.working, statistics.buffered) == (len(payloads), 0, 0)
        assert statistics.attempts == len(function.sent)
        assert all(1 <= len(payload["items"]) <= most for payload in function.batches)

    anyio.run(play, backend=backend)


def check(outcome: Outcome, payload: int) -> None:
    assert outcome.key == str(payload)
    assert len(outcome.attempts) == 1
    if payload % 3 == 0 or payload % 4 == 0:
        assert isinstance(outcome.error, FunctionError)
        wanted = "Odd" if payload % 3 == 0 else "MissingFromAnswer"
        assert (outcome.error.error_type, outcome.error.delivery) == (wanted, Delivery.EXECUTED)
        assert outcome.error.attempts == outcome.attempts
    else:
        assert outcome.unwrap().json() == payload * 10
        assert outcome.unwrap().attempts == outcome.attempts


async def drain(block: AbstractAsyncContextManager[MapRun], into: list[int]) -> None:
    with anyio.fail_after(SOON):
        async with block as run:
            async for each in run:
                into.append(each.index)


async def outcomes_of(function: Function, payloads: object, batch: Batch, **options: Any) -> Any:
    with anyio.fail_after(SOON):
        async with batched(function, payloads, batch, ordered=True, **options) as run:
            return [each async for each in run]


@pytest.mark.anyio
async def test_a_batch_closes_at_its_count_and_at_the_end() -> None:
    function = Function()
    await outcomes_of(
        function, range(10), Batch(4), clock=ManualClock()
    )  # on which the input never pauses
    assert function.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.anyio
async def test_a_batch_closes_at_its_bytes_and_a_larger_item_travels_alone() -> None:
    function = Function()
    await outcomes_of(function, [1, 22, 333, 4, "x" * 50, 6], Batch(9, bytes=8))
    assert function.batches == [[1, 22], [333, 4], ["x" * 50], [6]]


@pytest.mark.anyio
async def test_a_batch_closes_when_the_input_pauses() -> None:
    function, clock = Function(), ManualClock()
    async with batched(function, silent(1, 2, 3), Batch(50), clock=clock) as run:
        await settle()
        assert function.batches == []
        clock.move(PAUSE)
        with anyio.fail_after(SOON):
            assert {(await anext(run)).index for _ in range(3)} == {0, 1, 2}
        assert function.batches == [[1, 2, 3]]


@pytest.mark.anyio
async def test_a_batch_stays_open_while_the_input_goes_on() -> None:
    function, clock = Function(), ManualClock()
    send, receive = anyio.create_memory_object_stream[int](0)
    async with send, receive, batched(function, receive, Batch(50), clock=clock) as run:
        for number in range(4):
            await send.send(number)
            await settle()
            await send.send(number + 10)
            await settle()
            clock.move(PAUSE)
            await settle()
        assert function.batches == []
        clock.move(PAUSE)
        with anyio.fail_after(SOON):
            await anext(run)
        assert function.sizes == [8]


@pytest.mark.anyio
async def test_an_item_that_cannot_be_sent_is_its_own_failure_and_not_the_batch_s() -> None:
    function = Function()
    wrong = [{1, 2}, b"{not json", b"x" * 6_291_457, Request(payload=1, qualifier="a b")]
    wrong += ['"' * 6_291_450]  # it fits by itself, but not quoted in a list
    ended = await outcomes_of(function, [0, *wrong, b"[5]", None], Batch(50))
    assert [each.ok for each in ended] == [True] + [False] * 5 + [True] * 2
    assert all(isinstance(each.error, InvalidRequestError) for each in ended[1:6])
    assert all(each.attempts == () for each in ended[1:6])
    assert function.batches == [[0, [5], {}]]


@pytest.mark.anyio
async def test_an_item_that_fails_keeps_its_key_and_an_item_without_one_fails_alone() -> None:
    function = Function()
    ended = await outcomes_of(
        function, [{"id": "a", "n": {1}}, {"id": "b"}, {}], Batch(9), key=lambda item: item["id"]
    )
    assert [(each.key, each.ok) for each in ended] == [("a", False), ("b", True), (None, False)]


ONE_FOR_ALL = [
    (LOST, TransportError, Delivery.UNKNOWN),
    (THROTTLED, ThrottledError, Delivery.REJECTED),
    (REJECTED, RejectedError, Delivery.REJECTED),
    (FAILED, FunctionError, Delivery.EXECUTED),
]


@pytest.mark.parametrize(("answer", "kind", "delivery"), ONE_FOR_ALL)
@pytest.mark.anyio
async def test_a_batch_without_an_answer_leaves_all_its_items_as_it_was_left(
    answer: Any, kind: type[Exception], delivery: Delivery
) -> None:
    function = Function(lambda payload: answer)
    ended = await outcomes_of(function, range(5), Batch(5))
    assert len(function.sent) == len(ended[0].attempts)
    assert [type(each.error) for each in ended] == [kind] * 5
    assert {each.error.delivery for each in ended} == {delivery}
    assert len({id(each.error) for each in ended}) == 5
    assert len({each.attempts for each in ended}) == 1


@pytest.mark.parametrize("answer", [[1], {}, b"", b"{", "ok", True, 3, None], ids=repr)
@pytest.mark.anyio
async def test_a_response_that_does_not_fit_fails_the_batch_with_the_reason(answer: Any) -> None:
    function = Function(lambda payload: answer)
    ended = await outcomes_of(function, range(3), Batch(3))
    for each in ended:
        assert isinstance(each.error, FunctionError)
        assert (each.error.code, each.error.delivery) == ("BadBatchAnswer", Delivery.EXECUTED)
        assert "BadBatchAnswer: the answer " in str(each.error)
        assert each.error.response.request_id == "id-1"
        assert each.error.attempts == each.attempts != ()


@pytest.mark.anyio
async def test_the_error_of_an_item_is_printable_like_that_of_a_call() -> None:
    message = {"id": "0", "error": {"type": "Odd\ud800", "message": "caf\udce9"}}
    function = Function(lambda payload: {"results": [message]})
    (ended,) = await outcomes_of(function, [1], Batch(9, shape="items"))
    assert (ended.error.error_type, ended.error.error_message) == ("Odd\ufffd", "caf\ufffd")


@pytest.mark.anyio
async def test_items_that_failed_are_responses_where_errors_are_not_to_be_raised() -> None:
    function = Function(lambda payload: {"batchItemFailures": [{"itemIdentifier": "1"}]})
    good, bad = await outcomes_of(
        function, range(2), Batch(2, shape="sqs"), raise_on_function_error=False
    )
    assert (good.unwrap().function_error, bad.unwrap().function_error) == (None, "Unhandled")
    assert bad.unwrap().json()["errorType"] == "BatchItemFailure"


@pytest.mark.anyio
async def test_events_are_accepted_item_by_item() -> None:
    from asyncinvoke._model.response import Reply

    function = Function(lambda payload: Reply(status_code=202, payload=b""))
    ended = await outcomes_of(function, range(5), Batch(3), invocation_type="Event")
    assert [each.unwrap().status_code for each in ended] == [202] * 5
    assert function.sizes == [3, 2]


@pytest.mark.anyio
async def test_items_are_batched_with_items_of_the_same_options() -> None:
    function = Function()
    items = [
        Request(payload=number, qualifier="live" if number % 2 else None, tenant_id="t")
        for number in range(6)
    ]
    await outcomes_of(function, [*items, 6, 7], Batch(50))
    sent = {(str(to.target), to.tenant_id): batch for to, batch in function.sent}
    assert sent == {
        ("work", "t"): [0, 2, 4],
        ("work:live", "t"): [1, 3, 5],
        ("work", None): [6, 7],
    }


@pytest.mark.anyio
async def test_only_so_many_batches_are_open_at_once() -> None:
    function = Function()
    names = [f"f{number}" for number in range(MOST_OPEN + 3)]
    items = [Request(payload=name, function_name=name) for name in names]
    await outcomes_of(function, [*items, *items], Batch(50), concurrency=50)
    assert sorted(payload for batch in function.batches for payload in batch) == sorted(names * 2)
    assert all(batch == [to.target.function_name] * len(batch) for to, batch in function.sent)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.anyio
async def test_an_endless_input_is_read_no_further_ahead_than_the_bound(ordered: bool) -> None:
    function, read = Function(), 0

    async def endless() -> AsyncIterator[int]:
        nonlocal read
        for read in count(1):  # it is counted
            yield read

    async with batched(function, endless(), Batch(5), concurrency=3, ordered=ordered) as run:
        await settle()
        assert read == (3 + AHEAD) * 5
        taken = 0
        async for _ in run:
            taken += 1
            await settle()
            assert read - taken <= (3 + AHEAD) * 5
            if taken == 25:
                break
    assert set(function.sizes) == {5}


@pytest.mark.anyio
async def test_batches_that_are_full_of_bytes_are_read_no_further_ahead_either() -> None:
    function = Function()
    function.gate = anyio.Event()
    async with batched(function, count(10), Batch(1_000, bytes=7), concurrency=3) as run:
        await settle()
        assert len(function.sent) == 3
        assert run.statistics().read <= (3 + AHEAD) * 2 + 1


@pytest.mark.anyio
async def test_a_slow_consumer_makes_no_small_batches() -> None:
    function, clock = Function(), ManualClock()
    taken = 0
    async with batched(function, range(60), Batch(10), clock=clock) as run:
        async for _ in run:
            taken += 1
            # The input seems to pause whenever the consumer has not made room.
            for _ in range(2):
                await settle()
                clock.move(PAUSE)
    assert taken == 60
    assert function.sizes == [10] * 6


@pytest.mark.anyio
async def test_a_run_that_has_no_room_for_a_whole_batch_says_that_it_waits_for_the_consumer() -> (
    None
):
    async with batched(Function(), count(), Batch(5), concurrency=1) as run:
        for _ in range(3):
            await anext(run)
        await settle()
        message = run.statistics().waiting_for
    assert message == "the consumer: 12 outcomes are there to be taken"


@pytest.mark.anyio
async def test_stopping_lets_what_is_in_flight_end_and_sends_no_other_batch() -> None:
    function = Function()
    function.gate = anyio.Event()
    async with batched(function, silent(*range(5)), Batch(3), clock=ManualClock()) as run:
        await settle()
        run.stop()
        function.gate.set()
        with anyio.fail_after(SOON):
            assert [each.index async for each in run] == [0, 1, 2]
    assert function.batches == [[0, 1, 2]]


@pytest.mark.anyio
async def test_a_pause_holds_back_batches_and_loses_none() -> None:
    function, clock = Function(), ManualClock()
    async with batched(function, silent(*range(5)), Batch(3), clock=clock) as run:
        run.pause()
        await settle()
        clock.move(PAUSE)
        await settle()
        assert function.batches == []
        run.resume()
        for _ in range(2):
            await settle()
            clock.move(PAUSE)
        with anyio.fail_after(SOON):
            assert {(await anext(run)).index for _ in range(5)} == set(range(5))


@pytest.mark.anyio
async def test_an_input_that_raises_does_so_after_the_outcomes_of_what_was_read() -> None:
    def broken() -> Any:
        yield from range(7)
        raise OSError("gone")

    function = Function()
    ended: list[int] = []
    with pytest.raises(OSError, match="gone"):
        await drain(batched(function, broken(), Batch(3), clock=ManualClock()), ended)
    assert sorted(ended) == list(range(7))
    assert sorted(function.sizes) == [1, 3, 3]


@pytest.mark.anyio
async def test_leaving_early_leaves_no_task_behind_and_sends_no_more() -> None:
    before, function = tasks(), Function()
    async with batched(function, count(), Batch(3), clock=ManualClock()) as run:
        await anext(run)
    assert tasks() == before
    sent = len(function.sent)
    await anyio.lowlevel.checkpoint()
    assert len(function.sent) == sent


@pytest.mark.anyio
async def test_cancelling_the_block_cancels_its_batches_and_its_watch() -> None:
    before, function = tasks(), Function()
    function.gate = anyio.Event()
    with anyio.CancelScope() as scope:
        async with batched(function, silent(*range(7)), Batch(3), clock=ManualClock()) as run:
            await settle()
            scope.cancel()
            await anext(run)
    assert scope.cancelled_caught
    assert tasks() == before


class Broken:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def pack(self, items: Sequence[Any], common: Any) -> Any:
        raise self._error

    def unpack(self, answer: Any, items: Sequence[Any]) -> Any:
        raise NotImplementedError


@pytest.mark.anyio
async def test_a_shape_that_cannot_pack_fails_its_items_and_nothing_is_sent() -> None:
    function = Function()
    ended = await outcomes_of(function, range(3), Batch(2, shape=Broken(KeyError("secret"))))
    assert [str(each.error) for each in ended] == ["the shape cannot pack the batch: KeyError"] * 3
    assert function.sent == []


class Interrupt(BaseException):
    """Stands for an interrupt, which is no `Exception`."""


@pytest.mark.parametrize("closed", ["full", "ended", "paused"])
@pytest.mark.anyio
async def test_an_interrupt_while_items_that_cannot_be_packed_are_counted_is_raised(
    closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_events, "SAMPLE_EVERY", 0.0)

    def hook(event: object) -> None:
        if isinstance(event, RunSample):
            raise Interrupt

    before = tasks()
    payloads = silent(1) if closed == "paused" else [1]
    batch = Batch(1 if closed == "full" else 2, shape=Broken(ValueError()))
    with anyio.fail_after(SOON), pytest.raises(Interrupt):
        async with (
            Invoker(transport=FakeLambda(), hooks=[hook]) as invoker,
            invoker.map("f", payloads, batch=batch) as run,
        ):
            await anext(run)
    assert tasks() == before


class Given:
    """A shape made of two functions."""

    def __init__(self, pack: Any, unpack: Any) -> None:
        self.pack, self.unpack = pack, unpack


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["clear", "pop", "reverse", "sort"])
async def test_a_shape_cannot_take_items_out_of_a_batch(method: str) -> None:
    def pack(items: Any, _: object) -> Any:
        getattr(items, method)()
        return [item.json() for item in items]

    function = Function()
    shape = Given(pack, lambda answer, _: answer)
    ended = await outcomes_of(function, range(3), Batch(2, shape=shape))
    message = "the shape cannot pack the batch: AttributeError"
    assert [str(each.error) for each in ended] == [message] * 3
    assert function.sent == []


async def later(*given: object) -> object:
    return given[0]


@pytest.mark.anyio
async def test_a_shape_that_would_have_to_be_awaited_fails_its_items_and_drops_no_coroutine() -> (
    None
):
    function = Function()
    packs = Given(lambda *given: later(*given), lambda answer, _: answer)
    unpacks = Given(lambda items, _: [item.json() for item in items], lambda *given: later(*given))
    for shape, message in ((packs, "cannot pack the batch"), (unpacks, "cannot read the answer")):
        ended = await outcomes_of(function, range(3), Batch(2, shape=shape))
        assert [f"the shape {message}: TypeError" in str(each.error) for each in ended] == [
            True
        ] * 3
    gc.collect()  # Python would warn that it was never awaited, an error here
    assert len(function.sent) == 2


@pytest.mark.anyio
async def test_of_a_batch_that_has_ended_nothing_is_kept() -> None:
    def kept() -> int:
        gc.collect()
        return sum(type(each) is BatchItem for each in gc.get_objects())

    before = kept()
    async with batched(Function(), range(1000), Batch(4)) as run:
        for _ in range(900):
            await anext(run)
        # What is under way, and what is read ahead of it; not the 900.
        assert kept() - before < 400


@pytest.mark.anyio
async def test_an_interrupt_out_of_a_shape_ends_the_run_as_itself() -> None:
    batch = Batch(2, shape=Broken(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        await drain(batched(Function(), silent(1, 2, 3), batch, clock=ManualClock()), [])


@pytest.mark.anyio
async def test_an_interrupt_while_an_item_is_named_ends_the_run_as_itself() -> None:
    def interrupted(item: int) -> str:
        if item == 3:
            raise KeyboardInterrupt
        return str(item)

    ended: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        await drain(batched(Function(), silent(1, 2, 3), Batch(2), key=interrupted), ended)
    assert len(ended) in (0, 2), "a batch has all its outcomes, or none"


@pytest.mark.anyio
async def test_a_policy_that_raises_ends_the_run_and_its_batch_has_no_outcome() -> None:
    function = Function(lambda payload: 1 / 0 if payload == [2, 3] else payload)
    ended: list[int] = []
    with pytest.raises(ZeroDivisionError):
        await drain(batched(function, range(4), Batch(2), concurrency=1), ended)
    assert ended == [0, 1]


@pytest.mark.anyio
async def test_a_hundred_batches_that_are_refused_end_a_run_and_not_a_hundred_items() -> None:
    function = Function(lambda payload: REJECTED)
    ended: list[int] = []
    with pytest.raises(ToleranceExceededError, match="100 refusals"):
        await drain(batched(function, count(), Batch(7), concurrency=1), ended)
    assert len(ended) >= 700


@pytest.mark.anyio
async def test_the_concurrency_is_that_of_batches_and_can_be_changed() -> None:
    function = Function()
    function.gate = anyio.Event()
    async with batched(function, count(), Batch(4), concurrency=1) as run:
        await settle()
        assert len(function.sent) == 1
        run.set_concurrency(3)
        await settle()
        assert function.sizes == [4, 4, 4]
        function.gate.set()
        with anyio.fail_after(SOON):
            assert json.loads((await anext(run)).unwrap().payload) >= 0


@pytest.mark.anyio
async def test_an_item_that_is_too_large_for_any_batch_fails_alone_with_the_reason() -> None:
    function = Function()
    large = "x" * 6_291_456
    ended = await outcomes_of(function, [1, large, 2], Batch(3))
    assert [each.ok for each in sorted(ended, key=lambda each: each.index)] == [True, False, True]
    (failed,) = [each.error for each in ended if each.error is not None]
    assert isinstance(failed, InvalidRequestError)
    assert "too large" in str(failed)
    assert "xxx" not in str(failed)
    assert [batch for _, batch in function.sent] == [[1, 2]]


@pytest.mark.anyio
async def test_an_item_that_is_an_event_travels_with_events_under_their_limit() -> None:
    from asyncinvoke._model.response import Reply

    function = Function(
        lambda payload: Reply(status_code=202, payload=b"") if payload[0] == "e" else payload
    )
    large = "x" * 1_048_576
    items = [1, Request(payload="e", invocation_type="Event"), large]
    items.append(Request(payload=large, invocation_type="Event"))
    ended = await outcomes_of(function, items, Batch(9))
    by_index = {each.index: each for each in ended}
    assert by_index[1].unwrap().status_code == 202
    assert by_index[2].ok
    assert "too large" in str(by_index[3].error)
    assert [batch for _, batch in function.sent if batch[0] == "e"] == [["e"]]


@pytest.mark.anyio
async def test_a_common_value_that_is_too_large_is_refused_before_anything_is_read() -> None:
    function, payloads = Function(), iter(range(3))
    batch = Batch(9, bytes=1_000, shape="items", common="x" * 1_000)
    with pytest.raises(InvalidRequestError, match="batch common makes 1,024 bytes"):
        await outcomes_of(function, payloads, batch)
    assert (function.sent, list(payloads)) == ([], [0, 1, 2])
