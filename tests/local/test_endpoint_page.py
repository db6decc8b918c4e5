"""`docs/endpoint.md`: every example runs, and its table of conditions is that of the queue."""

import ast
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import asyncinvoke.local

HOME = Path(asyncinvoke.local.__file__).parent
PAGE = (Path(__file__).parents[2] / "docs" / "endpoint.md").read_text("utf-8")
WHOLE, *PARTS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

BEFORE = """
import anyio

from asyncinvoke import Invoker
from asyncinvoke.local import LocalLambda
"""

AROUND = """
async def main():
    async with LocalLambda(event_time_scale=0.001) as local:
        async with Invoker(region_name="us-east-1", endpoint_url=local.url) as invoker:
{part}
            print("{number} ran")

anyio.run(main)
"""

HANDLERS = """
import os

def thumbnail(event, context):
    return {"bucket": os.environ["BUCKET"], "key": event["key"]}
"""


def run(code: str, folder: Path) -> str:
    (folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    (folder / "example.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=folder,
        env={
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "PYTHONPATH": os.pathsep.join(sys.path),  # the package under test
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_first_example_is_a_whole_script(tmp_path: Path) -> None:
    assert run(WHOLE, tmp_path) == "cat.jpg $LATEST\n"


@pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric is for Linux")
def test_every_other_example_runs_inside_its_blocks(tmp_path: Path) -> None:
    # All in one process, because starting one takes as long as most examples.
    code = BEFORE
    for number, part in enumerate(PARTS):
        code += AROUND.format(part=textwrap.indent(part, " " * 12), number=number)
    printed = run(code, tmp_path).splitlines()
    lines = [line for line in printed if line.endswith(" ran")]
    assert lines == [f"{number} ran" for number in range(len(PARTS))]


def test_the_conditions_of_the_page_are_those_of_the_queue() -> None:
    queue = (HOME / "events" / "queue.py").read_text("utf-8")
    calls = [node for node in ast.walk(ast.parse(queue)) if isinstance(node, ast.Call)]
    ends = [call for call in calls if ast.unparse(call.func) == "self._end"]
    conditions = {ast.literal_eval(call.args[1]) for call in ends}
    assert conditions == set(
        re.findall(r"^\| `(\w+)` \| [^|]+ \| (?:yes|if it ran) \|$", PAGE, re.MULTILINE)
    )
