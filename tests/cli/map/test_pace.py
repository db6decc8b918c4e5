"""The rate of a run, what is left, and what holds it back, computed from samples."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from asyncinvoke import InvokerStatistics, ScopeStatistics, ThrottleReason, ThrottleScope
from asyncinvoke.cli.map.pace import INTERVAL, HeldBack, Pace, RunState, Watch

Moments = list[tuple[float, int, int]]
"""Seconds, outcomes, and the limit of attempts in flight."""


def last(moments: Moments) -> tuple[float, float]:
    pace = Pace()
    for moment in moments:
        rates = pace.at(*moment)
    return rates


STEADY = [(float(second), 10 * second, 100) for second in range(21)]
SLOWER = [(20.0 + second, 200 + 2 * second, 20) for second in range(1, 11)]
RAISED = [(20.0 + second, 200 + 40 * second, 400) for second in range(1, 11)]


@pytest.mark.parametrize(
    ("moments", "late", "pace"),
    [
        pytest.param([(0.0, 0, 100)], 0, 0, id="nothing yet"),
        pytest.param([(0.0, 0, 100), (1.0, 7, 100)], 7, 7, id="too early for a pace"),
        pytest.param(STEADY, 10, 10, id="steady"),
        pytest.param([*STEADY, (26.0, 200, 100)], 0, 200 / 26, id="a lull"),
        pytest.param([*STEADY, *SLOWER], 2, 2, id="the limit fell"),
        pytest.param([*STEADY, *RAISED], 40, 40, id="the concurrency was raised"),
        pytest.param([*STEADY, (21.0, 202, 20)], 152 / 16, 152 / 16, id="it fell just now"),
        pytest.param([*STEADY, (21.0, 190, 100), (22.0, 195, 100)], 5, 5, id="some run again"),
        pytest.param(
            [(s, n, limit + s % 2 * 15) for s, n, limit in STEADY], 10, 10, id="a limit is sought"
        ),
    ],
)
def test_the_pace_is_the_rate_since_what_may_be_in_flight_has_changed(
    moments: Moments, late: float, pace: float
) -> None:
    rates = last(moments)
    assert rates[0] == pytest.approx(late, rel=0.2)
    assert rates[1] == pytest.approx(pace, rel=0.2)


def test_what_holds_a_run_back_is_shown_for_as_long_as_it_takes_to_read() -> None:
    held = HeldBack()
    limit = "function f has a limit of 10 (ReservedFunctionConcurrentInvocationLimitExceeded)"
    seen: list[tuple[float, str | None]] = [
        (0.0, None),
        (0.1, limit),
        (0.2, None),
        (2.0, "the limit is 100"),
        (2.2, None),
        (2.3, "the input"),
    ]
    shown = [held.at(*each) for each in seen]
    assert shown == [None, limit, limit, limit, None, "the input"]


RESERVED = ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED
MESSAGE = (
    "waiting: nothing was admitted for 3 s: the function's reserved concurrency is used up, "
    "or is zero (ReservedFunctionConcurrentInvocationLimitExceeded); Ctrl-C stops the run"
)


def moment(
    elapsed: float,
    *,
    working: int = 1,
    done: int = 0,
    attempts: int = 0,
    in_flight: int = 0,
    throttles: Mapping[ThrottleReason, int] = MappingProxyType({}),
    pause: float = 0.0,
    scope: ThrottleScope = ThrottleScope.FUNCTION,
    waiting_for: str | None = None,
    connecting: Mapping[str, int] = MappingProxyType({}),
    recorded: int = 0,
) -> RunState:
    shown = ScopeStatistics(
        scope=scope,
        key="resize",
        limit=1,
        rate=None,
        pause=pause,
        in_flight=in_flight,
        waiting=working,
        throttles=sum(throttles.values()),
    )
    return RunState(
        elapsed=elapsed,
        working=working,
        done=done,
        recorded=recorded,
        statistics=InvokerStatistics(
            limit=20,
            in_flight=in_flight,
            waiting=working,
            calls=working,
            attempts=attempts,
            retries=0,
            throttles=throttles,
            scopes=(shown,),
            connecting=connecting,
        ),
        waiting_for=waiting_for,
    )


def messages(moments: list[RunState]) -> list[tuple[float, str]]:
    watch = Watch()
    looked = [(each.elapsed, watch.check(each)) for each in moments]
    return [(elapsed, text) for elapsed, text in looked if text is not None]


def refused(since: float, until: float, *, done: int = 0) -> list[RunState]:
    """Yield samples of a run whose attempts are all throttled at once."""
    steps = range(int(since / INTERVAL), int(until / INTERVAL))
    return [moment(n * INTERVAL, attempts=n, throttles={RESERVED: n}, done=done) for n in steps]


def test_a_standstill_is_reported_within_five_seconds_and_once() -> None:
    assert messages(refused(0, 300)) == [(3.0, MESSAGE)]


def test_a_run_that_was_suspended_is_not_said_to_have_failed() -> None:
    moments = [moment(0), moment(INTERVAL, attempts=4), moment(3600, attempts=4)]
    assert not messages([*moments, moment(3600 + INTERVAL, attempts=8, done=4)])
    stuck = [moment(3600 + n * INTERVAL, attempts=4 + n) for n in range(1, 9)]
    assert messages([*moments, *stuck])


def test_a_run_that_makes_progress_reports_nothing() -> None:
    assert not messages([moment(n * INTERVAL, attempts=n, done=n) for n in range(600)])


def test_a_run_that_compares_its_input_with_the_journal_reports_nothing() -> None:
    comparing = [moment(n * INTERVAL, recorded=9 * n) for n in range(600)]
    assert not messages(comparing)
    stuck = [moment(300 + n * INTERVAL, recorded=9 * 599) for n in range(20)]
    assert len(messages([*comparing, *stuck])) == 1


def test_a_function_that_takes_long_is_not_waited_for() -> None:
    assert not messages([moment(n * INTERVAL, attempts=7, in_flight=7) for n in range(600)])


def test_a_run_whose_input_is_silent_does_not_wait_for_lambda() -> None:
    assert not messages([moment(n * INTERVAL, working=0) for n in range(600)])


def test_a_probe_in_flight_does_not_count_as_progress() -> None:
    looks = [
        moment(n * INTERVAL, attempts=n, in_flight=1, throttles={RESERVED: n - 1})
        for n in range(1, 20)
    ]
    assert messages(looks) == [(3.5, MESSAGE)]


def test_each_standstill_is_reported_but_the_same_not_within_a_minute() -> None:
    first, second, third = refused(0, 10), refused(10, 50, done=1), refused(50, 200, done=2)
    assert [elapsed for elapsed, _ in messages([*first, *second])] == [3.0]
    assert [elapsed for elapsed, _ in messages([*first, *third])] == [3.0]
    late = refused(90, 200, done=2)
    assert [elapsed for elapsed, _ in messages([*first, *late])] == [3.0, 93.0]


@pytest.mark.parametrize("reason", ThrottleReason)
def test_every_reason_has_a_message(reason: ThrottleReason) -> None:
    looks = [moment(n * INTERVAL, throttles={reason: n}, attempts=n) for n in range(20)]
    ((_, text),) = messages(looks)
    assert f"({reason});" in text


def test_without_a_throttle_the_known_cause_is_reported() -> None:
    failing = [moment(n * INTERVAL, attempts=n) for n in range(20)]
    assert "3 s: 6 attempts failed and will be retried;" in messages(failing)[0][1]
    paused = "function resize has a limit of 1 and pauses"
    pausing = [moment(n * INTERVAL, pause=5.0, waiting_for=paused) for n in range(20)]
    assert f"3 s: {paused};" in messages(pausing)[0][1]
    for known in (None, "the limit is 20"):  # which is the requested concurrency
        idle = [moment(n * INTERVAL, waiting_for=known) for n in range(20)]
        assert "3 s: every line is waiting for its next attempt;" in messages(idle)[0][1]


REFUSES = "https://example.com refuses connections"


def test_if_an_endpoint_cannot_be_reached_only_that_is_reported() -> None:
    # It is known between two probes only, and there were throttles before.
    looks = [
        moment(
            n * INTERVAL,
            attempts=9 + n,
            throttles={RESERVED: min(n, 3)},
            pause=5.0,
            scope=ThrottleScope.CALLER,
            waiting_for=REFUSES if n % 4 else None,
        )
        for n in range(20)
    ]
    assert messages(looks) == [
        (3.0, f"waiting: nothing was admitted for 3 s: {REFUSES}; Ctrl-C stops the run")
    ]


def test_a_missing_connection_is_reported_and_an_open_one_counts_as_progress() -> None:
    def looks(opening: int) -> list[RunState]:
        connecting = {"https://example.com": opening}
        return [moment(n * INTERVAL, in_flight=7, connecting=connecting) for n in range(20)]

    ((_, text),) = messages(looks(7))
    assert "3 s: no connection to https://example.com yet;" in text
    assert not messages(looks(6))
