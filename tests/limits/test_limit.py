"""The limit on attempts in flight, as configured by users."""

import pytest

from asyncinvoke import ConfigurationError
from asyncinvoke._limits.limit import AdaptiveLimit, FixedLimit, read_limit
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._request.numbers import MOST


def test_a_number_is_the_most_of_an_adaptive_limit() -> None:
    assert read_limit(7) == AdaptiveLimit(maximum=7)
    assert read_limit(7).start == 7  # type: ignore[union-attr]
    assert AdaptiveLimit(minimum=30).start == 30
    assert read_limit(FixedLimit(3)) == FixedLimit(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maximum": 0}, "maximum 0 must be a whole number from 1"),
        ({"minimum": True}, "minimum True must be a whole number from 1"),
        ({"initial": 2.5}, "initial 2.5 must be a whole number from 1"),
        (
            {"minimum": 9, "initial": 8},
            "minimum 9, initial 8 and maximum 1000 must be in ascending order",
        ),
        (
            {"initial": 11, "maximum": 10},
            "minimum 1, initial 11 and maximum 10 must be in ascending order",
        ),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_by_name(
    options: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        AdaptiveLimit(**options)
    assert str(raised.value) == message


@pytest.mark.parametrize("digits", [30, 400, 5000])
def test_a_number_beyond_all_connections_is_refused_by_name(digits: int) -> None:
    huge = 10**digits
    with pytest.raises(ConfigurationError, match=r"^limit .* to \d"):
        FixedLimit(huge)
    with pytest.raises(ConfigurationError, match=r"^limit .* to \d"):
        read_limit(huge)
    for name in ("initial", "minimum", "maximum"):
        with pytest.raises(ConfigurationError, match=rf"^{name} .* to \d"):
            AdaptiveLimit(**{name: huge})


def test_the_largest_number_is_a_limit() -> None:
    for limit in (FixedLimit(MOST), AdaptiveLimit(initial=MOST, minimum=MOST, maximum=MOST)):
        assert Limiter(limit).limit == MOST
