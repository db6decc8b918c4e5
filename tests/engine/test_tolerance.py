"""How many items may fail before a map stops, the error, and when a run is hopeless."""

import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import (
    AsyncInvokeError,
    Delivery,
    FunctionError,
    InvalidRequestError,
    InvocationError,
    Outcome,
    RejectedError,
    Response,
    ThrottledError,
    ThrottleReason,
    ThrottleScope,
    Tolerance,
    ToleranceExceededError,
    TransportError,
)
from asyncinvoke._engine.causes import LONGEST_EXAMPLE, MOST_CAUSES, Causes
from asyncinvoke._engine.hopeless import (
    HOPELESS_AFTER,
    MOST_TARGETS,
    OF_THE_CALLER,
    OF_THE_ITEM,
    Refusals,
)
from asyncinvoke._engine.tolerance import Failures, checked_tolerance
from asyncinvoke._request.target import Target

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


def first_stop(condition: Failures, errors: list[AsyncInvokeError | None]) -> int | None:
    """Return the number of outcomes until the map is stopped."""
    for number, error in enumerate(errors, 1):
        if condition(outcome(number - 1, error)) is not None:
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
        (Tolerance(share=0.29), 29, 100, False),
        (Tolerance(share=0.29), 30, 100, True),
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
def test_a_wrong_option_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(InvalidRequestError, match="a whole number from 0 or a Tolerance"):
        checked_tolerance(wrong)


def test_a_number_is_a_count_and_none_means_unlimited() -> None:
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
            if tolerance.is_exceeded(sum(fails[:ended]), ended)
        ),
        None,
    )
    assert first_stop(Failures(tolerance), [BAD if each else None for each in fails]) == expected


def test_the_error_has_the_causes_by_frequency_and_pickles() -> None:
    condition = Failures(Tolerance(3))
    errors = [None, THROTTLED, failed("KeyError", "'id'\nmore"), None, BAD, failed("KeyError")]
    stopped = None
    for index, error in enumerate(errors):
        stopped = condition(outcome(index, error))
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
    condition = Failures(Tolerance(9))
    errors: list[AsyncInvokeError | None] = [failed(f"E{n % 7}") for n in range(10)]
    stopped = [condition(outcome(n, error)) for n, error in enumerate(errors)][-1]
    assert str(stopped).endswith("; 2 of other kinds")


def test_a_share_is_shown_in_percent() -> None:
    assert str(Tolerance(share=0.02)) == "2 % once 100 have ended"
    assert str(Tolerance(1000, share=0.005, after=2000)) == "1,000 and 0.5 % once 2,000 have ended"


def test_the_tolerance_may_change_during_a_run_and_earlier_failures_count() -> None:
    condition = Failures(None)
    assert first_stop(condition, [BAD] * 10) is None
    condition.tolerance = Tolerance(5)
    assert condition(outcome(10, None)) is not None  # from the next outcome on
    condition.tolerance = None
    assert condition(outcome(12, BAD)) is None


def test_causes_are_bounded_and_so_are_their_examples() -> None:
    causes = Causes()
    for n in range(2 * MOST_CAUSES):
        causes.add(failed(f"E{n}", "x" * 10_000))
    ranked = causes.ranked()
    assert len(ranked) == MOST_CAUSES + 1
    assert sum(each.count for each in ranked) == 2 * MOST_CAUSES
    assert (ranked[0].what, ranked[0].count) == ("FunctionError of other kinds", MOST_CAUSES)
    assert {len(each.example) for each in ranked} == {LONGEST_EXAMPLE}


NASTY = "\x1b]0;mine\x07\u202e\ud800\r\n" + "x" * 6_000_000


def test_text_of_a_function_is_bounded_and_does_not_control_the_terminal() -> None:
    condition = Failures(Tolerance(0))
    error = condition(outcome(0, failed(NASTY, NASTY)))
    assert isinstance(error, ToleranceExceededError)
    (cause,) = error.causes
    for text in (str(error), str(cause), str(cause.error_type), cause.example):
        assert text.isprintable()
        assert len(text) < 1000
        assert text.encode()


