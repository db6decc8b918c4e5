"""`asyncinvoke map` with the options for trials, limits and retries."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from asyncinvoke import FunctionError, RetryPolicy
from asyncinvoke.cli.map.settings import retry_policy
from asyncinvoke.local import LocalLambda

from .processes import Run

pytestmark = pytest.mark.anyio


def outcomes(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_a_head_of_a_long_input_is_dry_run_and_nothing_runs(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    ran = 0

    def count(event: Any, context: Any) -> None:
        nonlocal ran
        ran += 1

    endpoint.function("count", count)
    (tmp_path / "in.jsonl").write_text("1\n" * 5000)
    ended = await run("map", "count", "in.jsonl", "--head", "7", "--dry-run", "-u", endpoint.url)
    assert ended.status == 0
    assert [o["status_code"] for o in outcomes(ended.out)] == [204] * 7
    assert re.search(r"7 valid, 0 failed, .* p50 [\d,]+ ms, p95 [\d,]+ ms, p99 ", ended.err)
    assert "unfinished" not in ended.err
    assert (ran, endpoint.statistics().invocations) == (0, 7)


async def test_a_functions_error_is_repeated_as_often_as_asked(
    endpoint: LocalLambda, run: Run
) -> None:
    words = ("map", "fail", "-", "--rate", "1000", "-u", endpoint.url)
    ended = await run(*words, "--retries", "2", "--retry-function-errors", stdin=b"1\n")
    (outcome,) = outcomes(ended.out)
    assert (ended.status, outcome["attempts"]) == (1, 3)


def test_the_usual_policy_is_that_of_bulk_runs() -> None:
    assert retry_policy(None, function_errors=False).function is None
    none = retry_policy(0, function_errors=True)
    assert (none.service, none.transport, none.function) == (None, None, None)
    assert none.throttled is not None
    assert none.not_sent is not None


def test_what_the_platform_has_ended_is_not_run_again() -> None:
    policy: RetryPolicy = retry_policy(3, function_errors=True)
    assert policy.function is not None
    assert policy.function.when is not None
    for by_platform in (True, False):
        error = FunctionError.__new__(FunctionError)
        error.by_platform = by_platform
        assert policy.function.when(error) is not by_platform
