"""The summary and the progress of a run."""

import json
import math
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import (
    AsyncInvokeError,
    Delivery,
    FunctionError,
    InvalidRequestError,
    Outcome,
    RejectedError,
    Response,
    TransportError,
)
from asyncinvoke.cli.map import summary
from asyncinvoke.cli.map.progress import Counts, as_json, described, progressed
from asyncinvoke.cli.map.summary import LatencyHistogram, OutcomeCounts, Remaining

RESPONSE = Response(status_code=200, payload=b"1")


def outcome(line: int, error: AsyncInvokeError | None = None) -> Outcome:
    response = RESPONSE if error is None else None
    return Outcome(
        index=line - 1, key=str(line), response=response, error=error, started=0, elapsed=0
    )


def function_error(error_type: str | None, message: str = "no good") -> FunctionError:
    return FunctionError(
        message,
        function_error="Unhandled",
        error_type=error_type,
        error_message=message,
        stack_trace=(),
        response=RESPONSE,
        function_name="f",
        delivery=Delivery.EXECUTED,
    )


def refused(code: str) -> RejectedError:
    return RejectedError("not now", function_name="f", delivery=Delivery.REJECTED, code=code)


def lost() -> TransportError:
    return TransportError(
        "gone", function_name="f", delivery=Delivery.UNKNOWN, code="ConnectionLost"
    )


def failures_of(*outcomes: Outcome) -> OutcomeCounts:
    tally = OutcomeCounts()
    for each in outcomes:
        tally.add(each, each.index + 1)
    return tally


def counts(tally: OutcomeCounts, elapsed: float = 2.0) -> Counts:
    return Counts(
        elapsed=elapsed, succeeded=tally.succeeded, failed=tally.failed, in_flight=0, throttles=0
    )


def test_failures_are_grouped_by_what_went_wrong_with_an_example_each() -> None:
    tally = failures_of(
        outcome(1),
        outcome(2, function_error("KeyError", "'width'\nand \x1b[31mmore")),
        outcome(3, refused("ExpiredTokenException")),
        outcome(4, function_error("BadDocument")),
        outcome(5, function_error("BadDocument")),
        outcome(6, function_error("BadDocument")),
        outcome(7, function_error(None)),
        outcome(1008, InvalidRequestError("line 1008: not JSON: Expecting value at column 1")),
        outcome(9, function_error("KeyError", "'height'")),
    )
    assert summary.as_text(counts(tally), tally, None) == [
        "9 outcomes in 2.0 s (4/s): 1 succeeded, 8 failed, 0 throttled attempts",
        "  3 FunctionError BadDocument, such as line 4: no good",
        "  2 FunctionError KeyError, such as line 2: 'width' and \ufffd[31mmore",
        "  1 RejectedError ExpiredTokenException, such as line 3: not now",
        "  1 FunctionError, such as line 7: no good",
        "  1 InvalidRequestError, such as line 1,008: not JSON: Expecting value at column 1",
    ]


def test_of_many_groups_the_largest_are_shown_and_the_rest_is_counted() -> None:
    outcomes = [outcome(n, function_error(f"E{n % 2000}")) for n in range(1, 3001)]
    tally = failures_of(*outcomes)
    printed = summary.as_text(counts(tally), tally, None)
    assert len(printed) == 1 + summary.SHOWN + 1
    numbers = [int(line.split()[0].replace(",", "")) for line in printed[1:]]
    assert sum(numbers) == tally.failed == 3000
    assert len(tally.groups()) <= 1001


def test_an_event_is_accepted_and_no_more() -> None:
    tally = failures_of(outcome(1), outcome(2))
    (printed,) = summary.as_text(counts(tally), tally, None, verb="accepted")
    assert "2 accepted, 0 failed" in printed


def test_only_items_with_an_unknown_delivery_are_in_doubt() -> None:
    assert failures_of(outcome(1, function_error("E")), outcome(2, refused("R"))).in_doubt == 0
    assert failures_of(outcome(1, lost())).in_doubt == 1


def test_failures_that_may_have_run_are_reported_unless_a_journal_has_them() -> None:
    tally = failures_of(outcome(1), outcome(2, lost()), outcome(3, function_error("E")))
    printed = summary.as_text(counts(tally), tally, None)
    assert printed[-1] == (
        "1 of the failed may have run: check before you run them again "
        "(jq 'select(.delivery == \"unknown\")')"
    )
    assert printed[:-1] == summary.as_text(counts(tally), tally, None, is_recorded=True)


