"""A recorded map whose invoker closes first stops at once, and items not sent have no outcome."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from asyncinvoke import ConfigurationError, InvocationError, Invoker, Outcome
from tests.journal.fake_service import FakeService

pytestmark = pytest.mark.anyio


def flat(sent: list[object]) -> set[object]:
    """Return the items that were sent, in batches or not."""
    return {item for each in sent for item in (each if isinstance(each, list) else [each])}


@pytest.mark.parametrize("batch", [None, 3])
async def test_what_was_read_ahead_is_not_recorded_as_failed_and_runs_when_it_is_continued(
    tmp_path: Path, batch: int | None
) -> None:
    path, service = tmp_path / "orders.run", FakeService()
    read: list[int] = []
    outcomes: list[Outcome] = []
    read_by_then = 0

    def endless() -> Iterator[int]:
        for number in itertools.count():
            read.append(number)
            yield number

    invoker = Invoker(transport=service)
    await invoker.__aenter__()

    async def consume() -> None:
        nonlocal read_by_then
        async with invoker.map("work", endless(), journal=path, concurrency=4, batch=batch) as run:
            async for outcome in run:
                outcomes.append(outcome)
                if len(outcomes) == 300:
                    await invoker.__aexit__(None, None, None)
                    read_by_then = len(read)

    with anyio.fail_after(60), pytest.raises(ConfigurationError, match="reads no further"):
        await consume()
    assert len(read) <= read_by_then + 1
    ended = {outcome.index for outcome in outcomes}
    # Items in flight, sent or about to be, have outcomes; items read ahead have none.
    assert flat(service.sent) <= ended
    assert len(ended - flat(service.sent)) <= 4 * (batch or 1)
    assert len(read) > len(ended), "nothing was read ahead, so this shows nothing"
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert {e.code for e in errors if isinstance(e, InvocationError)} <= {"InvokerClosed"}

    again = FakeService()
    await again.map(path, range(len(read)), batch=batch)
    assert flat(again.sent) == set(range(len(read))) - ended
