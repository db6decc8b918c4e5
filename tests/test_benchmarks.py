"""The benchmarks run and say what they found; how fast anything is is not tested here."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

TINY = {
    "overhead": ("--rounds=1", "--count=2"),
    "fanout": ("--rounds=1", "--items=3"),
    "memory": ("--items=4",),
    "startup": ("--rounds=1",),
    "served": ("--rounds=1", "--requests=40", "--sleepers=20"),
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
    ended = run(name, "--json", *TINY[name])
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


def test_fanout_compares_map_with_gather_and_aiometer() -> None:
    found = found_by("fanout")
    assert set(found["fanouts"]) == {"map", "gather, aiobotocore", "aiometer, aiobotocore"}
    assert found["fanouts"][found["baseline"]]["ratio"]["median"] == 1


def test_memory_looks_at_two_points_of_one_run() -> None:
    found = found_by("memory")
    assert found["first"] < found["items"] == 4
    assert found["growth"] == found["resident_at_most"] - found["resident_at_first"] >= 0


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


def test_without_json_a_benchmark_prints_a_table() -> None:
    ended = run("memory", *TINY["memory"])
    assert ended.stdout.startswith("| resident memory of `map`"), ended.stderr


def test_a_number_that_is_none_is_wrong_usage_in_one_line() -> None:
    ended = run("memory", "--items=many")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith("'many' is not a whole number from 1")


@pytest.mark.parametrize("name", ["ceilings", "simulate", "throttled"])
def test_a_benchmark_that_takes_minutes_at_least_starts(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage")
