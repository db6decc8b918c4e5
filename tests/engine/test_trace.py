"""An invocation makes few calls of ours: counted, so that they do not grow unnoticed."""

import pytest

from .trace import report


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_warm_invocation_makes_at_most_35_calls_of_ours_beside_http() -> None:
    warm = (await report())["invoke"]
    assert len(warm.calls) - warm.of_http <= 35, "\n".join(warm.calls)