def test_text_of_an_endpoint_is_bounded_and_does_not_control_the_terminal() -> None:
    condition = Failures(None)
    stopped = None
    error = RejectedError(
        NASTY, function_name="resize", delivery=Delivery.REJECTED, code=f"Code{NASTY}"
    )
    for index in range(HOPELESS_AFTER):
        condition.begin(index, RESIZE)
        stopped = condition(outcome(index, error))
    assert isinstance(stopped, ToleranceExceededError)
    (cause,) = stopped.causes
    for text in (str(stopped), str(cause), str(cause.code)):
        assert text.isprintable()
        assert len(text) < 2000


RESIZE, CROP, BLUR = Target(name="resize"), Target(name="crop"), Target(name="blur")


def refused(code: str = "ResourceNotFoundException", target: Target = RESIZE) -> RejectedError:
    return RejectedError(
        "Function not found", function_name=target.name, delivery=Delivery.REJECTED, code=code
    )


FAILED = FunctionError(
    "oops",
    function_error="Unhandled",
    error_type=None,
    error_message=None,
    stack_trace=(),
    response=Response(status_code=200, payload=b""),
    function_name="resize",
    delivery=Delivery.EXECUTED,
)
BUSY = ThrottledError(
    "slow down",
    reason=ThrottleReason.UNKNOWN,
    scope=ThrottleScope.FUNCTION,
    function_name="resize",
    delivery=Delivery.REJECTED,
)
LOST = TransportError("reset", function_name="resize", delivery=Delivery.UNKNOWN)

Ended = tuple[Target, InvocationError | None]


def last_decision(refusals: Refusals, *ended: Ended, start: int = 0) -> str | None:
    """Start and end these items one by one, and return the last decision."""
    reported = None
    for index, (target, error) in enumerate(ended, start):
        refusals.begin(index, target)
        reported = refusals.end(index, error)
    return reported


def test_a_hundred_refusals_in_a_row_are_hopeless_and_the_error_has_the_reason() -> None:
    refusals = Refusals()
    assert last_decision(refusals, *[(RESIZE, refused())] * 99) is None
    assert last_decision(refusals, (RESIZE, refused()), start=99) == (
        "100 refusals in a row: resize: ResourceNotFoundException: Function not found"
    )


def test_the_qualifier_is_part_of_the_reason() -> None:
    error = refused()
    error.qualifier = "live"
    reported = last_decision(Refusals(), *[(RESIZE, error)] * 100)
    assert reported is not None
    assert "in a row: resize:live: ResourceNotFoundException" in reported


@pytest.mark.parametrize("between", [None, FAILED], ids=["success", "the function's own failure"])
def test_an_admitted_call_ends_a_row(between: InvocationError | None) -> None:
    row = [(RESIZE, refused())] * 99
    refusals = Refusals()
    assert last_decision(refusals, *row, (RESIZE, between), *row) is None
    assert last_decision(refusals, (RESIZE, refused()), start=199) is not None


@pytest.mark.parametrize("between", [BUSY, LOST], ids=["throttled", "lost"])
def test_an_ambiguous_failure_neither_counts_nor_ends_a_row(
    between: InvocationError,
) -> None:
    row: list[Ended] = [(RESIZE, refused())] * 99
    assert last_decision(Refusals(), *[(RESIZE, between)] * 200) is None
    assert last_decision(Refusals(), *row, (RESIZE, between), (RESIZE, refused())) is not None


def test_an_item_that_was_never_started_does_not_count() -> None:
    refusals = Refusals()
    for index in range(200):
        assert refusals.end(index, InvalidRequestError("no")) is None


def test_a_row_is_of_one_code() -> None:
    codes = ["ResourceNotFoundException", "AccessDeniedException"] * 200
    assert last_decision(Refusals(), *[(RESIZE, refused(code)) for code in codes]) is None


@pytest.mark.parametrize("code", sorted(OF_THE_ITEM))
def test_a_refusal_of_one_item_does_not_count(code: str) -> None:
    assert last_decision(Refusals(), *[(RESIZE, refused(code))] * 200) is None


