"""`asyncinvoke map --shard` and `runs merge`: each machine runs a part, merged into one run."""

import json
from pathlib import Path
from typing import Any

import pytest

from asyncinvoke import Invoker, Shard
from asyncinvoke.local import LocalLambda
from asyncinvoke.runs import open_run

from .processes import Run

pytestmark = pytest.mark.anyio


def outcomes(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def fail_odd(event: Any, context: Any) -> Any:
    if event["n"] == 7:
        raise ValueError("seven")
    return event["n"]


async def test_shards_have_each_line_once_and_become_one_run(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    endpoint.function("odd", fail_odd)
    (tmp_path / "in.jsonl").write_text(
        "".join(f'{{"n": {n}}}\n\n' for n in range(40)), encoding="utf-8"
    )
    found = []
    for number in (1, 2):
        ended = await run(
            *("map", "odd", "in.jsonl", "--shard", f"{number}/2", "--journal", f"{number}.run"),
            *("--output", "-", "--ordered", "--endpoint-url", endpoint.url),
        )
        assert ended.status == number - 1
        mine = outcomes(ended.out)
        assert [each["index"] for each in mine] == list(range(number - 1, 40, 2))
        assert all(each["line"] == 2 * each["index"] + 1 for each in mine)
        found += mine
    assert len(found) == 40
    assert endpoint.statistics().invocations == 40
    ended = await run("runs", "merge", "all.run", "1.run", "2.run")
    assert (ended.status, ended.out, ended.err) == (0, "", "all.run: 40 items of 2 runs\n")
    with open_run(tmp_path / "all.run") as recorded:
        summary = recorded.summary()
    assert (summary.succeeded, summary.failed, summary.notes["total"]) == (39, 1, 40)
    ended = await run("runs", "redrive", "all.run", "--progress", "none")
    assert ended.status == 1
    assert endpoint.statistics().invocations == 41


async def test_an_ordered_shard_without_a_journal_is_written_in_order(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text(
        "".join(f'{{"n": {n}}}\n' for n in range(100)), encoding="utf-8"
    )
    ended = await run(
        *("map", "echo", "in.jsonl", "--shard", "2/4", "--ordered", "--concurrency", "2"),
        *("--endpoint-url", endpoint.url),
    )
    assert ended.status == 0
    assert [each["index"] for each in outcomes(ended.out)] == list(range(1, 100, 4))
    assert "25 succeeded, 0 failed" in ended.err


@pytest.mark.parametrize(
    ("shard", "says"),
    [
        ("0/10", "shards are numbered from 1, as in 1/10 to 10/10"),
        ("11/10", "no such shard"),
        ("3", "must be a number of how many, such as 3/10"),
    ],
)
async def test_a_shard_that_cannot_be_is_wrong_usage(
    run: Run, tmp_path: Path, shard: str, says: str
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n")
    ended = await run("map", "f", "in.jsonl", "--shard", shard)
    assert ended.status == 2
    assert says in " ".join(ended.err.split())
    assert len(ended.err.splitlines()) == 1


async def test_a_merge_reports_duplicates_and_refuses_other_files_in_one_line(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    async with Invoker(endpoint_url=endpoint.url) as invoker:
        for name, shard in (("a", "1/3"), ("b", "2/3"), ("c", "1/3")):
            options: Any = {"shard": Shard.parse(shard), "journal": tmp_path / f"{name}.run"}
            async with invoker.map("echo", [{"n": n} for n in range(9)], **options) as mapped:
                async for _ in mapped:
                    pass
    ended = await run("runs", "merge", "all.run", "a.run", "b.run")
    assert (ended.status, ended.err) == (3, "all.run: 6 items of 2 runs\nmissing: shard 3/3\n")
    ended = await run("runs", "merge", "all.run", "a.run", "b.run", "c.run")
    assert (ended.status, len(ended.err.splitlines())) == (2, 1)
    assert "all.run: it already exists" in ended.err
    ended = await run("runs", "merge", "--force", "all.run", "a.run", "b.run", "c.run")
    assert ended.status == 4
    assert "3 items ran twice, or may have, in two of the runs: 0, 3, 6" in ended.err
