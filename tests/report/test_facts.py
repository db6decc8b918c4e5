"""The contents of a report, from values: percentiles, prices, the timeline of a run, and figures."""

import itertools
import math
import random
import statistics
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._journal.measuring import Latencies, Step, step_of
from asyncinvoke._report import drawing, figures
from asyncinvoke._report.facts import facts_of
from asyncinvoke._report.figures import bars, percentiles
from asyncinvoke._report.prices import PER_GB_S, PER_REQUEST, Sampled, estimated
from asyncinvoke._report.standing import pending_of, total_of_all
from asyncinvoke._report.timeline import POINTS, timeline_of
from asyncinvoke.errors import GaveUp

from . import runs


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=200))
def test_percentiles_are_those_of_the_sorted_list(micros: list[int]) -> None:
    ordered = sorted(micros)
    found = percentiles([Latencies(seconds=n / 1e6, longest=n / 1e6, count=1) for n in ordered])
    for percent, seconds in found.items():
        assert seconds == ordered[math.ceil(len(ordered) * percent / 100) - 1] / 1e6


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 50)), min_size=1, max_size=50))
def test_a_histogram_loses_no_item(counted: list[tuple[int, int]]) -> None:
    latencies = [
        Latencies(seconds=n / 1e6, longest=n / 1e6, count=count) for n, count in sorted(counted)
    ]
    found = bars(latencies)
    assert sum(bar.count for bar in found) == sum(count for _, count in counted)
    assert all(bar.begin < bar.end for bar in found)
    assert all(a.end == pytest.approx(b.begin) for a, b in itertools.pairwise(found))


def test_without_values_there_is_no_histogram() -> None:
    assert (percentiles([]), bars([])) == ({}, [])


@given(st.floats(0.001, 10**7))
def test_steps_of_time_are_round_and_some_hundred(seconds: float) -> None:
    step = step_of(seconds)
    assert seconds / step <= 121
    assert step == 0.001 or seconds / step >= 40
    assert f"{step:e}"[0] in "125"


def test_an_estimate_is_the_mean_times_what_ran_with_its_margin() -> None:
    numbers = random.Random(3)
    costs = [numbers.uniform(0.5, 1.5) for _ in range(400)]
    sampled = Sampled(
        count=400,
        gb_s=sum(costs),
        gb_s_squared=sum(each * each for each in costs),
        billed_ms=1,
        inits=0,
        memory_mb=(128,),
    )
    cost = estimated(sampled, 1_000_000)
    assert cost.gb_s == pytest.approx(1_000_000, rel=0.05)
    assert cost.dollars == pytest.approx(cost.gb_s * PER_GB_S + 1_000_000 * PER_REQUEST)
    error = statistics.stdev(costs) / math.sqrt(400)
    assert cost.margin == pytest.approx(1.96 * error * 1_000_000 * PER_GB_S, rel=0.01)
    assert estimated(sampled, 400).margin == 0
    assert estimated(sampled, 400, price_per_gb_s=0).dollars == pytest.approx(400 * PER_REQUEST)


@pytest.mark.parametrize("note", [None, [], {}, {"count": 0}, {**runs.LOGS, "count": "x"}])
def test_an_empty_note_is_no_sample(note: Any) -> None:
    assert Sampled.from_note(note) is None


def test_time_between_sessions_is_left_out() -> None:
    sessions = runs.summary().sessions
    timeline = timeline_of(sessions, runs.measures(), runs.samples())
    assert (timeline.begins, timeline.lasted) == ((0.0, 10.0), 20.0)
    assert [rate.at for rate in timeline.rates] == [float(n) for n in range(20)]
    assert [point.at for point in timeline.points][:10] == [*map(float, range(1, 10)), 11.0]
    assert timeline.throttles == {runs.REASON: 36, "Unknown": 2}