def left(**numbers: Any) -> str:
    tally = failures_of()
    given: dict[str, Any] = {"without_outcome": 0, "may_have_run": 0, "last_line": 0, **numbers}
    return summary.as_text(counts(tally), tally, Remaining(**given))[-1]


def test_remaining_items_are_reported_without_meaningless_numbers() -> None:
    assert left() == "unfinished: no line was read, and nothing was sent"
    assert left(last_line=1007) == "unfinished: no line after line 1,007 was sent"
    assert left(without_outcome=100, may_have_run=20, not_written=1, last_line=101) == (
        "unfinished: 100 lines without an outcome, 20 of them may have run; 1 outcome not written; "
        "no line after line 101 was sent"
    )
    assert left(without_outcome=100, may_have_run=20, last_line=None) == (
        "unfinished: 100 lines without an outcome, 20 of them may have run; no further line was sent"
    )


def test_the_last_line_of_json_has_the_same_content() -> None:
    tally = failures_of(outcome(1), outcome(2, lost()), outcome(3, function_error("E")))
    last = summary.as_json(as_json(counts(tally)), tally, None)
    assert json.loads(json.dumps(last)) == last
    assert last["may_have_run"] == 1
    assert last["errors"] == {"TransportError": 1, "FunctionError": 1}
    assert last["failures"] == [
        {
            "error": "TransportError",
            "code": "ConnectionLost",
            "line": 2,
            "message": "gone",
            "item": 1,
            "count": 1,
        },
        {
            "error": "FunctionError",
            "code": "E",
            "line": 3,
            "message": "no good",
            "item": 2,
            "count": 1,
        },
    ]


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**4),
    st.integers(0, 10**6),
    st.floats(0, 10**6),
    st.floats(0, 10**5),
)
def test_at_60_columns_neither_line_is_cut(
    done: int, in_flight: int, throttles: int, elapsed: float, rate: float
) -> None:
    seen = Counts(
        elapsed=elapsed,
        succeeded=0,
        failed=done,
        in_flight=in_flight,
        throttles=throttles,
        total=10**6,
        rate=rate,
        pace=rate,
    )
    assert len(" · ".join(progressed(seen))) <= 58
    assert len(" · ".join(described(seen))) <= 58


def test_the_time_that_is_left_follows_from_the_rate() -> None:
    seen = Counts(
        elapsed=3725,
        succeeded=500,
        failed=0,
        in_flight=1,
        throttles=0,
        total=1000,
        rate=3.0,
        pace=2.0,
    )
    assert progressed(seen) == ["500/1,000", "3/s", "1:02:05", "ETA 4:10"]
    # The work of earlier sessions counts towards the progress, but not towards the rate.
    continued = replace(seen, succeeded=100, earlier=400)
    assert progressed(continued) == progressed(seen)
    assert continued.done == 100
    unknown = Counts(elapsed=5, succeeded=5, failed=0, in_flight=1, throttles=0, rate=1.0)
    assert progressed(unknown) == ["5", "1/s", "0:05"]


@given(st.lists(st.floats(0.0001, 900), min_size=1), st.sampled_from([1, 50, 95, 99, 100]))
def test_a_percentile_is_that_of_the_times_to_a_hundredth(times: list[float], percent: int) -> None:
    latencies = LatencyHistogram()
    for each in times:
        latencies.add(each)
    exact = sorted(times)[math.ceil(len(times) * percent / 100) - 1]
    found = latencies.percentile(percent)
    assert found is not None
    assert abs(found / exact - 1) < 0.011


def test_without_latencies_there_are_no_percentiles() -> None:
    assert LatencyHistogram().percentile(50) is None
    assert LatencyHistogram().as_text() is None
    assert LatencyHistogram().as_json() == {"p50": None, "p95": None, "p99": None}


def test_the_line_shows_milliseconds_and_seconds() -> None:
    latencies = LatencyHistogram()
    for each in (0.01, 0.01, 2.0):
        latencies.add(each)
    assert latencies.as_text() == "p50 10 ms, p95 2.00 s, p99 2.00 s"
