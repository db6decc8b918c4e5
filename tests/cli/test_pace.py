"""How fast a run goes, what is left of it, and what holds it back: from moments that were seen."""

import pytest

from asyncinvoke.cli.pace import HeldBack, Pace

Moments = list[tuple[float, int, int]]
"""Seconds, outcomes, and how many may be in flight."""


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
