"""Retries.decide: whether to try again, after how long, and why not."""

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import (
    RetryCallState,
    stop_after_attempt,
    stop_after_delay,
    stop_before_delay,
    stop_never,
    wait_chain,
    wait_exponential,
    wait_fixed,
    wait_incrementing,
)

from asyncinvoke import (
    Backoff,
    ConfigurationError,
    Delivery,
    FailureKind,
    GaveUp,
    InvocationError,
    RetryBudget,
    RetryPolicy,
)
from asyncinvoke._retries.classify import Verdict
from asyncinvoke._retries.decide import Retries
from asyncinvoke._retries.policy import Balance
from tests.doubles.engine import every

STARTED = 500.0
KINDS = list(FailureKind)
ERROR = InvocationError("no", function_name="f", delivery=Delivery.REJECTED)


def backoff(wait: Any = None, stop: Any = stop_never, when: Any = None) -> Backoff:
    return Backoff(wait=wait_fixed(1) if wait is None else wait, stop=stop, when=when)


def verdict(
    kind: FailureKind = FailureKind.THROTTLED,
    delivery: Delivery = Delivery.REJECTED,
    retry_after: float | None = None,
) -> Verdict:
    return Verdict(kind=kind, delivery=delivery, retry_after=retry_after)


def retries(
    policy: RetryPolicy,
    *,
    repeatable: bool = False,
    deadline: float = math.inf,
    balance: Balance | None = None,
) -> Retries:
    return Retries(policy, repeatable=repeatable, deadline=deadline, balance=balance)


def decisions(
    decider: Retries, *verdicts: Verdict, now: float = STARTED
) -> Iterator[float | GaveUp]:
    """Make decisions in sequence, and let time pass accordingly."""
    for each in verdicts:
        decision = decider.decide(each, ERROR, now=now)
        if isinstance(decision, float):
            now += decision
        yield decision


@pytest.mark.parametrize("kind", FailureKind)
def test_a_kind_without_a_backoff_is_not_repeated(kind: FailureKind) -> None:
    assert retries(RetryPolicy()).decide(verdict(kind), ERROR, now=STARTED) is GaveUp.NOT_RETRYABLE


def test_each_kind_counts_its_own_attempts() -> None:
    policy = RetryPolicy(
        throttled=backoff(wait_incrementing(1, 1)),
        not_ready=backoff(wait_fixed(10), stop_after_attempt(2)),
    )
    throttle, not_ready = verdict(), verdict(FailureKind.NOT_READY)
    assert list(
        decisions(retries(policy), throttle, throttle, not_ready, throttle, throttle, not_ready)
    ) == [1, 2, 10, 3, 4, GaveUp.ATTEMPTS]


@given(st.lists(st.sampled_from(KINDS), max_size=40), st.integers(1, 5))
def test_a_kind_ends_after_its_own_attempts_in_any_mixture(
    kinds: list[FailureKind], attempts: int
) -> None:
    decider = retries(every(backoff(stop=stop_after_attempt(attempts))), repeatable=True)
    seen = dict.fromkeys(KINDS, 0)
    for kind in kinds:
        seen[kind] += 1
        decision = decider.decide(verdict(kind, Delivery.UNKNOWN), ERROR, now=STARTED)
        if seen[kind] >= attempts:
            assert decision is GaveUp.ATTEMPTS
            break
        assert decision == 1.0


def test_two_executions_share_no_state() -> None:
    policy = every(backoff(wait_incrementing(1, 1), stop_after_attempt(3)))
    first, second = retries(policy), retries(policy)
    assert list(decisions(first, verdict(), verdict())) == [1, 2]
    assert list(decisions(second, verdict(), verdict(), verdict())) == [1, 2, GaveUp.ATTEMPTS]


def test_what_may_have_run_is_not_repeated_unless_repeating_is_harmless() -> None:
    policy = every(backoff())
    unknown = verdict(FailureKind.SERVICE, Delivery.UNKNOWN)
    assert retries(policy).decide(unknown, ERROR, now=STARTED) is GaveUp.DELIVERY_UNKNOWN
    assert retries(policy, repeatable=True).decide(unknown, ERROR, now=STARTED) == 1


