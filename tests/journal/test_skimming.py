"""Comparing the finished beginning of an input in blocks has the same result as item by item."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import InvalidRequestError, Journal, JournalMismatchError
from asyncinvoke._engine.recording import Written
from asyncinvoke._journal import skimming
from asyncinvoke._journal.skimming import Piece, next_piece
from tests.journal.fake_service import FakeService, indexes

anyio_only = pytest.mark.anyio


def digits(payload: bytes) -> str:
    if payload == b"5":
        raise LookupError("no key")
    return "\ud800" if payload == b"6" else payload.decode()


def pieces(items: Iterator[object], *, most: int = 1000) -> Iterator[tuple[Piece, list[int]]]:
    """Yield pieces until the input has ended, each with its block sizes."""

    def write(block: list[object]) -> Written:
        sizes.append(len(block))
        bodies: list[bytes] = []
        for item in block:
            if not isinstance(item, bytes):
                break
            bodies.append(item)
        return Written(bodies, [None] * len(bodies), [])  # type: ignore[list-item]  # not read

    while True:
        sizes: list[int] = []
        piece = next_piece(items, write, most=most, monotonic=lambda: 0.0)
        yield piece, sizes
        if not piece.is_whole or not piece.items:
            return


@given(
    st.lists(st.one_of(st.binary(max_size=3), st.just(None)), max_size=300),
    st.one_of(st.none(), st.integers(0, 300)),
    st.integers(1, 200),
)
def test_no_item_is_lost_or_read_twice_wherever_an_input_breaks(
    items: list[bytes | None], broken: int | None, most: int
) -> None:
    def given_items() -> Iterator[object]:
        for number, item in enumerate(items):
            if number == broken:
                raise OSError("gone")
            yield item

    source, found = given_items(), []
    last = Piece()
    for last, _ in pieces(source, most=most):
        assert len(last.items) <= most
        if not last.is_whole:
            break
        assert last.written.bodies == last.items
        found += last.items
    try:
        for item in last.before(source):
            found.append(item)
    except OSError:
        assert broken is not None
        assert broken < len(items)
    assert found == items[:broken]


def test_a_block_is_at_most_as_large_as_what_was_read_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (_, sizes), *_ = pieces(iter([b"x"] * 400))
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64, 17]
    monkeypatch.setattr(skimming, "MOST_BYTES", 1000)
    large = iter([b"x" * 400] * 10)
    assert [len(piece.items) for piece, _ in pieces(large)] == [3, 3, 3, 1, 0]


@anyio_only
@pytest.mark.parametrize("keyed", [False, True])
async def test_bytes_that_have_ended_are_not_sent_again(
    tmp_path: Path, keyed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skimming, "MOST", 64)
    journal = Journal(tmp_path / "orders.run", results=False)
    options: dict[str, Any] = {"key": bytes.decode} if keyed else {}
    items = [b"%d" % number for number in range(200)]
    await FakeService().map(journal, items, **options)
    service = FakeService()
    await service.map(journal, iter([*items, b"200"]), **options)
    assert service.sent == [200]
    assert service.statistics is not None
    assert service.statistics.recorded == 200
    changed = [*items[:150], b" 150", *items[151:]]
    if keyed:
        options["key"] = lambda payload: payload.decode().strip()
    with pytest.raises(JournalMismatchError, match=r"item '?150'? is not what it was"):
        await service.map(journal, iter(changed), **options)


@anyio_only
async def test_items_without_a_valid_key_fail_each_time_and_hold_up_no_others(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "orders.run", results=False)
    service = FakeService()
    for count in (20, 22):
        outcomes = await service.map(
            journal, (b"%d" % number for number in range(count)), key=digits
        )
        failed = [each for each in outcomes if not each.ok]
        assert indexes(failed) == [5, 6]
        assert {type(each.error) for each in failed} == {InvalidRequestError}
    assert sorted(service.sent) == [20, 21]
