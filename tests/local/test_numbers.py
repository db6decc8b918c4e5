"""Numbers set by users: invalid or out of range, they give one error that names the option."""

from collections.abc import Callable
from typing import Any

import pytest

from asyncinvoke.local import EventConfig, LocalLambda, throttle
from asyncinvoke.local.numbers import MOST


def function(**options: Any) -> object:
    return LocalLambda().function("f", lambda event, context: event, **options)


WHOLE: dict[str, Callable[[Any], object]] = {
    "port": lambda value: LocalLambda(port=value),
    "account_concurrency": lambda value: LocalLambda(account_concurrency=value),
    "scaling_rate": lambda value: LocalLambda(scaling_rate=value),
    "keep_requests": lambda value: LocalLambda(keep_requests=value),
    "reserved_concurrency": lambda value: function(reserved_concurrency=value),
    "memory_size": lambda value: function(memory_size=value),
    "maximum_retry_attempts": lambda value: EventConfig(maximum_retry_attempts=value),
    "count": lambda value: LocalLambda().fault(throttle(), count=value),
    "seed": lambda value: LocalLambda().fault(throttle(), seed=value),
}
OTHERS: dict[str, Callable[[Any], object]] = {
    "caller_rate": lambda value: LocalLambda(caller_rate=value),
    "event_time_scale": lambda value: LocalLambda(event_time_scale=value),
    "idle_timeout": lambda value: LocalLambda(idle_timeout=value),
    "settling_time": lambda value: LocalLambda(settling_time=value),
    "timeout": lambda value: function(timeout=value),
    "maximum_event_age": lambda value: EventConfig(maximum_event_age=value),
    "retry_delays": lambda value: EventConfig(retry_delays=(1.0, value)),
    "probability": lambda value: LocalLambda().fault(throttle(), probability=value),
}
WRONG: dict[str, Any] = {
    "text": "3",
    "list": [3],
    "bool": True,
    "nan": float("nan"),
    "negative": -1,
    "beyond every float": 10**400,
    "thousands of digits": 10**5000,
    "thousands of digits, negative": -(10**5000),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("option", [*WHOLE, *OTHERS])
def test_a_value_that_is_not_in_range_is_refused_by_name(option: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=rf"^{option}=.+ must be ") as caught:
        (WHOLE | OTHERS)[option](WRONG[wrong])
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("option", WHOLE)
def test_an_integer_option_is_no_fraction_and_has_a_maximum(option: str) -> None:
    for wrong in (1.5, 128.0, MOST + 1):
        with pytest.raises(ValueError, match=rf"^{option}={wrong} must be "):
            WHOLE[option](wrong)


def test_a_pair_of_delays_is_a_pair() -> None:
    for wrong in (7, (1.0,), None):
        with pytest.raises(ValueError, match=r"^retry_delays=.+ must be two times in seconds$"):
            EventConfig(retry_delays=wrong)  # type: ignore[arg-type]  # that is what is tested
