"""The arithmetic of a rate limit, run against an independent token bucket."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._limits.rate import ENOUGH, IDLE, SLOWEST, WINDOW, RateLimit, RateMeter


class Bucket:
    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.at = burst, 0.0

    def take(self, now: float) -> bool:
        self.tokens = min(self.tokens + (now - self.at) * self.rate, self.burst)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def drive(bucket: Bucket, seconds: float, *, rate: float | None = None) -> tuple[int, int]:
    """Start attempts as fast as the limit allows, at least a millisecond apart."""
    meter = RateMeter(now=0.0)
    limit = None if rate is None else RateLimit(now=0.0, accepted=rate)
    accepted = refused = 0
    now = 0.0
    while now < seconds:
        now += 0.001
        if limit is not None:
            limit.refill(now)
            now = max(now, limit.opens_at)
            limit.refill(now)
            limit.take()
        meter.accepted += 1
        if bucket.take(now):
            accepted += 1
        else:
            meter.accepted -= 1
            refused += 1
            if limit is None:
                limit = RateLimit(now=now, accepted=meter.rate(now))
            else:
                limit.throttled(now=now, accepted=meter.rate(now))
        meter.roll(now, last=0)
    return accepted, refused


@pytest.mark.parametrize("rate", [20, 100, 400])
@pytest.mark.parametrize("burst_seconds", [0.1, 1.0])
def test_a_steady_rate_is_found_and_nearly_filled_at_few_throttles(
    rate: float, burst_seconds: float
) -> None:
    accepted, refused = drive(Bucket(rate, max(rate * burst_seconds, 1)), 60.0)
    assert accepted >= 0.85 * rate * 60
    assert refused <= 0.05 * accepted + 30


def test_a_rate_that_was_cut_far_too_low_comes_back() -> None:
    accepted, _ = drive(Bucket(500, 50), 30.0, rate=10)
    assert accepted >= 0.6 * 500 * 30


def test_a_rate_that_is_not_used_does_not_grow() -> None:
    limit = RateLimit(now=0.0, accepted=100.0)
    for now in range(1, 200):
        limit.refill(float(now))
        limit.take()
    assert limit.rate == pytest.approx(100, rel=0.15)


def test_a_burst_after_idleness_is_not_mistaken_for_the_rate() -> None:
    meter = RateMeter(now=0.0)
    meter.roll(60.0, last=0)
    meter.accepted += 50
    assert meter.rate(60.1) == pytest.approx(500)


class Reference:
    """A reference implementation that remembers each start with its time and window."""

    def __init__(self) -> None:
        self.windows: list[tuple[float, set[int]]] = [(0.0, set())]

    def roll(self, now: float) -> None:
        began, accepted = self.windows[-1]
        enough = len(accepted) >= ENOUGH or now - began >= IDLE
        if now - began >= WINDOW and enough:
            self.windows.append((now, set()))

    def rate(self, now: float) -> float:
        (began, accepted) = self.windows[-1]
        elapsed = now - began
        before, earlier = self.windows[-2] if len(self.windows) > 1 else (began, set())
        lasted = began - before
        if not earlier or lasted >= IDLE:
            return len(accepted) / max(elapsed, WINDOW / 5)
        part = min(elapsed / WINDOW, len(accepted) / ENOUGH, 1.0)
        now_rate = len(accepted) / elapsed if elapsed else 0.0
        return part * now_rate + (1 - part) * len(earlier) / lasted


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["start", "start", "start", "refuse", "roll"]),
            st.sampled_from([0.0, 1e-5, 1e-3, 0.02, 0.3, 6.0]),
            st.integers(0, 200),
        ),
        max_size=150,
    )
)
def test_what_is_refused_is_taken_from_the_window_that_counted_it(
    events: list[tuple[str, float, int]],
) -> None:
    meter, reference = RateMeter(now=0.0), Reference()
    now, number, out = 0.0, 0, list[int]()
    for what, seconds, which in events:
        now += seconds
        if what == "start":
            number += 1
            meter.accepted += 1
            reference.windows[-1][1].add(number)
            out.append(number)
        elif what == "refuse" and out:
            refused = out.pop(which % len(out))
            meter.uncount(refused)
            for _, accepted in reference.windows:
                accepted.discard(refused)
        else:
            meter.roll(now, last=number)
            reference.roll(now)
        assert meter.accepted == len(reference.windows[-1][1])
        assert meter.rate(now) == pytest.approx(reference.rate(now))
        # Never more than everything within the shortest window.
        assert 0 <= meter.rate(now) <= number / (WINDOW / 5)


@pytest.mark.parametrize("after", [0.0, 1e-5, 1e-4, 1e-3])
def test_a_throttle_just_after_a_window_ended_finds_the_rate_of_that_window(after: float) -> None:
    meter = RateMeter(now=0.0)
    for _ in range(100):
        meter.accepted += 1
    meter.roll(1.0, last=100)
    for number in range(91, 101):
        meter.uncount(number)
    assert meter.rate(1.0 + after) == pytest.approx(90)


@pytest.mark.parametrize("refilled", [0.0, 5.0, 10.0])
@pytest.mark.parametrize("owed", [0, 3])
def test_a_throttle_takes_back_what_idleness_had_saved_and_forgives_no_debt(
    refilled: float, owed: int
) -> None:
    limit = RateLimit(now=0.0, accepted=100.0)
    limit.refill(refilled)
    if owed:
        while limit.opens_at <= refilled:
            limit.take()
        for _ in range(owed):
            limit.take()
    before = max(limit.opens_at - refilled, 0.0) * limit.rate
    limit.throttled(now=10.0, accepted=100.0)
    assert (limit.opens_at - 10.0) * limit.rate == pytest.approx(max(before, 1.0))
    limit.refill(10.0)
    assert limit.opens_at > 10.0


@given(
    events=st.lists(st.tuples(st.booleans(), st.floats(0, 100), st.floats(0, 1e6)), max_size=100)
)
def test_a_rate_stays_within_its_bounds(events: list[tuple[bool, float, float]]) -> None:
    limit = RateLimit(now=0.0, accepted=10.0)
    now = 0.0
    for refused, seconds, accepted in events:
        now += seconds
        if refused:
            before = limit.rate
            limit.throttled(now=now, accepted=accepted)
            assert limit.rate <= before
        else:
            limit.refill(now)
            opens = limit.opens_at
            assert now <= opens <= now + 2 / SLOWEST
            now = max(now, opens)
            limit.refill(now)
            limit.take()
        assert SLOWEST <= limit.rate < math.inf
