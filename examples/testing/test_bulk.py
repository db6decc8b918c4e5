"""The script: whole, in a process of its own, and its one function inside the test."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import bulk
import pytest

from asyncinvoke import Invoker
from asyncinvoke.local import LocalLambda, Reset, throttle
from asyncinvoke.testing import FakeLambda, InstantClock

PHOTOS = [{"key": f"{number}.jpg", "width": number} for number in range(50)]


def halve(event: dict[str, Any], context: Any) -> dict[str, int]:
    return {"width": event["width"] // 2}


def test_the_script_stays_below_the_limit_and_resizes_each_photo_once(
    local_lambda: LocalLambda, lambda_environment: dict[str, str], tmp_path: Path
) -> None:
    local_lambda.function("resize", halve, reserved_concurrency=5)
    photos = tmp_path / "photos.jsonl"
    photos.write_text("".join(f"{json.dumps(photo)}\n" for photo in PHOTOS))
    # The process inherits the environment, and finds the endpoint there.
    done = subprocess.run(
        [sys.executable, bulk.__file__, photos], capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(line["width"] for line in lines) == sorted(n // 2 for n in range(50))
    counted = local_lambda.statistics().functions["resize"]
    assert counted.executions == 50
    assert counted.peak_in_flight <= 5


@pytest.mark.anyio
async def test_throttles_are_waited_out_and_no_photo_is_lost(
    local_lambda: LocalLambda, invoker: Invoker
) -> None:
    local_lambda.function("resize", halve)
    fault = local_lambda.fault(throttle(), probability=0.2, seed=7)
    assert await bulk.resize(invoker, PHOTOS) == 0
    counted = local_lambda.statistics()
    assert counted.invocations == 50 + fault.played


@pytest.mark.anyio
async def test_a_photo_that_fails_is_one_line_and_the_run_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = FakeLambda({"resize": halve})
    fake.fault(Reset(), count=1)
    async with Invoker(transport=fake, clock=InstantClock()) as invoker:
        assert await bulk.resize(invoker, PHOTOS) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 50
    assert sum("error" in line for line in lines) == 1
