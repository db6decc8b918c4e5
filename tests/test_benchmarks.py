"""The benchmarks run and print their results; speed is not tested here."""

import copy
import functools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import (
    canned_answers,
    collection,
    compare,
    failures,
    inputs,
    matrix,
    memory,
    names,
    overhead,
    shown,
    stale,
    stamp,
    telemetry,
)
from benchmarks.contestants import credentials_session
from benchmarks.variants import CREDENTIALS, LOOPS, Variant, chosen
from benchmarks.watched import LISTENERS

CHECKOUT = Path(__file__).resolve().parents[1]

TINY = {
    "overhead": ("--rounds=1", "--count=2", "--many=32"),
    "overhead --matrix": ("--rounds=1", "--count=2", "--only=trio, TLS"),
    "telemetry": ("--rounds=1", "--count=2", "--only=spans and metrics"),
    "streams": ("--rounds=1", "--count=1", "--kilobytes=40"),
    "names": ("--rounds=1", "--items=2", "--only=s that wait"),
    "failures": ("--count=2", "--items=2", "--only=refused"),
    "fanout": ("--rounds=1", "--items=3"),
    "memory": ("--items=4",),
    "startup": ("--rounds=1",),
    "inputs": ("--rounds=1", "--rows=100"),
    "served": ("--rounds=1", "--requests=40", "--sleepers=20"),
    "journal": ("--pairs=1", "--rounds=1", "--items=100", "--continued=100", "--whole=100"),
    "payload_size": ("--rounds=1", "--count=1", "--megabytes=1"),
}


