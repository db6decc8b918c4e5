"""RetryPolicy and Backoff as values, and the budget: what a function may spend on retries."""

import copy
import pickle
from collections.abc import AsyncIterator
from dataclasses import FrozenInstanceError, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import (
    RetryCallState,
    retry_if_exception_type,
    retry_never,
    stop_after_attempt,
    stop_after_delay,
    stop_any,
    stop_never,
    wait_chain,
    wait_fixed,
    wait_random,
)
from tenacity.wait import wait_base

from asyncinvoke import (
    Backoff,
    ConfigurationError,
    FailureKind,
    RetryBudget,
    RetryPolicy,
    ThrottledError,
)
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._retries.classify import Verdict
from asyncinvoke._retries.decide import backoff_for
from asyncinvoke._retries.policy import Balance

BACKOFF = Backoff(wait=wait_fixed(1), stop=stop_after_attempt(2))
OTHER = Backoff(wait=wait_fixed(2), stop=stop_never)


def of(kind: FailureKind) -> Verdict:
    return Verdict(kind=kind, delivery=Delivery.UNKNOWN)


def test_a_policy_retries_nothing_by_default() -> None:
    for policy in (RetryPolicy(), RetryPolicy.never()):
        assert [backoff_for(policy, of(kind)) for kind in FailureKind] == [None] * len(FailureKind)


def test_each_kind_has_the_backoff_of_its_name() -> None:
    for kind in FailureKind:
        policy = RetryPolicy(**{kind.value: BACKOFF})  # type: ignore[arg-type]
        assert backoff_for(policy, of(kind)) is BACKOFF
        assert [k for k in FailureKind if backoff_for(policy, of(k)) is not None] == [kind]


@pytest.mark.parametrize("preset", [RetryPolicy.standard(), RetryPolicy.batch()])
def test_a_preset_repeats_all_but_what_the_function_or_the_service_refused(
    preset: RetryPolicy,
) -> None:
    repeated = {kind for kind in FailureKind if backoff_for(preset, of(kind)) is not None}
    assert repeated == set(FailureKind) - {FailureKind.FUNCTION, FailureKind.REJECTED}


def test_one_kind_can_be_replaced() -> None:
    preset = RetryPolicy.standard()
    changed = replace(preset, throttled=OTHER)
    assert changed.throttled is OTHER
    assert changed.service is preset.service
    assert replace(preset, service=OTHER).service is OTHER
    assert replace(preset, service=None).service is None
    assert replace(preset, service=None).transport is preset.transport


def test_a_policy_is_frozen_and_compares_by_its_values() -> None:
    policy = RetryPolicy(service=BACKOFF)
    assert policy == RetryPolicy(service=BACKOFF)
    assert policy != RetryPolicy(service=OTHER)
    assert policy != RetryPolicy()
    assert len({policy, RetryPolicy(service=BACKOFF)}) == 1
    for name in ("service", "throttled"):
        with pytest.raises(FrozenInstanceError):
            setattr(policy, name, OTHER)


def test_a_policy_shows_what_it_holds() -> None:
    shown = repr(RetryPolicy(service=BACKOFF))
    assert shown.startswith("RetryPolicy(throttled=None, not_ready=None, service=Backoff(")


@pytest.mark.parametrize("preset", [RetryPolicy.standard(), RetryPolicy.batch(), RetryPolicy()])
def test_a_policy_is_pickled_and_copied_whole(preset: RetryPolicy) -> None:
    for copied in (pickle.loads(pickle.dumps(preset)), copy.deepcopy(preset)):
        assert type(copied) is RetryPolicy
        assert [backoff_for(copied, of(kind)) is None for kind in FailureKind] == [
            backoff_for(preset, of(kind)) is None for kind in FailureKind
        ]
    assert copy.copy(preset) == preset


async def awaited(state: object) -> float:
    return 1.0


class Awaited:
    """A callable whose result must be awaited."""

    async def __call__(self, *_: object) -> bool:
        return True


ANY: Any = awaited
A_CLASS: Any = stop_after_attempt
A_STOP: Any = stop_after_attempt(3)
A_WAIT: Any = wait_fixed(1)


async def yielded(error: object) -> AsyncIterator[bool]:
    yield True