def test_sessions_that_were_at_work_at_once_are_added_up() -> None:
    sessions = [
        runs.session(1, started=100.0, ended=110.0),
        runs.session(2, started=104.0, ended=114.0),
        runs.session(3, started=900.0, ended=905.0),
    ]
    steps = tuple(
        Step(session=n, at=float(at), succeeded=1, failed=n) for n in (1, 2, 3) for at in (0, 4)
    )
    measures = runs.measures(steps=steps, lasted={1: 10.0, 2: 10.0, 3: 5.0})
    samples = [
        replace(sample, session=n, at=began + at, throttles={"Unknown": at})
        for n, began in ((1, 100.0), (2, 104.0), (3, 900.0))
        for at, sample in enumerate(runs.samples()[:5])
    ]
    timeline = timeline_of(sessions, measures, samples)
    assert (timeline.begins, timeline.lasted) == ((0.0, 14.0), 19.0)
    rates = {rate.at: (rate.succeeded, rate.failed) for rate in timeline.rates if rate.failed}
    assert rates == {0.0: (1, 1), 4.0: (2, 3), 8.0: (1, 2), 14.0: (1, 3), 18.0: (1, 3)}
    flight = {point.at: (point.in_flight, point.limit) for point in timeline.points}
    assert (flight[2.0], flight[4.0], flight[6.0]) == ((24, 30), (25 + 22, 60), (24, 30))
    assert timeline.throttles == {"Unknown": 12}


def test_no_throttle_is_lost_in_a_run_with_more_samples_than_points() -> None:
    (sample, *_) = runs.samples()
    samples = [
        replace(sample, at=runs.STARTED + at, throttles={"Unknown": at + 1}) for at in range(1000)
    ]
    timeline = timeline_of([runs.session(1)], runs.measures(), samples)
    assert len(timeline.points) <= POINTS
    shown = sum(point.throttles["Unknown"] for point in timeline.points)
    assert shown == timeline.throttles["Unknown"] == 1000


def test_what_a_killed_process_had_not_sent_is_not_started() -> None:
    running = runs.summary(total=2000, in_flight=3, running=True)
    assert pending_of(running) == 2000 - running.ended - 3
    assert pending_of(replace(running, running=False)) == 2000 - running.ended
    assert pending_of(runs.summary(total=None, notes={})) is None


def test_steps_in_which_nothing_ended_are_there() -> None:
    steps = (
        Step(session=1, at=0.0, succeeded=1, failed=0),
        Step(session=1, at=3.0, succeeded=2, failed=1),
    )
    timeline = timeline_of([runs.session(1)], runs.measures(steps=steps), [])
    assert [(rate.succeeded, rate.failed) for rate in timeline.rates] == [
        (1, 0), (0, 0), (0, 0), (2, 1),
    ]  # fmt: skip


STATUSES: dict[str, tuple[dict[str, Any], str]] = {
    "running": ({"running": True}, "open"),
    "broke off": ({"sessions": (runs.session(1, ended=None, status=None),)}, "bad"),
    "stopped before the end": ({"sessions": (runs.session(1, status="left"),)}, "open"),
    "complete, and some may have run": ({}, "doubt"),
    "complete, with failures": ({"may_have_run": 0}, "bad"),
    "complete": ({"may_have_run": 0, "failed": 0}, "good"),
}


@pytest.mark.parametrize("status", STATUSES)
def test_the_end_of_a_run_is_shown_with_its_severity(status: str) -> None:
    changes, tone = STATUSES[status]
    found = runs.facts(**changes)
    assert (found.status, found.tone) == (status, tone)


def test_the_reason_for_giving_up_is_shown_in_words() -> None:
    causes = [runs.cause(number, gave_up=each) for number, each in enumerate(GaveUp)]
    found = facts_of(runs.summary(), causes, runs.measures(), []).causes
    assert len(found) == len({cause.gave_up for cause in found}) == len(GaveUp)
    assert all(" " in str(cause.gave_up) for cause in found)


def test_a_few_that_were_quick_do_not_push_a_histogram_aside() -> None:
    quick = Latencies(seconds=1e-3, longest=1e-3, count=1)
    others = [Latencies(seconds=n / 1e3, longest=n / 1e3, count=50) for n in range(100, 200)]
    found = bars([quick, *others])
    assert found[0].begin == pytest.approx(0.1)
    assert sum(bar.count for bar in found) == 5001


def test_each_cause_has_the_command_that_runs_its_items_again() -> None:
    found = facts_of(runs.summary(path="my run"), runs.CAUSES, runs.measures(), [])
    assert [cause.redrive for cause in found.causes] == [
        "asyncinvoke runs redrive 'my run' --cause 1",
        "asyncinvoke runs redrive 'my run' --cause 2",
        "asyncinvoke runs redrive 'my run' --cause 3 --may-have-run",
    ]


