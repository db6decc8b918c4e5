"""When a batch is closed, and that its payload never exceeds Lambda's limit."""

import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import Batch, InvalidRequestError
from asyncinvoke._batches.batch import format_of
from asyncinvoke._batches.formats import BatchFormat
from asyncinvoke._batches.packing import Bounds, Filling, Packed, check_common, checked_json, pack
from asyncinvoke._batches.shape import BatchItem
from asyncinvoke._request.request import InvocationType


class Bloated:
    """A shape that makes items larger."""

    def __init__(self, factor: int) -> None:
        self._factor = factor

    def pack(self, items: Sequence[BatchItem], common: Any) -> Any:
        return b"[" + b",".join(item.payload * self._factor for item in items) + b"]"

    def unpack(self, answer: Any, items: Sequence[BatchItem]) -> Sequence[Any]:
        raise NotImplementedError


def item(index: int, size: int, key: str | None = None) -> BatchItem:
    return BatchItem(index=index, key=key, payload=b'"' + b"x" * size + b'"')


def gather(made: BatchFormat, bounds: Bounds, sizes: list[int]) -> tuple[list[Filling], list[int]]:
    """Put items of these sizes into batches, as a map does; return oversized ones apart."""
    closed, refused = [Filling(made, bounds)], []
    for index, size in enumerate(sizes):
        each = item(index, size)
        piece = made.piece(each)
        if sum(map(len, made.ends)) + len(piece) > bounds.limit:
            refused.append(index)
            continue
        if closed[-1].is_full or not closed[-1].takes(piece):
            closed.append(Filling(made, bounds))
        closed[-1].add(each, piece)
    return [filling for filling in closed if filling.items], refused


@pytest.mark.parametrize(
    "shape",
    ["list", "items", "sqs", "stepfunctions", pytest.param(Bloated(3), id="bloated")],
)
@given(
    sizes=st.lists(st.integers(0, 3_000), min_size=1, max_size=30),
    most=st.integers(1, 9),
    most_bytes=st.integers(1, 5_000),
    limit=st.integers(1, 6_000),
)
def test_every_item_travels_once_and_no_batch_is_too_large(
    shape: Any, sizes: list[int], most: int, most_bytes: int, limit: int
) -> None:
    made = format_of(Batch(most, shape=shape))
    bounds = Bounds(items=most, bytes=min(most_bytes, limit), limit=limit)
    fillings, refused = gather(made, bounds, sizes)
    sent = []
    for filling in fillings:
        assert len(filling.items) <= most
        for packed in pack(made, filling.items, filling.pieces, bounds):
            if packed.error is not None:
                refused += [each.index for each in packed.items]
                assert len(packed.items) == 1
                continue
            assert len(packed.payload) <= limit
            assert len(packed.items) == 1 or len(packed.payload) <= bounds.bytes
            sent += [each.index for each in packed.items]
    assert sent == sorted(sent)
    assert sorted(sent + refused) == list(range(len(sizes)))
    for index in refused:
        alone = item(index, sizes[index])
        assert len(made.pack([alone], [made.piece(alone)])) > limit


@given(sizes=st.lists(st.integers(0, 900), min_size=2, max_size=30))
def test_a_batch_is_not_closed_while_the_next_item_fits(sizes: list[int]) -> None:
    made = format_of(Batch(1_000))
    bounds = Bounds(items=1_000, bytes=1_000, limit=1_000)
    fillings, _ = gather(made, bounds, sizes)
    for filling, following in pairwise(fillings):
        together = [*filling.items, following.items[0]]
        assert len(made.pack(together, [made.piece(each) for each in together])) > 1_000


def test_the_bytes_of_a_batch_are_those_that_lambda_takes() -> None:
    assert Bounds.of(Batch(2), InvocationType.REQUEST_RESPONSE).limit == 6_291_456
    assert Bounds.of(Batch(2), InvocationType.EVENT).bytes == 1_048_576
    assert Bounds.of(Batch(2, bytes=50), InvocationType.EVENT).bytes == 50


