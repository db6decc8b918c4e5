"""The `Retry-After` headers: seconds, dates, milliseconds and junk."""

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._retries.retry_after import parse_retry_after

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("retry_after", "amz_retry_after", "expected"),
    [
        (None, None, None),
        ("3", None, 3.0),
        ("0", None, 0.0),
        ("0.25", None, 0.25),
        (None, "1500", 1.5),
        (None, "0", 0.0),
        ("1", "3000", 3.0),
        ("5", "3000", 5.0),
        ("junk", "3000", 3.0),
        ("3", "junk", 3.0),
        ("", "", None),
        ("-1", "-1", None),
        ("nan", "inf", None),
        ("inf", None, None),
        ("1e999", None, None),
        ("Wed, 99 Foo 2023 99:99:99 GMT", None, None),
    ],
)
def test_both_headers_are_read_and_the_longer_wait_counts(
    retry_after: str | None, amz_retry_after: str | None, expected: float | None
) -> None:
    assert parse_retry_after(retry_after, amz_retry_after, now=NOW) == expected


@given(st.integers(-10_000_000, 10_000_000))
def test_a_date_is_as_far_away_as_it_says_and_a_past_one_means_now(seconds: int) -> None:
    date = formatdate(NOW + seconds, usegmt=True)
    assert parse_retry_after(date, None, now=NOW) == max(0.0, seconds)


@given(st.floats(min_value=0, max_value=1e9))
def test_a_number_is_seconds_here_and_milliseconds_there(number: float) -> None:
    assert parse_retry_after(repr(number), None, now=NOW) == number
    assert parse_retry_after(None, repr(number), now=NOW) == number / 1000


DATELIKE = st.text("0123456789: ,+-JanFebMonGMTZ", max_size=40)


@given(st.none() | st.text() | DATELIKE, st.none() | st.text() | DATELIKE)
def test_junk_never_raises_and_never_asks_for_less_than_nothing(
    retry_after: str | None, amz_retry_after: str | None
) -> None:
    hint = parse_retry_after(retry_after, amz_retry_after, now=NOW)
    assert hint is None or (math.isfinite(hint) and hint >= 0)
