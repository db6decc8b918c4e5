"""`docs/batches.md`: every example runs, and the description of each shape is correct."""

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

import asyncinvoke
from asyncinvoke import Batch, FunctionError, Invoker, ItemFailed
from asyncinvoke._batches.batch import SHAPES
from asyncinvoke._engine.batcher import MOST_OPEN, PAUSE
from asyncinvoke._engine.buffer import AHEAD
from asyncinvoke.local import LocalLambda

PAGE = (Path(__file__).parents[2] / "docs" / "batches.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
MAPS = [example for example in EXAMPLES if "invoker.map" in example]
(SHAPE,) = [example for example in EXAMPLES if "def pack" in example]
SOON = 60.0


async def charge(event: list[Any], context: object) -> list[Any]:
    return [order["id"] for order in event]


async def convert(event: dict[str, Any], context: object) -> dict[str, Any]:
    assert event["common"] == {"currency": "EUR"}
    return {"results": [{"id": item["id"], "result": item["key"]} for item in event["items"]]}


async def check(event: dict[str, Any], context: object) -> dict[str, Any]:
    return {"ok": event["rows"][1:], "bad": {"0": "why"}}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_every_map_of_the_page_runs() -> None:
    orders = [{"id": str(number)} for number in range(120)]
    assert len(MAPS) == 2
    async with LocalLambda() as local:
        local.function("charge", charge)
        local.function("convert", convert)
        async with Invoker(endpoint_url=local.url) as invoker:
            for example in MAPS:
                names: dict[str, Any] = {**vars(asyncinvoke), "Batch": Batch}
                exec(
                    "async def example(invoker, orders):\n"
                    + textwrap.indent(example, "    ")
                    + "    return locals()",
                    names,
                )
                with anyio.fail_after(SOON):
                    made = await names["example"](invoker, orders)
        assert sorted(made["converted"], key=int) == [order["id"] for order in orders]
        assert local.statistics().invocations == 6


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_shape_of_the_page_is_one() -> None:
    names: dict[str, Any] = {"ItemFailed": ItemFailed}
    exec(SHAPE, names)
    async with LocalLambda() as local:
        local.function("check", check)
        with anyio.fail_after(SOON):
            async with (
                Invoker(endpoint_url=local.url) as invoker,
                invoker.map("check", range(5), batch=Batch(5, shape=names["Rows"]())) as run,
            ):
                ended = sorted([each async for each in run], key=lambda each: each.index)
    assert isinstance(ended[0].error, FunctionError)
    assert ended[0].error.error_message == "why"
    assert [each.unwrap().json() for each in ended[1:]] == [1, 2, 3, 4]


def test_the_numbers_and_names_of_the_page_are_those_of_the_code() -> None:
    rows: Sequence[str] = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert tuple(rows) == SHAPES
    text = " ".join(PAGE.split())
    assert f"nothing for {PAUSE * 1000:g} ms" in text
    assert (AHEAD, "`concurrency` + 2 batches are read" in text) == (2, True)
    assert (MOST_OPEN, "Up to eight such batches" in text) == (8, True)
