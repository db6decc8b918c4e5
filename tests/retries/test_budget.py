"""The retry budget: what a function may spend on retries."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import ConfigurationError, RetryBudget
from asyncinvoke._retries.budget import Balance


@pytest.mark.parametrize("name", ["ratio", "per_second", "burst"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", None])
def test_a_budget_is_made_of_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} .* must be a number from"):
        RetryBudget(**{name: value})


def test_a_burst_covers_one_retry_at_least() -> None:
    with pytest.raises(ConfigurationError, match=r"burst 0.5 must be a number from 1"):
        RetryBudget(burst=0.5)


def test_a_floor_per_second_lets_little_traffic_retry() -> None:
    balance = Balance(RetryBudget(ratio=0, per_second=0.5, burst=1))
    assert [balance.spend(now=now) for now in (0, 1, 2, 3, 4)] == [True, False, True, False, True]


def test_every_execution_earns_its_share() -> None:
    balance = Balance(RetryBudget(ratio=0.25, per_second=0, burst=1))
    assert balance.spend(now=0)
    for _ in range(3):
        balance.earn()
    assert not balance.spend(now=0)
    balance.earn()
    assert balance.spend(now=0)


EVENTS = st.lists(st.tuples(st.booleans(), st.floats(-1, 5)), max_size=60)


@given(EVENTS, st.floats(0, 1), st.floats(0, 2), st.floats(1, 5))
def test_no_more_is_spent_than_was_earned(
    events: list[tuple[bool, float]], ratio: float, per_second: float, burst: float
) -> None:
    balance = Balance(RetryBudget(ratio=ratio, per_second=per_second, burst=burst))
    now = earned = spent = 0.0
    for is_execution, passed in events:
        now += max(0.0, passed)
        if is_execution:
            earned += ratio
            balance.earn()
        else:
            spent += balance.spend(now=now)
        assert spent <= burst + earned + now * per_second + 1e-6
