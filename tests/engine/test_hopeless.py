"""When a run is hopeless: a hundred refusals in a row for one reason, and nobody who succeeds."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import (
    Delivery,
    FunctionError,
    InvalidRequestError,
    InvocationError,
    RejectedError,
    Response,
    ThrottledError,
    ThrottleReason,
    ThrottleScope,
    TransportError,
)
from asyncinvoke._engine.hopeless import HOPELESS_AFTER, OF_THE_CALLER, OF_THE_ITEM, Refusals
from asyncinvoke._request.target import Target

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
THROTTLED = ThrottledError(
    "slow down",
    reason=ThrottleReason.UNKNOWN,
    scope=ThrottleScope.FUNCTION,
    function_name="resize",
    delivery=Delivery.REJECTED,
)
LOST = TransportError("reset", function_name="resize", delivery=Delivery.UNKNOWN)

Ended = tuple[Target, InvocationError | None]


def play(refusals: Refusals, *ended: Ended, start: int = 0) -> str | None:
    """Begin and end these items one by one, and give the last word."""
    said = None
    for index, (target, error) in enumerate(ended, start):
        refusals.begin(index, target)
        said = refusals.end(index, error)
    return said


def test_a_hundred_refusals_in_a_row_are_hopeless_and_the_error_says_why() -> None:
    refusals = Refusals()
    assert play(refusals, *[(RESIZE, refused())] * 99) is None
    assert play(refusals, (RESIZE, refused()), start=99) == (
        "100 refusals in a row: resize: ResourceNotFoundException: Function not found"
    )


def test_the_qualifier_is_part_of_the_reason() -> None:
    error = refused()
    error.qualifier = "live"
    said = play(Refusals(), *[(RESIZE, error)] * 100)
    assert said is not None
    assert "in a row: resize:live: ResourceNotFoundException" in said


@pytest.mark.parametrize("between", [None, FAILED], ids=["success", "the function's own failure"])
def test_what_was_admitted_ends_a_row(between: InvocationError | None) -> None:
    row = [(RESIZE, refused())] * 99
    refusals = Refusals()
    assert play(refusals, *row, (RESIZE, between), *row) is None
    assert play(refusals, (RESIZE, refused()), start=199) is not None


@pytest.mark.parametrize("between", [THROTTLED, LOST], ids=["throttled", "lost"])
def test_what_says_nothing_either_way_neither_counts_nor_ends_a_row(
    between: InvocationError,
) -> None:
    row: list[Ended] = [(RESIZE, refused())] * 99
    assert play(Refusals(), *[(RESIZE, between)] * 200) is None
    assert play(Refusals(), *row, (RESIZE, between), (RESIZE, refused())) is not None


def test_an_item_that_was_never_begun_says_nothing() -> None:
    refusals = Refusals()
    for index in range(200):
        assert refusals.end(index, InvalidRequestError("no")) is None


def test_a_row_is_of_one_code() -> None:
    codes = ["ResourceNotFoundException", "AccessDeniedException"] * 200
    assert play(Refusals(), *[(RESIZE, refused(code)) for code in codes]) is None


@pytest.mark.parametrize("code", sorted(OF_THE_ITEM))
def test_a_refusal_of_one_item_says_nothing_of_the_next(code: str) -> None:
    assert play(Refusals(), *[(RESIZE, refused(code))] * 200) is None


def test_one_missing_function_does_not_end_a_run_in_which_others_succeed() -> None:
    refusals = Refusals()
    ended: list[Ended] = [(CROP, None)] + [(RESIZE, refused())] * 1000
    # In turn, and in blocks: the others' items may come further on.
    assert play(refusals, *[(RESIZE, refused()), (CROP, None)] * 200) is None
    assert play(Refusals(), *ended) is None


def test_one_missing_function_does_not_end_a_run_in_which_others_take_long() -> None:
    refusals = Refusals()
    refusals.begin(0, CROP)
    assert play(refusals, *[(RESIZE, refused())] * 1000, start=1) is None
    # Only once they are refused as well is there no hope.
    assert refusals.end(0, refused(target=CROP)) is not None


def test_functions_that_are_all_missing_end_a_run_though_new_ones_are_always_begun() -> None:
    refusals = Refusals()
    said = None
    for index in range(300):  # each item to a function of its own, ten under way at any time
        refusals.begin(index, Target(name=f"f{index}"))
        if index >= 10:
            said = said or refusals.end(index - 10, refused())
    assert said is not None


def test_a_function_that_is_deleted_under_way_ends_a_run() -> None:
    row = [(RESIZE, refused())] * 100
    assert play(Refusals(), *[(RESIZE, None)] * 500, *row) is not None
    # And so where another one had succeeded before it did.
    assert play(Refusals(), (CROP, None), (RESIZE, None), *row) is not None


@pytest.mark.parametrize("code", sorted(OF_THE_CALLER))
def test_a_token_that_expired_is_hopeless_for_every_function(code: str) -> None:
    refusals = Refusals()
    refusals.begin(0, BLUR)
    ended = [(CROP, None)] + [(RESIZE, refused(code))] * 100
    assert play(refusals, *ended, start=1) is not None


@given(st.lists(st.tuples(st.sampled_from([RESIZE, CROP]), st.booleans()), max_size=400))
def test_a_run_is_never_ended_by_fewer_refusals_than_that_since_a_success(
    ended: list[tuple[Target, bool]],
) -> None:
    refusals, row = Refusals(), 0
    for index, (target, ok) in enumerate(ended):
        row = 0 if ok else row + 1
        refusals.begin(index, target)
        said = refusals.end(index, None if ok else refused())
        assert said is None or row >= HOPELESS_AFTER


def test_what_is_kept_does_not_grow_with_the_run() -> None:
    refusals = Refusals()
    outcomes: list[Callable[[], InvocationError | None]] = [lambda: None, refused, lambda: LOST]
    for index in range(3000):
        refusals.begin(index, Target(name=f"f{index}"))
        refusals.end(index, outcomes[index % 3]())
    assert len(refusals._under_way) == 0
    assert len(refusals._targets) <= HOPELESS_AFTER