@pytest.mark.parametrize(
    "options",
    [
        {"wait": 1, "stop": stop_never},
        {"wait": wait_fixed(1), "stop": 3},
        {"wait": None, "stop": stop_never},
        {"wait": wait_fixed(1), "stop": None},
        {"wait": awaited, "stop": stop_never},
        {"wait": wait_fixed(1), "stop": stop_never, "when": "Busy"},
        {"wait": wait_fixed(1), "stop": stop_never, "when": awaited},
        {"wait": wait_fixed(1), "stop": stop_never, "when": Awaited()},
        {"wait": wait_fixed(1), "stop": Awaited()},
        {"wait": partial(Awaited()), "stop": stop_never},
        {"wait": partial(partial(awaited)), "stop": stop_never},
        {"wait": wait_fixed(1), "stop": stop_never, "when": yielded},
        {"wait": wait_fixed(1) + ANY, "stop": stop_never},
        {"wait": wait_chain(wait_fixed(1), ANY), "stop": stop_never},
        {"wait": wait_fixed(1), "stop": stop_after_attempt(3) | (stop_never & ANY)},
    ],
)
def test_a_backoff_takes_plain_functions_only(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="must be a plain callable"):
        Backoff(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"wait": stop_after_attempt(3), "stop": wait_fixed(1)},
        {"wait": wait_fixed(1), "stop": wait_fixed(1)},
        {"wait": wait_fixed, "stop": stop_never},
        {"wait": wait_fixed(1), "stop": stop_after_attempt},
        {"wait": wait_fixed(1), "stop": stop_never, "when": retry_if_exception_type(OSError)},
        {"wait": wait_fixed(1), "stop": stop_never, "when": retry_never},
        {"wait": wait_fixed(1), "stop": stop_never, "when": ThrottledError},
        {"wait": wait_fixed(1), "stop": stop_any(stop_never, A_CLASS)},
        {"wait": wait_fixed(1), "stop": stop_never | (stop_after_attempt(3) & A_WAIT)},
        {"wait": wait_fixed(1), "stop": partial(A_CLASS, 3)},
        {"wait": wait_chain(wait_fixed(1), A_STOP), "stop": stop_never},
        {"wait": wait_fixed(1) + A_CLASS, "stop": stop_never},
    ],
)
def test_what_would_silently_count_as_true_is_refused_before_it_is_used(
    options: dict[str, Any],
) -> None:
    with pytest.raises(ConfigurationError, match="must be a plain callable, such as"):
        Backoff(**options)


def test_checking_a_strategy_of_the_callers_own_reads_nothing_of_it() -> None:
    class Listed(wait_base):
        def __init__(self) -> None:
            self.waits = iter([1.0, 2.0])

        def __call__(self, retry_state: RetryCallState) -> float:
            return next(self.waits)

    listed = Listed()
    Backoff(wait=listed + wait_fixed(1), stop=stop_never)
    assert list(listed.waits) == [1.0, 2.0]


def test_composed_strategies_are_taken() -> None:
    def own(state: RetryCallState) -> float:
        return 0.0

    Backoff(
        wait=wait_fixed(1) + wait_random(0, 1),
        stop=(stop_after_attempt(3) | stop_after_delay(9)) & stop_never,
    )
    Backoff(wait=own, stop=lambda state: True)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_policy_takes_backoffs_only(kind: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{kind}=3 must be a Backoff or None"):
        RetryPolicy(**{kind: 3})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "seconds", [0, -1, float("nan"), float("inf"), pytest.param(-(10**5000), id="huge")]
)
def test_the_longest_hint_is_a_positive_number(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match=r"max_retry_after=.* must be a positive number"):
        RetryPolicy(max_retry_after=seconds)


@pytest.mark.parametrize("name", ["ratio", "per_second", "burst"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", None])
def test_a_budget_is_made_of_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name} .* must be a number from"):
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


@pytest.mark.parametrize("budget", [3, 0.2, "standard", RetryBudget])
def test_a_budget_of_a_policy_must_be_one(budget: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"budget=.* must be a RetryBudget or None"):
        RetryPolicy(budget=budget)


@pytest.mark.parametrize("value", [10**400, -(10**5000), True], ids=["huge", "negative", "flag"])
def test_values_beyond_floats_and_values_that_are_not_numbers_are_refused_at_once(
    value: float,
) -> None:
    for name in ("ratio", "per_second", "burst"):
        with pytest.raises(ConfigurationError, match=rf"{name} .* must be a number from .*finite"):
            RetryBudget(**{name: value})
    with pytest.raises(ConfigurationError, match=r"max_retry_after=.* must be .*finite"):
        RetryPolicy(max_retry_after=value)