def test_a_function_that_failed_is_repeated_if_the_policy_says_so() -> None:
    executed = verdict(FailureKind.FUNCTION, Delivery.EXECUTED)
    assert retries(RetryPolicy(function=backoff())).decide(executed, ERROR, now=STARTED) == 1


@pytest.mark.parametrize(
    ("hint", "expected"), [(None, 1), (0, 1), (0.5, 1), (1.5, 1.5), (59, 59), (3600, 60)]
)
def test_a_hint_is_a_floor_and_is_capped(hint: float | None, expected: float) -> None:
    decision = retries(every(backoff())).decide(verdict(retry_after=hint), ERROR, now=STARTED)
    assert decision == expected


def test_the_cap_of_hints_does_not_cap_the_policys_own_wait() -> None:
    policy = RetryPolicy(throttled=backoff(wait_fixed(9)), max_retry_after=2)
    assert list(decisions(retries(policy), verdict(retry_after=5))) == [9]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.none() | st.floats(0, 1e6),
            st.floats(0, 1e3),
        ),
        max_size=20,
    ),
    st.floats(0.001, 1e5),
)
def test_no_wait_is_below_its_hint_or_across_the_deadline(
    failures: list[tuple[FailureKind, float | None, float]], timeout: float
) -> None:
    policy = every(backoff(wait_exponential(max=30)))
    now, deadline = STARTED, STARTED + timeout
    decider = retries(policy, repeatable=True, deadline=deadline)
    for kind, hint, took in failures:
        now += took
        decision = decider.decide(verdict(kind, Delivery.UNKNOWN, retry_after=hint), ERROR, now=now)
        if isinstance(decision, GaveUp):
            assert decision is GaveUp.DEADLINE
            break
        assert decision >= min(hint or 0.0, policy.max_retry_after)
        now += decision
        assert now < deadline


def test_a_wait_that_ends_at_the_deadline_is_not_started() -> None:
    decider = retries(every(backoff()), deadline=STARTED + 1)
    assert decider.decide(verdict(), ERROR, now=STARTED) is GaveUp.DEADLINE
    decider = retries(every(backoff()), deadline=STARTED + 1.001)
    assert decider.decide(verdict(), ERROR, now=STARTED) == 1.0


def test_the_first_reason_to_give_up_is_reported() -> None:
    late = {"deadline": STARTED}
    stopped = backoff(stop=stop_after_attempt(1))
    unknown = verdict(FailureKind.SERVICE, Delivery.UNKNOWN)

    def reason(policy: RetryPolicy, **options: Any) -> object:
        return retries(policy, **options).decide(unknown, ERROR, now=STARTED)

    assert reason(RetryPolicy(), **late) is GaveUp.NOT_RETRYABLE
    assert reason(every(stopped), **late) is GaveUp.DELIVERY_UNKNOWN
    assert reason(every(stopped), repeatable=True, **late) is GaveUp.ATTEMPTS
    assert reason(every(backoff()), repeatable=True, **late) is GaveUp.DEADLINE


def test_a_retry_that_the_budget_does_not_cover_is_not_made() -> None:
    balance = Balance(RetryBudget(ratio=0, per_second=0, burst=2))
    first = retries(every(backoff()), balance=balance)
    assert list(decisions(first, verdict())) == [1]
    second = retries(every(backoff()), balance=balance)
    assert list(decisions(second, verdict(), verdict())) == [1, GaveUp.BUDGET]


def test_a_retry_that_is_not_made_costs_nothing() -> None:
    balance = Balance(RetryBudget(ratio=0, per_second=0, burst=1))
    unknown = verdict(FailureKind.SERVICE, Delivery.UNKNOWN)
    for policy, deadline, each in [
        (RetryPolicy(), math.inf, verdict()),
        (every(backoff()), math.inf, unknown),
        (every(backoff(stop=stop_after_attempt(1))), math.inf, verdict()),
        (every(backoff()), STARTED, verdict()),
    ]:
        decider = retries(policy, deadline=deadline, balance=balance)
        assert isinstance(decider.decide(each, ERROR, now=STARTED), GaveUp)
    assert list(decisions(retries(every(backoff()), balance=balance), verdict())) == [1]


