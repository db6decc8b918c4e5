"""An invocation makes few calls of ours: counted, so that they do not grow unnoticed."""

import pytest

from .trace import HTTP, report


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_warm_invocation_makes_at_most_35_calls_of_ours_beside_http() -> None:
    warm = (await report())["invoke"]
    assert len(warm.calls) - warm.of_http <= 35, "\n".join(warm.calls)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_exchange_of_a_warm_invocation_is_at_most_26_calls_in_six_files() -> None:
    warm = (await report())["invoke"]
    of_http = [call for call in warm.calls if call.startswith(HTTP)]
    assert len(of_http) <= 26, "\n".join(of_http)
    assert len({call.split()[0] for call in of_http}) <= 6
