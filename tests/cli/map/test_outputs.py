"""`map --output` of what is written whole: from the journal, once the run is complete."""

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from asyncinvoke.local import LocalLambda
from tests.cli.processes import Run

pytestmark = pytest.mark.anyio


async def test_it_is_there_once_the_run_is_complete_and_anew_with_each_command(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("id\na\nb\nc\n")
    target = tmp_path / "out.parquet"
    command = ("map", "echo", "in.csv", "--key", "/id", "-o", "out.parquet")
    ended = await run(*command, "--endpoint-url", endpoint.url)
    assert (ended.status, endpoint.statistics().invocations) == (2, 0)
    assert "from its journal: add --journal" in ended.err
    recorded = (*command, "--journal", "in.run", "--endpoint-url", endpoint.url)
    ended = await run(*recorded, "--head", "2")
    assert (ended.status, ended.out) == (0, "")
    assert ended.err.endswith("out.parquet: 2 outcomes\n")
    assert (await run(*recorded)).status == 0
    rows = pq.read_table(target).to_pylist()
    assert [(row["key"], json.loads(row["payload"])) for row in rows] == [
        (key, {"got": {"id": key}}) for key in "abc"
    ]
    assert endpoint.statistics().invocations == 3


async def test_a_run_that_stops_has_none_yet_and_what_is_in_the_way_is_said_first(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n2\n3\n")
    where = ("--endpoint-url", endpoint.url)
    command = ("map", "fail", "in.jsonl", "-j", "in.run", "-o", "out.jsonl.gz", "-c", "1", *where)
    ended = await run(*command, "--tolerate", "0")
    assert ended.status == 3
    assert not (tmp_path / "out.jsonl.gz").exists()
    (tmp_path / "other.jsonl.gz").touch()
    before = endpoint.statistics().invocations
    ended = await run(*(word.replace("out.", "other.") for word in command))
    assert (ended.status, endpoint.statistics().invocations) == (2, before)
    assert "output other.jsonl.gz exists: --force replaces it" in ended.err
    ended = await run(*command)
    assert ended.status == 1
    lines = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).splitlines()
    assert [json.loads(line)["index"] for line in lines] == [0, 1, 2]
