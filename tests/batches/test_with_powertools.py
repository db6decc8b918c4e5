"""AWS's batch processor, in AWS's runtime, is the function: over HTTP."""

import re
from collections import Counter
from pathlib import Path

import anyio
import pytest

from asyncinvoke import Batch, Delivery, FunctionError, Invoker
from asyncinvoke.local import LocalLambda

SOON = 60.0
PAGE = (Path(__file__).parents[2] / "docs" / "batches.md").read_text("utf-8")

# The page's example, and what the test needs to know of it. It runs in a separate process,
# because Powertools hooks into the SDK of the process that imports it.
IMPORTS = """
import os
from pathlib import Path

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)

"""
BODY = """
    assert record.event_source == "aws:sqs"
    assert record.message_attributes["key"].string_value == order["id"]
    with Path(os.environ["SEEN"]).open("a") as seen:
        seen.write(f"{order['id']}\\n")
    if order["amount"] < 0:
        raise ValueError("no such amount")
"""
CALLED = """
    with Path(os.environ["CALLS"]).open("a") as calls:
        calls.write(f"{len(event['Records'])}\\n")
"""


def write_function(folder: Path) -> str:
    (block,) = re.findall(r"^```python\n(def charge.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    code = block.replace("    ...\n", BODY).replace("context):\n", f"context):\n{CALLED}")
    (folder / "charges.py").write_text(IMPORTS + code, encoding="utf-8")
    return f"{folder / 'charges.py'}:handler"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_powertools_names_as_failed_is_what_failed(tmp_path: Path) -> None:
    seen, calls = tmp_path / "seen", tmp_path / "calls"
    # The last batch has only failures, for which Powertools raises.
    orders = [{"id": f"é{n}", "amount": -1 if n % 7 == 0 or n > 89 else n} for n in range(100)]
    async with LocalLambda() as local:
        environment = {"SEEN": str(seen), "CALLS": str(calls)}
        local.function("charge", write_function(tmp_path), timeout=SOON, environment=environment)
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
    assert Counter(seen.read_text("utf-8").split()) == Counter(order["id"] for order in orders)
    assert calls.read_text("utf-8").split() == ["30", "30", "30", "10"]
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