@pytest.mark.parametrize("shape", ["list", "items", "sqs", "stepfunctions"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("too_much", [0, 1])
def test_exactly_what_lambda_takes_is_one_batch_and_a_byte_more_is_not(
    shape: Any, count: int, too_much: int
) -> None:
    made = format_of(Batch(2, shape=shape))
    bounds = Bounds.of(Batch(2, shape=shape), InvocationType.REQUEST_RESPONSE)
    text = '"é\\\\😀' * 9  # which `sqs` encodes in other numbers of bytes

    def gathered(last: int) -> list[BatchItem]:
        ends = [*[""] * (count - 1), "x" * last]
        return [
            BatchItem(index=index, payload=json.dumps(text + end, ensure_ascii=False).encode())
            for index, end in enumerate(ends)
        ]

    empty = gathered(0)
    size = len(made.pack(empty, [made.piece(each) for each in empty]))
    filling, whole = Filling(made, bounds), gathered(bounds.limit - size + too_much)
    pieces = [made.piece(each) for each in whole]
    for each, piece in zip(whole[:-1], pieces[:-1], strict=True):
        filling.add(each, piece)
    assert filling.takes(pieces[-1]) == (count == 1 or not too_much)
    (packed, *more) = pack(made, whole, pieces, bounds)
    if not too_much:
        assert (len(packed.payload), more) == (bounds.limit, [])
    else:
        assert (packed.error is None, len(more)) == (count == 2, count - 1)


class Own:
    """A shape that is a function."""

    def __init__(self, pack: Callable[[Sequence[BatchItem]], Any]) -> None:
        self._pack = pack

    def pack(self, items: Sequence[BatchItem], common: Any) -> Any:
        return self._pack(items)

    def unpack(self, answer: Any, items: Sequence[BatchItem]) -> Sequence[Any]:
        raise NotImplementedError


def packed_by(shape: Own) -> list[Packed]:
    bounds = Bounds.of(Batch(2), InvocationType.REQUEST_RESPONSE)
    return list(pack(format_of(Batch(2, shape=shape)), [item(0, 3), item(1, 3)], [b""] * 2, bounds))


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        (lambda items: {}[items[0].json()], "KeyError"),
        (lambda items: next(iter(items[:0])), "StopIteration"),
        (lambda items: None, "it returned nothing"),  # as a function without `return` does
        (lambda items: b"", "it returned nothing"),
        (lambda items: {items[0].json()}, "it holds a value of type set, which JSON cannot hold"),
        (lambda items: items, "it holds a value of type BatchItem, which JSON cannot hold"),
        (lambda items: [math.inf], "it holds NaN or an infinity, which JSON cannot hold"),
    ],
)
def test_a_shape_that_cannot_pack_gives_the_reason_without_quoting_items(
    shape: Any, says: str
) -> None:
    (packed,) = packed_by(Own(shape))
    assert str(packed.error) == f"the shape cannot pack the batch: {says}"
    assert len(packed.items) == 2


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_shape_may_give_bytes_of_any_kind(kind: Any) -> None:
    (packed,) = packed_by(Own(lambda items: kind(b"[1, 2]")))
    assert (packed.error, packed.payload) == (None, b"[1, 2]")


MOST, MOST_OF_EVENTS = 6_291_456, 1_048_576


@pytest.mark.parametrize("shape", ["items", "stepfunctions"])
@pytest.mark.parametrize(
    ("size", "most", "kind"),
    [
        (1_000, 1_000, InvocationType.REQUEST_RESPONSE),
        (MOST, None, InvocationType.REQUEST_RESPONSE),
        (MOST_OF_EVENTS, None, InvocationType.EVENT),
        (MOST_OF_EVENTS, MOST, InvocationType.EVENT),
    ],
)
def test_a_common_value_that_leaves_no_room_for_items_is_refused(
    shape: Any, size: int, most: int | None, kind: InvocationType
) -> None:
    for too_much in (0, 1):
        around = sum(map(len, format_of(Batch(2, shape=shape, common="")).ends))
        batch = Batch(2, bytes=most, shape=shape, common="x" * (size - around - 1 + too_much))
        ends = sum(map(len, format_of(batch).ends))
        bounds = Bounds.of(batch, kind)
        if not too_much:
            check_common(batch, ends, bounds)
            continue
        with pytest.raises(
            InvalidRequestError, match=f"{size:,} bytes of a batch without"
        ) as message:
            check_common(batch, ends, bounds)
        assert "xxx" not in str(message.value)


def test_bytes_that_are_fewer_than_what_stands_around_items_send_each_alone() -> None:
    batch = Batch(2, bytes=1)
    check_common(batch, 2, Bounds.of(batch, InvocationType.REQUEST_RESPONSE))


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"{a", "it is not JSON"),
        (b"1 2", "it is not JSON"),
        (b"NaN", "it is not JSON"),
        (b"\xff", "it is not UTF-8"),
        ("1".encode("utf-16"), "it is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_not_json_cannot_stand_beside_others(payload: bytes, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"payload cannot go into a batch: {says}"):
        checked_json(payload)


@pytest.mark.parametrize("payload", [b"1", b' {"a": [1, null]} ', b"1" * 5_000, '"é"'.encode()])
def test_json_goes_in_as_it_is_and_nothing_as_an_empty_object(payload: bytes) -> None:
    assert checked_json(payload) == payload
    assert checked_json(b"") == b"{}"
    json.loads(checked_json(b""))
