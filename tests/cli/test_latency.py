"""Percentiles out of a histogram, held against the sorted times themselves."""

import math

from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke.cli.latency import Latencies


@given(st.lists(st.floats(0.0001, 900), min_size=1), st.sampled_from([1, 50, 95, 99, 100]))
def test_a_percentile_is_that_of_the_times_to_a_hundredth(times: list[float], percent: int) -> None:
    latencies = Latencies()
    for each in times:
        latencies.add(each)
    exact = sorted(times)[math.ceil(len(times) * percent / 100) - 1]
    found = latencies.percentile(percent)
    assert found is not None
    assert abs(found / exact - 1) < 0.011


def test_of_nothing_there_is_nothing_to_say() -> None:
    assert Latencies().percentile(50) is None
    assert Latencies().as_text() is None
    assert Latencies().as_json() == {"p50": None, "p95": None, "p99": None}


def test_the_line_says_milliseconds_and_seconds() -> None:
    latencies = Latencies()
    for each in (0.01, 0.01, 2.0):
        latencies.add(each)
    assert latencies.as_text() == "p50 10 ms, p95 2.00 s, p99 2.00 s"