def test_one_missing_function_does_not_end_a_run_in_which_others_succeed() -> None:
    refusals = Refusals()
    ended: list[Ended] = [(CROP, None)] + [(RESIZE, refused())] * 1000
    # In turn, and in blocks: the items of the other functions may come later.
    assert last_decision(refusals, *[(RESIZE, refused()), (CROP, None)] * 200) is None
    assert last_decision(Refusals(), *ended) is None


def test_one_missing_function_does_not_end_a_run_in_which_others_take_long() -> None:
    refusals = Refusals()
    refusals.begin(0, CROP)
    assert last_decision(refusals, *[(RESIZE, refused())] * 1000, start=1) is None
    # The run is hopeless only once they are refused as well.
    assert refusals.end(0, refused(target=CROP)) is not None


class CountedTarget(Target):
    """A function that counts how often a set looks for it."""

    looked_for = 0

    def __hash__(self) -> int:
        CountedTarget.looked_for += 1
        return hash(self.name)


def test_a_refusal_costs_the_same_however_many_items_are_in_progress() -> None:
    refusals, missing, items = Refusals(), CountedTarget(name="resize"), 2000
    for index in range(items):
        refusals.begin(index, missing)
    refusals.begin(items, CROP)  # takes long, and is the reason for hope
    CountedTarget.looked_for = 0
    for index in range(items):
        assert refusals.end(index, refused()) is None
    assert CountedTarget.looked_for < 5 * items


def test_functions_that_are_all_missing_end_a_run_though_new_ones_are_always_begun() -> None:
    refusals = Refusals()
    reported = None
    for index in range(300):  # each item to a different function, ten in progress at any time
        refusals.begin(index, Target(name=f"f{index}"))
        if index >= 10:
            reported = reported or refusals.end(index - 10, refused())
    assert reported is not None


def test_a_function_that_is_deleted_during_a_run_ends_it() -> None:
    row = [(RESIZE, refused())] * 100
    assert last_decision(Refusals(), *[(RESIZE, None)] * 500, *row) is not None
    # Also if another function had succeeded before.
    assert last_decision(Refusals(), (CROP, None), (RESIZE, None), *row) is not None


@pytest.mark.parametrize("code", sorted(OF_THE_CALLER))
def test_a_token_that_expired_is_hopeless_for_every_function(code: str) -> None:
    refusals = Refusals()
    refusals.begin(0, BLUR)
    ended = [(CROP, None)] + [(RESIZE, refused(code))] * 100
    assert last_decision(refusals, *ended, start=1) is not None


@given(st.lists(st.tuples(st.sampled_from([RESIZE, CROP]), st.booleans()), max_size=400))
def test_a_run_is_never_ended_by_fewer_refusals_than_that_since_a_success(
    ended: list[tuple[Target, bool]],
) -> None:
    refusals, row = Refusals(), 0
    for index, (target, ok) in enumerate(ended):
        row = 0 if ok else row + 1
        refusals.begin(index, target)
        reported = refusals.end(index, None if ok else refused())
        assert reported is None or row >= HOPELESS_AFTER


def test_the_memory_does_not_grow_with_the_run() -> None:
    refusals = Refusals()
    outcomes: list[Callable[[], InvocationError | None]] = [lambda: None, refused, lambda: LOST]
    for index in range(3000):
        refusals.begin(index, Target(name=f"f{index}"))
        refusals.end(index, outcomes[index % 3]())
    assert len(refusals._under_way) == 0
    assert len(refusals._targets) <= HOPELESS_AFTER


def test_the_memory_does_not_grow_while_there_is_hope() -> None:
    refusals = Refusals()
    refusals.begin(0, CROP)
    for index in range(1, 2 * MOST_TARGETS):
        refusals.begin(index, Target(name=f"f{index}"))
        assert refusals.end(index, refused()) is None
    assert len(refusals._targets) == MOST_TARGETS
    # An item in progress may be one that was not remembered; its own outcome decides.
    assert refusals.end(0, refused(target=CROP)) is not None
