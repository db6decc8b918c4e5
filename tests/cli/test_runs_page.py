"""`docs/runs.md`, the command line: every command of the page is run, in its order."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from asyncinvoke.cli.app import run as command
from asyncinvoke.local import LocalLambda
from asyncinvoke.runs import open_run
from tests.journal.fake_service import FakeService

from .processes import Run

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "runs.md").read_text("utf-8")
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.startswith("asyncinvoke ")
]
IN_DOUBT = [17, 18, 19]


class Busy(Exception):  # noqa: N818  # what a function would call it
    pass


async def charge(event: Any, context: Any) -> Any:
    if event == 3:
        raise Busy("3?")
    return event


async def test_every_command_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, anyio_backend: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("orders.jsonl").write_text("".join(f"{n}\n" for n in range(40)), encoding="utf-8")
    # An earlier session, which left items in doubt.
    await FakeService(failing=[3], lost=IN_DOUBT).map(Path("orders.run"), list(range(20)), "charge")
    statuses = []
    async with LocalLambda() as local:
        local.function("charge", charge)
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", local.url)
        for words in COMMANDS:
            if words[0] == "map" or words[1] == "redrive":
                ended = await run(*words)
                assert "Traceback" not in ended.err
                statuses.append(ended.status)
            else:
                statuses.append(await to_thread.run_sync(command, words))
        executions = local.statistics().executions
    assert statuses == [4] + [0] * 7 + [4, 4] + [0] * 3 + [1, 0]
    # Twenty were left; one failed, and was redriven twice; two ran after they had been settled.
    assert executions == 20 + 2 + 2
    with open_run("orders.run") as recorded:
        summary = recorded.summary()
    assert (summary.succeeded, summary.failed) == (38, 1)
    assert (summary.settled, summary.may_have_run) == (1, 0)
    assert Path("results/manifest.json").exists()
    assert len(Path("outcomes.jsonl").read_text("utf-8").splitlines()) == 40 + 2 + 2
