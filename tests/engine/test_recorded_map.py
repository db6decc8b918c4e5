"""A recorded map whose invoker ends first: it stops at once, and what was not sent has no end."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from asyncinvoke import ConfigurationError, InvocationError, Invoker, Outcome
from tests.journal.worlds import World

pytestmark = pytest.mark.anyio


def flat(sent: list[object]) -> set[object]:
    """What was sent, item by item, in batches or not."""
    return {item for each in sent for item in (each if isinstance(each, list) else [each])}


@pytest.mark.parametrize("batch", [None, 3])
async def test_what_was_read_ahead_is_not_recorded_as_failed_and_runs_when_it_is_continued(
    tmp_path: Path, batch: int | None
) -> None:
    path, world = tmp_path / "orders.run", World()
    read: list[int] = []
    outcomes: list[Outcome] = []
    read_by_then = 0

    def endless() -> Iterator[int]:
        for number in itertools.count():
            read.append(number)
            yield number

    invoker = Invoker(transport=world)
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
    # What was in flight has its end, sent or about to be; what was read ahead has none.
    assert flat(world.sent) <= ended
    assert len(ended - flat(world.sent)) <= 4 * (batch or 1)
    assert len(read) > len(ended), "nothing was read ahead, so this shows nothing"
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert {e.code for e in errors if isinstance(e, InvocationError)} <= {"InvokerClosed"}

    again = World()
    await again.map(path, range(len(read)), batch=batch)
    assert flat(again.sent) == set(range(len(read))) - ended
