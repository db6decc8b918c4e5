"""The limits of concurrency and of rates, as arithmetic: time is a number here."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke.local.limits import Admission, Bucket, Rates

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


moments = st.lists(st.floats(0, 30), min_size=1, max_size=200).map(sorted)


@given(moments, st.floats(0.1, 20), st.floats(1, 20))
def test_a_bucket_never_gives_more_than_its_rate_and_one_burst(
    times: list[float], rate: float, capacity: float
) -> None:
    bucket = Bucket()
    given_at = [now for now in times if bucket.take(now, rate=rate, capacity=capacity)]
    assert given_at[0] == times[0]
    for first, begin in enumerate(given_at):
        for last, end in enumerate(given_at[first:], first):
            assert last - first + 1 <= capacity + (end - begin) * rate + 1e-6


def test_a_bucket_refills_steadily() -> None:
    bucket = Bucket()
    taken = [
        bucket.take(now, rate=2, capacity=2) for now in (5, 5, 5, 5.4, 5.5, 5.9, 6.0, 90, 90, 90)
    ]
    assert taken == [True, True, False, False, True, False, True, True, True, False]


def test_a_function_takes_ten_requests_a_second_for_each_unit_of_concurrency() -> None:
    admission = Admission(5)
    admission.reserve("own", 1)
    admission.rates.is_request_rate_limited = True
    for name, rate, reason in (
        ("shared", 40, ThrottleReason.FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED),
        ("own", 10, ThrottleReason.RESERVED_FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED),
    ):
        for _ in range(rate):
            assert admission.admit(name, 1.0) is None
            admission.release(name)
        assert admission.admit(name, 1.0) is reason
        assert admission.admit(name, 1.0 + 1.5 / rate) is None
        admission.release(name)


def test_a_reserve_of_zero_is_refused_for_its_concurrency_and_not_its_rate() -> None:
    admission = Admission(5)
    admission.reserve("none", 0)
    admission.rates.is_request_rate_limited = True
    reason = ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED
    assert admission.admit("none", 1.0) is reason


def test_a_function_gains_its_scaling_rate_every_ten_seconds_and_keeps_it() -> None:
    admission = Admission(100)
    admission.rates.scaling_rate = 10

    def grown(now: float) -> int:
        count = 0
        while admission.admit("f", now) is None:
            count += 1
        return count

    assert grown(0.0) == 10
    assert grown(5.0) == 5
    assert grown(15.0) == 10
    for _ in range(25):
        admission.release("f")
    assert grown(15.0) == 25
    assert grown(1000.0) == 10


def test_a_caller_gets_one_request_even_at_less_than_one_a_second() -> None:
    rates = Rates()
    rates.caller_rate = 0.5
    assert [rates.take_caller(now) for now in (0, 1, 2, 3, 4)] == [True, False, True, False, True]


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_an_invalid_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="caller_rate"):
        Rates().caller_rate = rate
