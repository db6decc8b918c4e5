"""Shards: each item is in exactly one, and positions are those in the whole input."""

import hashlib
from collections import Counter
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncinvoke import Batch, InvalidRequestError, Invoker, Request, Shard
from asyncinvoke._engine.batch_work import BatchWork
from asyncinvoke._engine.batcher import Batcher
from asyncinvoke._engine.map_block import open_run
from asyncinvoke._engine.shard import ShardFilter, checked_shard
from tests.batches.maps import Function
from tests.doubles.engine import engine, item_work

SOON = 60.0


@given(position=st.integers(0, 10**15), key=st.none() | st.text(), of=st.integers(1, 40))
def test_an_item_is_in_exactly_one_shard(position: int, key: str | None, of: int) -> None:
    having = [number for number in range(1, of + 1) if Shard(number, of=of).has(position, key)]
    assert len(having) == 1


def test_the_items_of_a_shard_can_be_computed_by_hand() -> None:
    assert [n for n in range(12) if Shard(3, of=5).has(n, None)] == [2, 7]
    number = int(hashlib.sha256(b"cat.jpg").hexdigest(), 16) % 10 + 1
    assert Shard(number, of=10).has(0, "cat.jpg")
    assert Shard(number, of=10).has(1, "cat.jpg")


@pytest.mark.parametrize("text", ["3/10", " 3/10\n"])
def test_a_shard_is_read_from_text_and_written_as_it(text: str) -> None:
    assert Shard.parse(text) == Shard(3, of=10)
    assert str(Shard(3, of=10)) == "3/10"


WRONG: list[tuple[Any, str]] = [
    (lambda: Shard.parse("0/10"), "shard 0/10: shards are numbered from 1"),
    (lambda: Shard.parse("0/10"), "$((JOB_COMPLETION_INDEX + 1))/10"),
    (lambda: Shard.parse("11/10"), "shard 11/10: no such shard, only 1/10 to 10/10"),
    (lambda: Shard(1, of=0), "shard of 0: there must be one at least"),
    (lambda: Shard(1, of=100_001), "shard of 100001: there may be 100000 at most"),
    (lambda: Shard.parse("7/1000000000000"), "there may be 100000 at most"),
    (lambda: Shard(-1, of=3), "no such shard"),
    (lambda: Shard.parse("3"), "shard '3' must be a number of how many, such as 3/10"),
    (lambda: Shard.parse("/10"), "must be a number of how many"),
    (lambda: Shard.parse("a/b"), "must be a number of how many"),
    (lambda: Shard.parse("1/2/3"), "must be a number of how many"),
    (lambda: Shard.parse("-1/3"), "must be a number of how many"),
    (lambda: Shard.parse("9" * 5_000 + "/3"), "must be a number of how many"),
    (lambda: Shard.parse(3), "must be a number of how many"),  # type: ignore[arg-type]
    (lambda: Shard("3", of=10), "shard number '3' must be a whole number"),  # type: ignore[arg-type]
    (lambda: Shard(True, of=10), "must be a whole number"),
    (lambda: checked_shard("3/10"), "must be a Shard, such as Shard(3, of=10)"),
]


@pytest.mark.parametrize(("make", "says"), WRONG, ids=[says for _, says in WRONG])
def test_an_invalid_shard_is_one_clear_error(make: Any, says: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        make()
    assert says in str(raised.value)


def key_of(item: Any) -> str | None:
    return str(item)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    payloads=st.lists(st.integers(0, 9), max_size=40),
    of=st.integers(1, 5),
    batch=st.none() | st.integers(1, 6),
    ordered=st.booleans(),
    keyed=st.booleans(),
    concurrency=st.integers(1, 4),
)
@settings(max_examples=40)
def test_all_shards_together_send_every_item_once(
    backend: str,
    payloads: list[int],
    of: int,
    batch: int | None,
    ordered: bool,
    keyed: bool,
    concurrency: int,
) -> None:
    sent: Counter[int] = Counter()

    async def play() -> None:
        for number in range(1, of + 1):
            scripted, function = engine(limit=100), Function()
            scripted.script = function  # type: ignore[assignment]  # it sends, and no more is asked
            work = item_work(scripted, {}, key=key_of if keyed else None)
            batcher = None
            if batch is not None:
                batcher = Batcher(BatchWork(work, Batch(batch)), clock=scripted.clock)
            run_of = open_run(
                payloads,
                work,
                concurrency=concurrency,
                ordered=ordered,
                clock=scripted.clock,
                batcher=batcher,
                shard_filter=ShardFilter(Shard(number, of=of), work.name),
            )
            with anyio.fail_after(SOON):
                async with run_of as run:
                    ended = [each async for each in run]
            indexes = [each.index for each in ended]
            assert not ordered or indexes == sorted(indexes)
            assert run.statistics().read == len(ended)
            for each in ended:
                assert each.unwrap().json() == payloads[each.index]
            sent.update(indexes)

    anyio.run(play, backend=backend)
    assert sent == Counter(range(len(payloads)))


def test_an_item_that_cannot_be_named_goes_by_its_position() -> None:
    work = item_work(engine(), {}, key=lambda payload: payload["id"])
    filters = [ShardFilter(Shard(number, of=4), work.name) for number in range(1, 5)]
    for position in range(8):
        having = [
            number for number, shard_filter in enumerate(filters) if shard_filter(position, {})
        ]
        assert having == [position % 4]
    named = Request(key="cat.jpg")
    assert {
        tuple(shard_filter(position, named) for shard_filter in filters) for position in range(8)
    } == {tuple(shard_filter(0, {"id": "cat.jpg"}) for shard_filter in filters)}


@pytest.mark.anyio
async def test_a_map_refuses_an_invalid_shard_before_anything_is_sent() -> None:
    async with Invoker(endpoint_url="http://127.0.0.1:9") as invoker:
        with pytest.raises(InvalidRequestError, match="must be a Shard"):
            invoker.map("f", [1], shard="3/10")  # type: ignore[arg-type]
        with pytest.raises(InvalidRequestError, match="must be a number of items, or a Batch"):
            invoker.map("f", [1], batch="50")  # type: ignore[arg-type]
