"""`docs/runs.md`: every example runs, in the order of the page, and continues the one before."""

import re
import textwrap
from pathlib import Path
from typing import Any

import anyio
import pytest

import asyncinvoke
from asyncinvoke import Invoker
from asyncinvoke.runs import open_run
from asyncinvoke.testing import FakeLambda
from tests.journal.fake_service import FakeService

PAGE = (Path(__file__).parents[2] / "docs" / "runs.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SOON = 60


def charge(order: dict[str, str], context: object) -> str:
    if order["id"].endswith("3"):
        raise ValueError("no such account")
    return order["id"]


@pytest.mark.anyio
async def test_every_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fake = FakeLambda()
    fake.function("charge", charge)
    lost = FakeService(lost=[{"id": "17"}])
    made: dict[str, Any] = {"orders": [{"id": str(number)} for number in range(40)]}
    await lost.map(Path("orders.run"), made["orders"][:20], "charge")
    assert len(EXAMPLES) == 5
    async with Invoker(transport=fake) as invoker:
        for example in EXAMPLES:
            names = dict(vars(asyncinvoke)) | made
            exec(
                f"async def example(invoker):\n{textwrap.indent(example, '    ')}\n    return locals()",
                names,
            )
            with anyio.fail_after(SOON):
                made |= await names["example"](invoker)
    message = capsys.readouterr().out
    assert "no such account" in message
    assert "17 None None" in message
    assert len(made["done"]) == 40
    assert {outcome.take for outcome in made["now"]} == {2}
    with open_run("orders.run") as recorded:
        assert recorded.item(position=17) is None
        assert recorded.summary().ended == 39