def run(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


@functools.cache
def found_by(name: str) -> dict[str, Any]:
    if name == "fanout":
        pytest.importorskip("aiometer", reason="the extra `bench` is not installed")
    ended = run(*name.split(), "--json", *TINY[name])
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_overhead_compares_both_transports_with_bare_aiobotocore_and_a_floor() -> None:
    found = found_by("overhead")
    assert found["baseline"] == "aiobotocore"
    assert found["clients"]["aiobotocore"]["ratio"]["median"] == 1
    assert {
        "invoke",
        "map",
        "invoke, client transport",
        "map, client transport",
        "boto3, threads",
        "aiohttp",
    } <= found["clients"].keys()
    assert all(each["cpu"]["median"] > 0 for each in found["clients"].values())
    assert {"invoke", "aiobotocore"} <= found["latency"].keys()


def test_overhead_names_each_client_that_it_leaves_out() -> None:
    found = found_by("overhead")
    there, left_out = set(found["clients"]), set(found["left_out"])
    assert {"aioboto3", "aws-sdk-lambda"} <= there | left_out
    assert not there & left_out


def test_inputs_reads_every_row_of_every_format() -> None:
    found = found_by("inputs")
    assert {each["items"] for each in found["reads"].values()} == {100}
    assert {"in.jsonl", "in.jsonl.gz", "in.csv", "in.parquet"} <= found["reads"].keys()


def test_fanout_compares_map_with_gather_and_aiometer() -> None:
    found = found_by("fanout")
    assert set(found["fanouts"]) == {"map", "gather, aiobotocore", "aiometer, aiobotocore"}
    assert found["fanouts"][found["baseline"]]["ratio"]["median"] == 1


def test_memory_looks_at_two_points_of_one_run() -> None:
    found = found_by("memory")
    assert found["first"] < found["items"] == 4
    assert found["growth"] == found["resident_at_most"] - found["resident_at_first"] >= 0


def test_journal_compares_a_map_with_and_without_one_and_continues_one() -> None:
    found = found_by("journal")
    for kind in ("over_http", "slow_function"):
        assert found[kind]["loop"]["median"] > 0
        assert found[kind]["ratio"]["median"] > 0
    assert [each["items"] for each in found["continued"]] == [100, 100, 1000]
    assert found["whole"]["items"] == 100
    assert len(found["whole"]["weights"]) == 10


def test_startup_times_the_import_and_the_help() -> None:
    starts = found_by("startup")["starts"]
    assert {"import asyncinvoke", "asyncinvoke --help", "import aiobotocore.session"} <= set(starts)


def test_payload_size_goes_up_to_the_limit_of_lambda() -> None:
    sizes = found_by("payload_size")["sizes"]
    assert max(map(int, sizes)) == 6_291_456
    assert all({"invoke", "aiobotocore"} <= set(by_name) for by_name in sizes.values())


def test_served_counts_what_the_endpoint_served_and_compares_it_with_a_floor() -> None:
    found = found_by("served")
    assert found["servers"]["aiohttp"]["ratio"]["median"] == 1
    assert found["servers"]["LocalLambda"]["cpu"]["median"] > 0
    assert found["sleepers"] == 20


def test_without_json_a_benchmark_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    replace(memory.BENCHMARK, measure=lambda _: found_by("memory")).main([])
    assert capsys.readouterr().out.startswith("| resident memory of `map`")


def test_telemetry_compares_each_listener_with_none_and_with_aiobotocore() -> None:
    found = found_by("telemetry")
    listener = LISTENERS[-1]
    assert set(found["clients"]) == {"aiobotocore", "invoke", listener}
    assert [(each["who"], each["at_most"]) for each in found["bounds"]] == [(listener, 0.5)]
    assert f"{listener} to aiobotocore" in telemetry.show(found)


def test_the_matrix_compares_with_aiobotocore_under_the_same_variant() -> None:
    (row,) = found_by("overhead --matrix")["rows"]
    assert row["label"] == "trio, TLS, 32 in flight"
    assert list(row["clients"]) == ["aiobotocore", "invoke", "map"]
    assert row["clients"]["aiobotocore"]["ratio"]["median"] == 1
    assert {bound["client"] for bound in row["bounds"]} == {"invoke", "map"}
    assert "p99" not in compare.show(row)


@pytest.mark.parametrize("at_most", [0.01, 100.0])
def test_the_matrix_says_which_bound_is_missed(at_most: float) -> None:
    found = copy.deepcopy(found_by("overhead --matrix"))
    for bound in found["rows"][0]["bounds"]:
        spread = found["rows"][0]["clients"][bound["client"]]["ratio"]
        bound["missed"] = matrix.is_missed(spread, at_most)
    message = matrix.show(found)
    assert ("**missed**" in message) == (at_most < 1)
    assert f"{2 * (at_most < 1)} of 2 bounds are missed" in message


def test_a_command_line_names_a_variant() -> None:
    asked = "--tls --loop=uvloop --payload=100000 --function-ms=50 --credentials=refreshable"
    variant = chosen(overhead.BENCHMARK.options([*asked.split(), "--timeout"]))
    assert variant is not None
    assert variant.label == (
        "uvloop, TLS, 100,000 bytes, refreshable credentials, a timeout on each call, "
        "8 in flight, function of 50 ms"
    )
    assert Variant.from_json(variant.to_json()) == variant
    assert chosen(overhead.BENCHMARK.options([])) is None
    assert chosen(overhead.BENCHMARK.options(["--in-flight=32"])) == Variant()


@pytest.mark.parametrize("variant", [Variant(timeout=True), Variant(credentials="refreshable")])
def test_a_variant_is_compared_with_the_same_without_it_round_by_round(variant: Variant) -> None:
    entries, baselines = compare.takes_part(variant)
    for name, entry in entries.items():
        assert (entry.variant == Variant()) == name.endswith("without") or name == "aiobotocore"
        assert replace(entry.variant, timeout=False) == entries[baselines[name]].variant
    costs = {"invoke": [5.0, 9.0, 7.0], "invoke, without": [4.0, 8.5, 4.0]}
    found = {
        name: [
            dict.fromkeys(("cpu", "wall", "p50", "p99"), cost)
            for cost in costs.get(name, [1.0] * 3)
        ]
        for name in entries
    }
    assert compare.summary(variant, found)["invoke"]["more"] == {
        "median": 1.0,
        "low": 0.5,
        "high": 3.0,
    }


def test_the_matrix_has_a_row_for_each_way_to_run() -> None:
    variants = [row.variant for row in matrix.ROWS]
    assert len({variant.label for variant in variants}) == len(variants)
    assert {variant.loop for variant in variants} == set(LOOPS)
    assert {variant.credentials for variant in variants} == set(CREDENTIALS)
    assert any(variant.timeout for variant in variants)
    assert {100_000, 6_291_456} <= {variant.payload for variant in variants if variant.tls}
    assert {(200, 50), (1000, 50)} <= {(each.in_flight, each.function_ms) for each in variants}


def test_latencies_are_shown_where_many_are_in_flight() -> None:
    found = copy.deepcopy(found_by("overhead --matrix"))
    found["rows"][0]["variant"]["in_flight"] = 200
    assert "p99 to aiobotocore" in matrix.show(found)
    assert "p99 to aiobotocore" in compare.show(found["rows"][0])


@pytest.mark.anyio
async def test_refreshable_credentials_end_an_hour_from_now() -> None:
    session = credentials_session(Variant(credentials="refreshable"))
    credentials = await session.get_credentials()
    assert not credentials.refresh_needed(refresh_in=3500)
    assert credentials.refresh_needed(refresh_in=3601)
    assert (await credentials.get_frozen_credentials()).access_key == "AKIDEXAMPLE"


def test_streams_compares_with_aiobotocore() -> None:
    found = found_by("streams")
    assert found["bytes"] == 40_000
    assert found["clients"][found["baseline"]]["ratio"]["median"] == 1
    assert found["missed"] == (found["clients"]["stream"]["ratio"]["median"] > 0.3)


def test_names_counts_the_calls_that_a_call_takes() -> None:
    found = found_by("names")
    assert found["kinds"].keys() == {names.WAITING}
    assert found["kinds"][names.WAITING]["1"]["calls"] > 0
    assert "| tenants that wait |" in names.show(found)


def test_failures_looks_at_memory_before_and_after_each_way_to_fail() -> None:
    found = found_by("failures")
    ways = found["ways"]
    assert ways.keys() == {canned_answers.REFUSED}
    assert "no such function" in failures.show(found)
    assert all(each["before"] > 0 and each["count"] == 2 for each in ways.values())


def test_an_invalid_number_is_wrong_usage_in_one_line() -> None:
    ended = run("memory", "--items=many")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith("'many' is not a whole number from 1")


@pytest.mark.parametrize("name", ["ceilings", "simulate", "throttled"])
def test_a_benchmark_that_takes_minutes_at_least_starts(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage")


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    subprocess.run(["git", "-C", folder, *names, *words], check=True, capture_output=True)


def commit(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        path.read_text("utf-8") + "more\n" if path.exists() else "some\n", encoding="utf-8"
    )
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", name)


def test_a_figure_is_old_once_the_code_that_it_measures_has_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    commit(tmp_path, "asyncinvoke/local/server.py")
    commit(tmp_path, "benchmarks/results/served.md")
    commit(tmp_path, "benchmarks/results/fanout.md")
    commit(tmp_path, "asyncinvoke/cli/app.py")
    assert [each.changes for each in stale.ages(tmp_path)] == [0, 0]
    commit(tmp_path, "asyncinvoke/local/server.py")
    commit(tmp_path, "asyncinvoke/local/server.py")
    found = {each.name: each.changes for each in stale.ages(tmp_path)}
    assert found == {"fanout": 0, "served": 2}
    assert "served" in stale.show(stale.ages(tmp_path))
    assert "old: 2 commits to its code since" in stale.show(stale.ages(tmp_path))
    commit(tmp_path, "benchmarks/results/served.md")
    assert [each.changes for each in stale.ages(tmp_path)] == [0, 0]


def test_a_result_with_a_commit_is_as_old_as_that_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    commit(tmp_path, "asyncinvoke/local/server.py")
    measured = stamp.Stamp.now(tmp_path)
    commit(tmp_path, "asyncinvoke/local/server.py")
    path = tmp_path / "benchmarks" / "results" / "served.md"
    path.parent.mkdir(parents=True)
    path.write_text(f"a table\n\n{measured.line()}\n", encoding="utf-8")
    commit(tmp_path, "benchmarks/results/other.txt")
    (served,) = stale.ages(tmp_path)
    assert (served.changes, served.measured) == (1, measured.day)
    assert served.old
    path.write_text(replace(measured, commit="0123456789", changed=False).line(), encoding="utf-8")
    assert "is not in this history" in stale.show(stale.ages(tmp_path))
    path.write_text(replace(stamp.Stamp.now(tmp_path), changed=True).line(), encoding="utf-8")
    assert "not committed" in stale.show(stale.ages(tmp_path))


def test_uncommitted_code_is_reported_and_results_are_not_code(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    commit(tmp_path, "asyncinvoke/local/server.py")
    commit(tmp_path, "benchmarks/results/served.md")
    (tmp_path / "benchmarks" / "results" / "served.md").write_text("another")
    assert not stamp.Stamp.now(tmp_path).changed
    (tmp_path / "asyncinvoke" / "local" / "server.py").write_text("another")
    assert stamp.Stamp.now(tmp_path).changed


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("seconds", [None, 7, 12345])
def test_the_last_line_of_a_result_is_read_as_it_was_written(
    changed: bool, seconds: int | None
) -> None:
    written = stamp.Stamp(
        day="6 November 2026", commit="0123abcde", changed=changed, seconds=seconds
    )
    assert stamp.Stamp.of(f"a table\n\n{written.line()}\n") == written
    assert stamp.Stamp.of("a table\n") is None


def test_a_benchmark_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    def fail(_: object) -> dict[str, Any]:
        raise ValueError("no endpoint")

    bad = collection.Collected(benchmark=replace(memory.BENCHMARK, measure=fail), name="bad")
    good = collection.Collected(
        benchmark=replace(memory.BENCHMARK, measure=lambda _: found_by("memory")), name="good"
    )
    measured = stamp.Stamp(day="6 November 2026", commit="0123abcde")
    failed = bench.measure_all([bad, good], tmp_path, measured)
    assert failed == {"bad": "ValueError: no endpoint"}
    assert [path.name for path in tmp_path.iterdir()] == ["good.md"]
    text = (tmp_path / "good.md").read_text("utf-8")
    assert "`python -m benchmarks.memory`" in text
    found = stamp.Stamp.of(text)
    assert found is not None
    assert replace(found, seconds=None) == measured


def test_all_listed_paths_exist() -> None:
    for place in {place for places in stale.MEASURED.values() for place in places}:
        assert (stale.ROOT / place).exists(), place
    collected = {each.name: each for each in collection.COLLECTED}
    assert set(stale.MEASURED) <= set(collected)
    for page, results in stale.SHOWN.items():
        text = (stale.ROOT / page).read_text("utf-8")
        for name in results:
            # Next to a figure is the command that measures it, or a link to the result.
            command = collected[name].command
            assert command in " ".join(text.split()) or f"results/{name}.md)" in text, (page, name)


def test_the_tables_of_the_pages_are_those_of_the_results() -> None:
    for page, blocks in shown.BLOCKS.items():
        assert set(blocks) <= set(stale.SHOWN[page])
        assert shown.rendered(stale.ROOT, page) == (stale.ROOT / page).read_text("utf-8"), (
            "run `python -m benchmarks.shown`"
        )


def test_a_page_takes_its_figures_and_their_date_from_the_result(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    place = "before\n<!-- figures: inputs -->\nold\n<!-- end of figures -->\nafter\n"
    (tmp_path / "docs" / "inputs.md").write_text(place, encoding="utf-8")
    assert shown.rendered(tmp_path, "docs/inputs.md") == place
    measured = stamp.Stamp(day="6 November 2026", commit="0123abcde")
    found = found_by("inputs")
    text = f"{inputs.show(found)}\n\n{measured.line()}\n"
    (tmp_path / "benchmarks" / "results" / "inputs.md").write_text(text, encoding="utf-8")
    page = shown.rendered(tmp_path, "docs/inputs.md")
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")
    assert "old" not in page
    assert "| in.parquet" in page
    assert f"6 November 2026, {found['machine']}." in page


def test_every_result_is_listed_with_its_command() -> None:
    listed = bench.listed()
    for each in (*collection.COLLECTED, *collection.BY_NAME):
        assert f"{each.command}" in listed
