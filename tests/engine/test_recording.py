"""The record of an item is the same whether the item is sent or only compared."""

from pathlib import Path
from typing import Any

import pytest

from asyncinvoke import Journal, JournalMismatchError, Request
from asyncinvoke._request.payload import MAX_EVENT_PAYLOAD
from tests.journal.fake_service import FakeService, indexes

pytestmark = pytest.mark.anyio

LONGEST = b'"%b"' % (b"a" * (MAX_EVENT_PAYLOAD - 2))


@pytest.mark.parametrize("invocation_type", ["RequestResponse", "Event"])
async def test_items_of_every_kind_are_what_they_were_when_a_run_is_continued(
    tmp_path: Path, invocation_type: Any
) -> None:
    items = [b"1", bytearray(b"2"), memoryview(b"3"), 4, Request(payload=b"5"), LONGEST]
    items.append(LONGEST + b" ")  # too long for an event
    journal, service = Journal(tmp_path / "orders.run", replay=False), FakeService()
    first = await service.map(journal, iter(items), invocation_type=invocation_type)
    assert indexes(first) == list(range(len(items)))
    sent = 7 if invocation_type == "RequestResponse" else 6
    assert len(service.sent) == sent
    assert not await service.map(journal, iter(items), invocation_type=invocation_type)
    assert not service.sent


@pytest.mark.parametrize("changed", [b"21", bytearray(b"21"), Request(payload=b"21"), 21], ids=type)
async def test_a_byte_that_differs_is_seen_whatever_kind_of_bytes_it_is_in(
    tmp_path: Path, changed: object
) -> None:
    journal, service = Journal(tmp_path / "orders.run", replay=False), FakeService()
    await service.map(journal, iter([b"10", b"20"]))
    with pytest.raises(JournalMismatchError, match="item 1"):
        await service.map(journal, iter([b"10", changed]))
    assert not service.sent
