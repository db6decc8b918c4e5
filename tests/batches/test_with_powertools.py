"""AWS's own batch processor, in AWS's own runtime, is the function's side: over HTTP."""

from collections import Counter
from pathlib import Path

import anyio
import pytest

from asyncinvoke import Batch, Delivery, FunctionError, Invoker
from asyncinvoke.local import LocalLambda

SOON = 60.0
HANDLER = f"{Path(__file__).with_name('charges.py')}:handler"
"""In a process of its own: Powertools hooks into the SDK of the one that imports it."""


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_powertools_names_as_failed_is_what_failed(tmp_path: Path) -> None:
    seen, calls = tmp_path / "seen", tmp_path / "calls"
    # The last batch has nothing but failures, for which Powertools raises.
    orders = [{"id": f"é{n}", "amount": -1 if n % 7 == 0 or n > 89 else n} for n in range(100)]
    async with LocalLambda() as local:
        environment = {"SEEN": str(seen), "CALLS": str(calls)}
        local.function("charge", HANDLER, timeout=SOON, environment=environment)
        with anyio.fail_after(SOON):
            async with (
                Invoker(endpoint_url=local.url) as invoker,
                invoker.map(
                    "charge",
                    orders,
                    key=lambda order: order["id"],
                    batch=Batch(30, shape="sqs"),
                    concurrency=1,
                    ordered=True,
                ) as run,
            ):
                ended = [each async for each in run]
    assert Counter(seen.read_text().split()) == Counter(order["id"] for order in orders)
    assert calls.read_text().split() == ["30", "30", "30", "10"]
    assert [each.index for each in ended] == list(range(100))
    for each in ended:
        assert each.key == orders[each.index]["id"]
        assert each.ok == (each.index % 7 != 0 and each.index < 90)
        if each.error is not None:
            assert isinstance(each.error, FunctionError)
            assert each.error.delivery is Delivery.EXECUTED
            raised = each.index >= 90
            wanted = "BatchProcessingError" if raised else "BatchItemFailure"
            assert each.error.error_type == wanted
