"""How much may fail before a map stops, and what the error says then."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import (
    AsyncInvokeError,
    Delivery,
    FunctionError,
    InvalidRequestError,
    Outcome,
    Response,
    ThrottledError,
    ThrottleReason,
    ThrottleScope,
    Tolerance,
    ToleranceExceededError,
)
from asyncinvoke._engine.causes import LONGEST_EXAMPLE, MOST_CAUSES, Causes
from asyncinvoke._engine.tolerance import Failures, checked_tolerance

RESPONSE = Response(status_code=200, payload=b"1")


def failed(error_type: str, message: str = "no such account") -> FunctionError:
    return FunctionError(
        message,
        function_error="Unhandled",
        error_type=error_type,
        error_message=message,
        stack_trace=(),
        response=RESPONSE,
        function_name="charge",
        delivery=Delivery.EXECUTED,
    )


THROTTLED = ThrottledError(
    "slow down",
    reason=ThrottleReason.UNKNOWN,
    scope=ThrottleScope.FUNCTION,
    function_name="charge",
    delivery=Delivery.REJECTED,
    code="TooManyRequestsException",
)


def outcome(index: int, error: AsyncInvokeError | None) -> Outcome:
    response = RESPONSE if error is None else None
    return Outcome(index=index, response=response, error=error, started=0, elapsed=0)


def first_stop(judge: Failures, errors: list[AsyncInvokeError | None]) -> int | None:
    """Return how many outcomes it takes until the map is stopped."""
    for number, error in enumerate(errors, 1):
        if judge(outcome(number - 1, error)) is not None:
            return number
    return None


BAD = failed("ValueError")


@pytest.mark.parametrize(
    ("tolerance", "failed", "ended", "exceeded"),
    [
        (Tolerance(0), 0, 10, False),
        (Tolerance(0), 1, 1, True),
        (Tolerance(100), 100, 100, False),
        (Tolerance(100), 101, 10**6, True),
        (Tolerance(share=0.02), 99, 99, False),
        (Tolerance(share=0.02), 2, 100, False),
        (Tolerance(share=0.02), 3, 100, True),
        (Tolerance(share=0.02, after=1), 1, 1, True),
        (Tolerance(share=0.02, after=200), 100, 199, False),
        (Tolerance(share=0.02, after=200), 5, 200, True),
        (Tolerance(share=0), 0, 1000, False),
        (Tolerance(share=0), 1, 1000, True),
        (Tolerance(share=1.0), 1000, 1000, False),
        (Tolerance(10, share=0.5), 11, 99, True),
        (Tolerance(10, share=0.5), 10, 99, False),
    ],
)
def test_a_tolerance_is_a_count_a_share_or_both(
    tolerance: Tolerance, failed: int, ended: int, exceeded: bool
) -> None:
    assert tolerance.is_exceeded(failed, ended) is exceeded


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({}, "needs a count or a share"),
        ({"count": -1}, "count -1 must be a whole number from 0"),
        ({"count": True}, "count True"),
        ({"count": 1.5}, "count 1.5"),
        ({"count": "3"}, "count '3'"),
        ({"share": 2}, "share 2 must be a number from 0 to 1: 0.02 is 2 %"),
        ({"share": float("nan")}, "share nan"),
        ({"share": True}, "share True"),
        ({"share": "2%"}, "share '2%'"),
        ({"share": 0.1, "after": 0}, "after 0 must be a whole number from 1"),
    ],
)
def test_a_wrong_tolerance_is_refused_by_name(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Tolerance(**wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert named in str(caught.value)


@pytest.mark.parametrize("wrong", [0.02, "2%", True, -1, [1]])
def test_so_is_a_wrong_option(wrong: object) -> None:
    with pytest.raises(InvalidRequestError, match="a whole number from 0 or a Tolerance"):
        checked_tolerance(wrong)


def test_a_number_is_a_count_and_none_bears_everything() -> None:
    assert checked_tolerance(100) == Tolerance(count=100)
    assert checked_tolerance(None) is None
    assert first_stop(Failures(None), [BAD] * 5000) is None


@given(st.lists(st.booleans(), max_size=300), st.integers(0, 20), st.integers(0, 100))
def test_a_map_stops_at_the_first_outcome_that_is_too_much(
    fails: list[bool], count: int, percent: int
) -> None:
    tolerance = Tolerance(count, share=percent / 100, after=50)
    expected = next(
        (
            ended
            for ended in range(1, len(fails) + 1)
            if fails[ended - 1] and tolerance.is_exceeded(sum(fails[:ended]), ended)
        ),
        None,
    )
    assert first_stop(Failures(tolerance), [BAD if each else None for each in fails]) == expected


def test_the_error_tells_the_causes_by_number_and_pickles() -> None:
    judge = Failures(Tolerance(3))
    errors = [None, THROTTLED, failed("KeyError", "'id'\nmore"), None, BAD, failed("KeyError")]
    stopped = None
    for index, error in enumerate(errors):
        stopped = judge(outcome(index, error))
    assert isinstance(stopped, ToleranceExceededError)
    assert str(stopped) == (
        "stopped: 4 of 6 items failed (tolerated: 3): 2 FunctionError KeyError: 'id' more; "
        "1 ThrottledError TooManyRequestsException: slow down; "
        "1 FunctionError ValueError: no such account"
    )
    assert (stopped.failed, stopped.ended) == (4, 6)
    assert [(each.what, each.count) for each in stopped.causes] == [
        ("FunctionError KeyError", 2),
        ("ThrottledError TooManyRequestsException", 1),
        ("FunctionError ValueError", 1),
    ]
    again = pickle.loads(pickle.dumps(stopped))
    assert (str(again), again.causes) == (str(stopped), stopped.causes)


def test_of_many_causes_the_text_names_the_most_frequent() -> None:
    judge = Failures(Tolerance(9))
    errors: list[AsyncInvokeError | None] = [failed(f"E{n % 7}") for n in range(10)]
    stopped = [judge(outcome(n, error)) for n, error in enumerate(errors)][-1]
    assert str(stopped).endswith("; 2 of other kinds")


def test_a_share_is_said_in_percent() -> None:
    assert str(Tolerance(share=0.02)) == "2 % once 100 have ended"
    assert str(Tolerance(1000, share=0.005, after=2000)) == "1,000 and 0.5 % once 2,000 have ended"


def test_the_tolerance_may_change_under_way_and_what_has_failed_counts() -> None:
    judge = Failures(None)
    assert first_stop(judge, [BAD] * 10) is None
    judge.tolerance = Tolerance(5)
    assert judge(outcome(10, None)) is None  # only a failure is one too many
    assert judge(outcome(11, BAD)) is not None
    judge.tolerance = None
    assert judge(outcome(12, BAD)) is None


def test_causes_are_bounded_and_so_are_their_examples() -> None:
    causes = Causes()
    for n in range(2 * MOST_CAUSES):
        causes.add(failed(f"E{n}", "x" * 10_000))
    ranked = causes.ranked()
    assert len(ranked) == MOST_CAUSES + 1
    assert sum(each.count for each in ranked) == 2 * MOST_CAUSES
    assert (ranked[0].what, ranked[0].count) == ("FunctionError of other kinds", MOST_CAUSES)
    assert {len(each.example) for each in ranked} == {LONGEST_EXAMPLE}