def test_waits_may_be_added_and_chained() -> None:
    policy = every(
        backoff(
            wait_chain(wait_fixed(1), wait_fixed(3)) + wait_fixed(0.5),
            stop_after_attempt(4),
        )
    )
    found = list(decisions(retries(policy), *[verdict()] * 4))
    assert found == [1.5, 3.5, 3.5, GaveUp.ATTEMPTS]


def test_stops_may_be_joined_with_or_and_with_and() -> None:
    either = every(backoff(stop=stop_after_attempt(5) | stop_after_delay(2)))
    assert list(decisions(retries(either), *[verdict()] * 3)) == [1, 1, GaveUp.ATTEMPTS]
    both = every(backoff(stop=stop_after_attempt(2) & stop_after_delay(3)))
    assert list(decisions(retries(both), *[verdict()] * 4)) == [1, 1, 1, GaveUp.ATTEMPTS]


def test_stop_before_delay_sees_the_wait_that_would_follow_hint_included() -> None:
    policy = every(backoff(stop=stop_before_delay(10)))
    assert list(decisions(retries(policy), verdict(), verdict(retry_after=8), verdict())) == [
        1,
        8,
        GaveUp.ATTEMPTS,
    ]
    assert list(decisions(retries(policy), verdict(retry_after=11))) == [GaveUp.ATTEMPTS]


def test_time_counts_from_the_first_failure_of_each_kind() -> None:
    policy = RetryPolicy(
        throttled=backoff(wait_fixed(5)), not_ready=backoff(stop=stop_after_delay(2))
    )
    not_ready = verdict(FailureKind.NOT_READY)
    found = list(decisions(retries(policy), verdict(), not_ready, not_ready, not_ready))
    assert found == [5, 1, 1, GaveUp.ATTEMPTS]


def test_what_was_not_sent_has_a_backoff_and_a_count_of_its_own() -> None:
    policy = RetryPolicy(
        transport=backoff(stop=stop_after_attempt(1)),
        not_sent=backoff(wait_fixed(2), stop_after_attempt(3)),
    )
    unsent = verdict(FailureKind.TRANSPORT, Delivery.NOT_SENT)
    lost = verdict(FailureKind.TRANSPORT, Delivery.UNKNOWN)
    decider = retries(policy, repeatable=True)
    assert list(decisions(decider, unsent, unsent, lost)) == [2, 2, GaveUp.ATTEMPTS]
    assert list(decisions(retries(policy), *[unsent] * 3)) == [2, 2, GaveUp.ATTEMPTS]


def test_a_batch_waits_out_an_outage_of_five_minutes() -> None:
    unsent = verdict(FailureKind.TRANSPORT, Delivery.NOT_SENT)
    found = list(decisions(retries(RetryPolicy.batch()), *[unsent] * 3000))
    waits = [wait for wait in found if isinstance(wait, float)]
    assert found[len(waits)] is GaveUp.ATTEMPTS
    assert 300 <= sum(waits) <= 305


@pytest.mark.parametrize(
    ("failures", "decided"),
    [
        # The time of each failure, the start of the outage, and whether another attempt is made.
        ([(299.0, 0.0), (300.0, 0.0)], [True, False]),
        ([(299.0, math.inf), (300.0, math.inf), (599.0, math.inf)], [True, True, True]),
        ([(0.0, 0.0), (100.0, 100.0), (200.0, 200.0), (300.0, 300.0)], [True, True, True, False]),
        ([(0.0, 0.0), (3600.0, 3590.0), (3700.0, 3590.0), (3890.0, 3590.0)], [True] * 3 + [False]),
    ],
    ids=["begins with the outage", "an outage that is over", "an item's own", "two outages"],
)
def test_the_time_in_an_outage(failures: list[tuple[float, float]], decided: list[bool]) -> None:
    decider = retries(RetryPolicy.batch())
    unsent = verdict(FailureKind.TRANSPORT, Delivery.NOT_SENT)
    assert [
        isinstance(decider.decide(replace(unsent, outage_began=began), ERROR, now=now), float)
        for now, began in failures
    ] == decided


def test_a_wait_without_an_end_is_not_begun() -> None:
    assert list(decisions(retries(every(backoff(lambda state: math.inf))), verdict())) == [
        GaveUp.ATTEMPTS
    ]