def test_the_causes_of_a_run_that_a_program_started_have_the_option_for_it() -> None:
    found = facts_of(runs.summary(path="my run", notes={}), runs.CAUSES, runs.measures(), [])
    assert [cause.redrive for cause in found.causes] == [
        "Journal('my run', redrive=Redrive.FAILED)",
        "Journal('my run', redrive=Redrive.FAILED)",
        "Journal('my run', redrive=Redrive.MAY_HAVE_RUN)",
    ]


@pytest.mark.parametrize(
    ("noted", "message"), [({}, None), ({"idempotent": True}, "yes"), ({"idempotent": False}, "no")]
)
def test_whether_a_map_is_idempotent_is_shown_only_if_recorded(
    noted: dict[str, object], message: str | None
) -> None:
    summary = runs.summary(notes={"command": {"shared": noted}})
    assert facts_of(summary, (), runs.measures(), ()).about.get("Idempotent") == message


def test_the_invocation_type_is_shown_if_it_is_not_the_default() -> None:
    for kind, message in (("RequestResponse", None), ("Event", "Event")):
        summary = runs.summary(invocation_type=kind)
        assert facts_of(summary, (), runs.measures(), ()).about.get("Invocation type") == message


def test_inputs_that_may_have_keys_in_common_have_no_total_together() -> None:
    assert total_of_all([runs.summary(keyed=False), runs.summary(keyed=False)]) == 1000
    assert total_of_all([runs.summary(), runs.summary()]) is None


def test_numbers_on_an_axis_are_short() -> None:
    numbers = (0, 0.5, 9_999, 10_000, 250_000, 1_500_000)
    shown = ["0", "0.5", "9,999", "10 k", "250 k", "1.5 M"]
    assert [drawing._number(number) for number in numbers] == shown


def test_counts_add_up_to_the_input() -> None:
    found = runs.facts()
    assert {count.name: count.number for count in found.counts} == {
        "succeeded": 900, "failed": 61, "may have run": 9, "not started": 30,
    }  # fmt: skip
    assert found.total == 1000


WORDS = {
    0: "0", 4e-5: "40 µs", 0.0123: "12.3 ms", 1.5: "1.5 s", 59: "59 s", 90: "1 min 30 s",
    120: "2 min", 3600: "1 h", 5400: "1 h 30 min", 200_000: "2 d 7 h",
}  # fmt: skip


@pytest.mark.parametrize("seconds", WORDS)
def test_times_are_in_the_unit_that_suits_them(seconds: float) -> None:
    assert figures.seconds_in_words(seconds) == WORDS[seconds]


def test_a_share_is_0_or_100_percent_only_if_exact() -> None:
    assert [figures.share(part, 10**6) for part in (0, 1, 500_000, 999_999, 10**6)] == [
        "0 %", "< 0.1 %", "50.0 %", "> 99.9 %", "100 %",
    ]  # fmt: skip
    assert [figures.money(each) for each in (0, 1234.5, 0.0123, 0.00000123)] == [
        "$0.00", "$1,234.50", "$0.0123", "less than $0.0001",
    ]  # fmt: skip


def test_what_was_refused_for_its_key_is_a_failure_and_not_to_come() -> None:
    whole = {"total": 10, "succeeded": 7, "failed": 0, "not_run": 0, "may_have_run": 0}
    facts = facts_of(runs.summary(**whole, notes={"unrecorded": 3}), [], runs.measures(), [])
    assert facts.status == "complete, with failures"
    assert {count.name: count.number for count in facts.counts} == {
        "succeeded": 7,
        "failed": 0,
        "refused: no key of their own": 3,
    }
    facts = facts_of(runs.summary(**whole, notes={}), [], runs.measures(), [])
    assert facts.status == "complete"
    assert {count.name: count.number for count in facts.counts}["not started"] == 3
    parts = [{"shard": "1/2", "sessions": 1}, {"shard": "2/2", "sessions": 1, "complete": True}]
    facts = facts_of(runs.summary(**whole, notes={"parts": parts}), [], runs.measures(), [])
    assert facts.status == "stopped before the end"
