"""The limits, as arithmetic."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke.local.limits.admission import Admission

NAMES = ("a", "b", "c")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.sampled_from(NAMES)),
        st.tuples(st.just("release"), st.sampled_from(NAMES)),
        st.tuples(st.just("reserve"), st.sampled_from(NAMES), st.none() | st.integers(0, 4)),
        st.tuples(st.just("account"), st.integers(0, 8)),
    ),
    max_size=60,
)


@given(st.integers(0, 8), steps)
def test_what_is_admitted_fits_every_limit_and_what_is_refused_would_not(
    account: int, steps: list[Any]
) -> None:
    admission = Admission(account)
    reserved: dict[str, int] = {}
    running: Counter[str] = Counter()
    for step, *arguments in steps:
        if step == "admit":
            name = arguments[0]
            shared = sum(count for key, count in running.items() if key not in reserved)
            full = (
                running[name] >= reserved[name]
                if name in reserved
                else shared >= account - sum(reserved.values())
            )
            reason = admission.admit(name, 0.0)
            assert (reason is not None) == full
            if reason is None:
                running[name] += 1
            else:
                assert reason is (
                    ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED
                    if name in reserved
                    else ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED
                )
        elif step == "release":
            if running[arguments[0]]:
                admission.release(arguments[0])
                running[arguments[0]] -= 1
        elif step == "reserve":
            name, limit = arguments
            wanted = {key: value for key, value in reserved.items() if key != name}
            if limit is not None:
                wanted[name] = limit
            if sum(wanted.values()) > account:
                with pytest.raises(ValueError, match="reserved for functions"):
                    admission.reserve(name, limit)
            else:
                admission.reserve(name, limit)
                reserved = wanted
        elif sum(reserved.values()) <= arguments[0]:
            account = admission.account_concurrency = arguments[0]


def test_what_is_in_flight_moves_with_its_function_into_a_reserve_and_out_of_it() -> None:
    admission = Admission(2)
    assert admission.admit("a", 0.0) is None
    admission.reserve("a", 1)
    assert admission.admit("b", 0.0) is None
    admission.reserve("a", None)
    assert admission.admit("c", 0.0) is not None
    admission.release("a")
    assert admission.admit("c", 0.0) is None


def test_a_permit_that_was_not_given_cannot_be_released() -> None:
    with pytest.raises(RuntimeError, match="holds no permit"):
        Admission(1).release("a")


@pytest.mark.parametrize("limit", [-1, 1.5, True, "3", None])
def test_a_limit_is_a_whole_number(limit: Any) -> None:
    with pytest.raises(ValueError, match="account_concurrency"):
        Admission(limit)
