"""An invocation makes few calls of ours, in few files: counted, so that neither grows unnoticed."""

import pytest

from .trace import Trace, report


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def traces() -> dict[str, Trace]:
    return await report()


@pytest.mark.anyio
async def test_a_warm_invocation_makes_at_most_35_calls_of_ours_beside_http(
    traces: dict[str, Trace],
) -> None:
    warm = traces["invoke"]
    assert len(warm.calls) - warm.of_http <= 35
