"""Integer options: values that are too large are refused when they are given."""

from collections.abc import Callable

import pytest

from asyncinvoke import Batch, InvalidRequestError, Shard, Tolerance
from asyncinvoke._engine.buffer import Buffer
from asyncinvoke._engine.tolerance import checked_tolerance
from asyncinvoke._request.numbers import MOST

TAKERS: dict[str, Callable[[int], object]] = {
    "batch items": Batch,
    "batch bytes": lambda number: Batch(1, bytes=number),
    "count": Tolerance,
    "after": lambda number: Tolerance(share=0.5, after=number),
    "tolerate": checked_tolerance,
    "shard number": lambda number: Shard(number, of=MOST),
    "shard of": lambda number: Shard(1, of=number),
    "concurrency": lambda number: Buffer(number, ordered=False),
}


@pytest.mark.parametrize(
    "number", [MOST + 1, 10**400, 10**5000, -(10**5000)], ids=["next", "huge", "very", "negative"]
)
@pytest.mark.parametrize("name", TAKERS)
def test_a_number_that_nothing_can_hold_is_refused_by_name(name: str, number: int) -> None:
    with pytest.raises(InvalidRequestError, match=rf"^{name} ") as caught:
        TAKERS[name](number)
    assert len(str(caught.value)) < 200
