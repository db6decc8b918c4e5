"""`asyncinvoke map --batch`: lines are sent in batches, with one outcome for each."""

import json
from pathlib import Path
from typing import Any

import pytest

from asyncinvoke.local import LocalLambda

from .processes import Run

pytestmark = pytest.mark.anyio


async def batches(event: Any, context: Any) -> Any:
    if "Records" not in event:
        return [len(event)] * len(event)
    odd = [each["messageId"] for each in event["Records"] if json.loads(each["body"])["n"] % 2]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in odd]}


def outcomes(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_lines_travel_by_the_batch_and_each_has_its_outcome(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    endpoint.function("batches", batches)
    (tmp_path / "in.jsonl").write_text(
        "".join(f'{{"n": {n}}}\n' for n in range(95)) + "{oops\n", encoding="utf-8"
    )
    ended = await run(
        *("map", "batches", "in.jsonl", "--batch", "10", "--ordered", "--concurrency", "2"),
        *("--endpoint-url", endpoint.url),
    )
    assert ended.status == 1
    found = outcomes(ended.out)
    assert [each["index"] for each in found] == list(range(96))
    assert [each.get("payload") for each in found] == [10] * 90 + [5] * 5 + [None]
    assert "line 96: not JSON" in found[95]["message"]
    assert endpoint.statistics().invocations == 10


async def test_what_the_function_names_as_failed_has_failed(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    endpoint.function("batches", batches)
    (tmp_path / "in.jsonl").write_text(
        "".join(f'{{"n": {n}}}\n' for n in range(20)), encoding="utf-8"
    )
    ended = await run(
        *("map", "batches", "in.jsonl", "--batch", "7", "--shape", "sqs", "--ordered"),
        *("--endpoint-url", endpoint.url),
    )
    assert ended.status == 1
    assert [each["ok"] for each in outcomes(ended.out)] == [True, False] * 10
    assert "10 succeeded, 10 failed" in ended.err
    assert endpoint.statistics().invocations == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--shape", "sqs"), "--shape needs --batch N"),
        (("--batch", "0"), "'0' must be a whole number, 1 or more"),
        (("--batch", "5", "--shape", "lists"), "'lists' is not one of"),
    ],
)
async def test_a_batch_that_cannot_be_is_wrong_usage(
    run: Run, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n")
    ended = await run("map", "f", "in.jsonl", *options, "--endpoint-url", "http://127.0.0.1:9")
    assert ended.status == 2
    assert says in ended.err
    assert ended.out == ""
