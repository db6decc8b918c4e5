"""Every example of these pages runs, as a user would run it, with any warning an error."""

import subprocess
import sys
from pathlib import Path

import pytest

from .run_page import blocks

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["telemetry", "typing", "recipes"])
def test_every_example_of_a_page_runs(name: str) -> None:
    page = ROOT / "docs" / f"{name}.md"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.telemetry.run_page", page],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{number} ran" for number in range(len(blocks(page)))]
