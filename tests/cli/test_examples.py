"""The examples run offline, from start to end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

PRINTS = {
    "bulk_map.py": "sum: 494010\nfailed: {'FunctionError': 10}\n",
    "one_call.py": "total: 42\nrefused: items must not be negative\n",
    "throttled_map.py": (
        "in order and complete: True\n"
        "never more than 5 at once\n"
        "throttled because of ConcurrentInvocationLimitExceeded\n"
    ),
}


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PRINTS)


@pytest.mark.parametrize("name", sorted(PRINTS))
def test_an_example_prints_what_it_promises_on_a_machine_without_aws_settings(
    name: str, tmp_path: Path
) -> None:
    settings = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    settings |= {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    ended = subprocess.run(
        [sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=60, env=settings
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, PRINTS[name], "")