def test_a_strategy_sees_the_error_and_the_count_of_its_kind() -> None:
    seen: list[tuple[int, BaseException | None, float | None]] = []

    def wait(state: RetryCallState) -> float:
        assert state.outcome is not None
        seen.append((state.attempt_number, state.outcome.exception(), state.seconds_since_start))
        return 2.0

    list(decisions(retries(every(backoff(wait))), verdict(), verdict()))
    assert seen == [(1, ERROR, 0.0), (2, ERROR, 2.0)]


def test_when_chooses_the_errors_that_are_repeated() -> None:
    asked: list[InvocationError] = []

    def when(error: InvocationError) -> bool:
        asked.append(error)
        return len(asked) == 1

    decider = retries(every(backoff(when=when)))
    assert list(decisions(decider, verdict(), verdict())) == [1, GaveUp.NOT_RETRYABLE]
    assert asked == [ERROR, ERROR]


def test_a_negative_wait_is_zero() -> None:
    assert list(decisions(retries(every(backoff(lambda state: -3))), verdict())) == [0]


def test_throttles_may_go_on_for_ever_in_batch_mode() -> None:
    found = list(decisions(retries(RetryPolicy.batch()), *[verdict()] * 3000))
    assert all(isinstance(delay, float) and 0 <= delay <= 20 for delay in found)


@pytest.mark.parametrize(
    ("preset", "kind", "ceilings"),
    [
        (RetryPolicy.standard(), FailureKind.THROTTLED, [1, 2]),
        (RetryPolicy.standard(), FailureKind.NOT_READY, [1, 2]),
        (RetryPolicy.standard(), FailureKind.SERVICE, [0.1, 0.2]),
        (RetryPolicy.standard(), FailureKind.TRANSPORT, [0.1, 0.2]),
        (RetryPolicy.batch(), FailureKind.NOT_READY, [1, 2, 4, 8, 16, 20, 20, 20, 20]),
        (RetryPolicy.batch(), FailureKind.SERVICE, [0.2, 0.4, 0.8, 1.6]),
        (RetryPolicy.batch(), FailureKind.TRANSPORT, [0.2, 0.4, 0.8, 1.6]),
    ],
)
def test_a_preset_ends_after_the_attempts_and_waits_that_it_documents(
    preset: RetryPolicy, kind: FailureKind, ceilings: list[float]
) -> None:
    # Waits are random up to a ceiling: of 100, the longest is near it.
    runs = [
        list(decisions(retries(preset, repeatable=True), *[verdict(kind)] * 20)) for _ in range(100)
    ]
    for run in runs:
        assert run[len(ceilings)] is GaveUp.ATTEMPTS
    for number, ceiling in enumerate(ceilings):
        longest = max(wait for run in runs if isinstance(wait := run[number], float))
        assert 0.7 * ceiling < longest <= ceiling


async def yes(_: object) -> bool:
    return True


class CustomAwaitable:
    """An awaitable that is no coroutine, like a future."""

    def __await__(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize("name", ["when", "stop", "wait"])
def test_a_strategy_that_returns_a_coroutine_does_not_mean_yes(name: str) -> None:
    policy = every(backoff(**{name: lambda given: yes(given)}))
    with pytest.raises(ConfigurationError, match=rf"Backoff\({name}=...\) gave a coroutine"):
        retries(policy).decide(verdict(), ERROR, now=STARTED)


@pytest.mark.parametrize("name", ["when", "stop", "wait"])
def test_a_strategy_that_returns_another_awaitable_does_not_mean_yes(name: str) -> None:
    policy = every(backoff(**{name: lambda _: CustomAwaitable()}))
    with pytest.raises(ConfigurationError, match=rf"Backoff\({name}=...\) gave a CustomAwaitable"):
        list(decisions(retries(policy), verdict()))


@pytest.mark.parametrize("message", [None, "soon", [1], timedelta(seconds=1)])
def test_a_wait_is_a_number_of_seconds(message: Any) -> None:
    policy = every(backoff(lambda _: message))
    with pytest.raises(
        ConfigurationError,
        match=rf"Backoff\(wait=...\) gave a {type(message).__name__}: .* seconds",
    ):
        list(decisions(retries(policy), verdict()))


def test_a_wait_beyond_every_float_is_without_an_end() -> None:
    assert list(decisions(retries(every(backoff(lambda _: 10**400))), verdict())) == [
        GaveUp.ATTEMPTS
    ]
