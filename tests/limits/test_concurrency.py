"""The arithmetic of a concurrency limit, run against simulated services with a ceiling."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._limits.concurrency import (
    ALONE_CUTS,
    FALLEN_CUT,
    REMEMBERED,
    ROOM_AFTER,
    ROOM_CUT,
    START_ROUND,
    START_SPEED,
    START_TICK,
    Ceilings,
    ConcurrencyLimit,
    Recovery,
)
from asyncinvoke._limits.rate import FORGOTTEN, LONGEST, Pause

from .simulation import Scenario, Simulation


class Service:
    """Runs up to `ceiling` attempts at once, each for one round; time is in rounds."""

    def __init__(self, limit: ConcurrencyLimit, ceiling: int, takes: float) -> None:
        self.limit = limit
        self.ceiling = ceiling
        self.takes = takes
        self.now = 0.0
        self.running = 0
        self.admitted = self.refused = 0
        self._before_cut = False

    def round(self, wanted: int = 10_000) -> None:
        """End all running attempts, one by one, each replaced by what the limit allows."""
        for _ in range(max(self.running, 1)):
            self.now += self.takes / max(self.running, 1)
            if self.running:
                self.limit.succeeded(now=self.now, in_flight=self.running)
                self.running -= 1
                self.admitted += 1
            self.fill(wanted)

    def fill(self, wanted: int = 10_000) -> None:
        while self.running < min(self.limit.limit, wanted):
            if self.running >= self.ceiling:
                self.refused += 1
                self.limit.throttled(in_flight=self.running)
                return
            self.running += 1


def service(ceiling: int, *, takes: float = 0.1) -> Service:
    return Service(ConcurrencyLimit(initial=20, minimum=1, maximum=1000), ceiling, takes)


@pytest.mark.parametrize("ceiling", [1, 2, 7, 20, 50, 400])
def test_a_steady_ceiling_is_found_and_nearly_filled_at_few_throttles(ceiling: int) -> None:
    there = service(ceiling)
    for _ in range(20):
        there.round()
    there.admitted = there.refused = 0
    for _ in range(100):
        there.round()
    assert there.admitted >= 0.93 * 100 * ceiling
    # A ceiling is probed every few rounds, so a small one gets a larger share of throttles.
    assert there.refused <= 25


@pytest.mark.parametrize("takes", [0.001, 0.01, 0.05, 0.1, 0.2])
def test_the_ramp_at_least_doubles_the_start_each_round_and_exceeds_answers_only_by_time(
    takes: float,
) -> None:
    there = service(10_000, takes=takes)
    there.fill()
    for doubled in (40, 80, 160):
        there.round()
        reached = there.limit.limit
        by_time = max(START_SPEED, reached / START_ROUND) * there.now
        assert doubled <= reached <= 20 + there.admitted + by_time


def test_the_limit_follows_a_ceiling_that_rises_and_one_that_falls() -> None:
    there = service(20)
    for _ in range(40):
        there.round()
    there.ceiling = 80
    for _ in range(25):
        there.round()
    assert there.limit.limit >= 70
    there.ceiling = 20
    before = there.refused
    for _ in range(5):
        there.round()
    assert 12 <= there.limit.limit <= 21
    assert there.refused - before <= 15


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    there = service(1000)
    there.fill(wanted=19)
    for _ in range(50):
        there.round(wanted=19)
    for _ in range(50):
        there.now += 1.0
        there.limit.tick(now=there.now, in_flight=19)
    assert there.limit.limit == 20


def test_answers_to_what_the_ramp_has_counted_by_time_do_not_count_again() -> None:
    limit = ConcurrencyLimit(initial=20, minimum=1, maximum=1000)
    now = 100.0
    for _ in range(20):
        now = limit.rises_at(now)
        limit.tick(now=now, in_flight=limit.limit)
    reached = limit.limit
    assert reached == 20 + round(20 * START_TICK * START_SPEED)
    for _ in range(reached - 20):
        limit.succeeded(now=now, in_flight=limit.limit)
    assert limit.limit == reached
    for _ in range(20):
        limit.succeeded(now=now, in_flight=limit.limit)
    assert limit.limit == reached + 20


@pytest.mark.parametrize(
    ("limit", "items", "function", "wire"),
    [
        (46, 2000, 0.1, 0.003),
        (50, 2000, 0.1, 0.003),
        (50, 3000, 0.1, 0.01),
        (50, 2000, 1.0, 0.02),
        (200, 16_000, 0.1, 0.02),
        (200, 8000, 1.0, 0.02),
        (1000, 40_000, 1.0, 0.02),
    ],
)
def test_not_knowing_the_limit_costs_two_percent_of_the_time_and_one_throttle_in_a_hundred(
    limit: int, items: int, function: float, wire: float
) -> None:
    unknown = Scenario(
        name="",
        clients=1,
        limit=limit,
        seconds=60,
        measured=0,
        function=function,
        wire=wire,
        items=items,
    )
    for seed in range(4 if items <= 3000 else 1):
        finding = Simulation(unknown, seed)
        knowing = Simulation(replace(unknown, knows=True), seed)
        for each in (finding, knowing):
            each.run()
            assert each.admitted == items
        assert finding.makespan() <= 1.02 * knowing.makespan()
        assert finding.refused <= 0.01 * items


@pytest.mark.parametrize("wire", [0.02, 0.05, 0.1])
@pytest.mark.parametrize(
    ("ceiling", "initial"),
    [(1, 1), (2, 1), (2, 2), (5, 1), (5, 2), (5, 5), (10, 1), (10, 2), (10, 5), (10, 10)],
)
def test_a_small_start_spares_a_small_ceiling(ceiling: int, initial: int, wire: float) -> None:
    small = Scenario(
        name="",
        clients=1,
        limit=ceiling,
        seconds=60,
        measured=0,
        wire=wire,
        items=40,
        initial=initial,
        maximum=100,
    )
    for function in (0.1, 1.0):
        refused = 0
        for seed in range(4):
            simulation = Simulation(replace(small, function=function), seed)
            simulation.run()
            assert simulation.admitted == 40
            refused += simulation.refused
        assert refused / 4 <= 8


def test_slow_functions_do_not_hold_back_the_ramp() -> None:
    limit = ConcurrencyLimit(initial=20, minimum=1, maximum=1000)
    now = 0.0
    limit.tick(now=now, in_flight=20)
    while limit.limit < 1000:
        now += 0.05
        limit.tick(now=now, in_flight=limit.limit)
    assert now < 3


def test_a_fixed_limit_never_moves() -> None:
    limit = ConcurrencyLimit(initial=30, minimum=30, maximum=30)
    for now in range(20):
        limit.throttled(in_flight=10)
        limit.succeeded(now=float(now), in_flight=30)
    assert limit.limit == 30


def test_a_newcomer_gets_its_part_of_a_limit_that_was_one_clients() -> None:
    # Two clients whose attempts end in turn, on one ceiling that is fully used at first.
    mine, other = (ConcurrencyLimit(initial=20, minimum=1, maximum=1000) for _ in range(2))
    limits, in_flight, done = [mine, other], [0, 0], [0, 0]
    now, cut = 0.0, [0, 0]
    sent = [0, 0]

    def fill(who: int) -> None:
        while in_flight[who] < limits[who].limit:
            if sum(in_flight) >= 50:
                if sent[who] >= cut[who]:
                    limits[who].throttled(in_flight=in_flight[who])
                    cut[who] = sent[who]
                return
            in_flight[who] += 1
            sent[who] += 1

    for step in range(20_000):
        now += 0.002
        works = (0, 1) if step > 3000 else (0,)
        for who in works:
            fill(who)
        # Choose whose attempt ends next, in proportion to the attempts in flight.
        who = 0 if (step * 7919) % 50 < in_flight[0] * 50 // max(sum(in_flight), 1) else 1
        if in_flight[who]:
            limits[who].succeeded(now=now, in_flight=in_flight[who])
            in_flight[who] -= 1
            done[who] += step > 10_000
    assert min(done) >= 0.25 * sum(done)


@pytest.mark.parametrize("clients", [2, 5])
def test_clients_that_come_one_after_the_other_end_up_with_equal_parts(clients: int) -> None:
    shares = []
    for seed in range(2):
        scenario = Scenario(
            name="", clients=clients, limit=25 * clients, seconds=300, joins=30, measured=0.5
        )
        simulation = Simulation(scenario, seed)
        simulation.run()
        assert simulation.fairness() >= 0.9
        assert simulation.utilisation() >= 0.93
        shares.append(simulation.share())
    assert max(shares) <= 0.02


def test_shared_growth_is_the_same_for_a_large_part_and_a_small_one() -> None:
    grown = []
    for ceiling in (8, 20):
        limit = ConcurrencyLimit(initial=20, minimum=1, maximum=1000)
        now = 0.0
        for found in (40, 40, ceiling):
            limit.throttled(in_flight=found)
            for _ in range(200):
                now += 0.001
                limit.succeeded(now=now, in_flight=limit.limit)
        limit.throttled(in_flight=ceiling)
        before = limit.limit
        for _ in range(8 * limit.limit):
            now += 0.001
            limit.succeeded(now=now, in_flight=limit.limit)
        grown.append(limit.limit - before)
    assert abs(grown[0] - grown[1]) <= 1
    assert grown[0] >= 3


@given(maximum=st.integers(1, 10_000), share=st.floats(0, 1), seconds=st.integers(1, 60))
def test_a_known_capacity_is_asked_about_once_a_second_and_all_of_it_is_back_within_six(
    maximum: int, share: float, seconds: int
) -> None:
    capacity = max(int(share * maximum), 1)
    limit = ConcurrencyLimit(initial=maximum, minimum=1, maximum=maximum)
    limit.lower_to(capacity)
    refused = 0
    for tick in range(1, 20 * seconds + 1):
        limit.tick(now=tick / 20, in_flight=limit.limit)
        if limit.limit > capacity:
            refused += limit.limit - capacity
            limit.lower_to(capacity)
    assert refused <= seconds
    for tick in range(20 * seconds + 1, 20 * (seconds + 6) + 1):
        limit.tick(now=tick / 20, in_flight=limit.limit)
    assert limit.limit == maximum


def test_a_large_part_of_a_shared_limit_that_rises_gains_a_quarter_in_twelve_rounds() -> None:
    limit = ConcurrencyLimit(initial=2000, minimum=1, maximum=5000)
    now = 0.0
    for found in (2000, 2000, 1000, 1000):
        limit.throttled(in_flight=found)
        before = limit.limit
        for _ in range(12):
            for _ in range(limit.limit):
                now += 1e-5
                limit.succeeded(now=now, in_flight=limit.limit)
    assert 1.25 * before <= limit.limit <= 2 * before


@given(
    events=st.lists(
        st.tuples(st.sampled_from("stg"), st.floats(0, 10), st.integers(0, 500)), max_size=200
    ),
    minimum=st.integers(1, 20),
    span=st.integers(0, 500),
)
def test_a_limit_stays_within_its_bounds(
    events: list[tuple[str, float, int]], minimum: int, span: int
) -> None:
    limit = ConcurrencyLimit(initial=minimum, minimum=minimum, maximum=minimum + span)
    now = 0.0
    for what, seconds, in_flight in events:
        now += seconds
        before = limit.limit
        if what == "t":
            limit.throttled(in_flight=in_flight)
            assert limit.limit <= before
        elif what == "s":
            limit.succeeded(now=now, in_flight=max(in_flight, 1))
            assert limit.limit >= before
        else:
            limit.tick(now=now, in_flight=in_flight)
            assert limit.limit >= before
        assert minimum <= limit.limit <= minimum + span


@given(refusals=st.lists(st.booleans(), max_size=60), random=st.floats(0, 1))
def test_a_pause_is_bounded_and_ends(refusals: list[bool], random: float) -> None:
    pause = Pause(lambda: random)
    for now, refused in enumerate(refusals):
        if refused:
            pause.refused(now=float(now))
            assert pause.seconds > 0
        else:
            pause.succeeded(now=float(now))
        assert pause.until <= now + LONGEST
        assert pause.seconds <= LONGEST
    for _ in range(8):
        pause.succeeded(now=0.0)
    assert (pause.seconds, pause.until) == (0.0, 0.0)


def test_a_pause_begins_with_its_first_throttle_and_restarts_after_idleness() -> None:
    pause = Pause(lambda: 0.5)
    for now in (10.0, 20.0, 20.0 + FORGOTTEN):
        pause.refused(now=now)
        assert pause.began == 10.0
    later = 20.1 + 2 * FORGOTTEN
    pause.repeat(now=later)  # for a probe
    pause.refused(now=later)
    assert pause.began == later
    pause.end()
    pause.refused(now=later + 1)
    assert pause.began == later + 1


def known(ceiling: float) -> Ceilings:
    """Ceilings whose ramp is over."""
    ceilings = Ceilings()
    ceilings.found(ceiling, settled=False)
    ceilings.found(ceiling, settled=True)
    return ceilings


def test_a_ceiling_that_stays_is_cut_less_and_less_and_now_and_then_more_for_a_newcomer() -> None:
    ceilings = known(50)
    cuts = [ceilings.found(50, settled=True) for _ in range(ROOM_AFTER)]
    assert [cut.depth for cut in cuts[:3]] == [ALONE_CUTS[1], ALONE_CUTS[2], ALONE_CUTS[2]]
    assert {cut.recovery for cut in cuts[:-1]} == {Recovery.TO_CEILING}
    assert (cuts[-1].depth, cuts[-1].recovery) == (ROOM_CUT, Recovery.LEAVING_ROOM)


def test_answers_in_transit_are_not_taken_for_other_clients() -> None:
    ceilings = known(50)
    found = [ceilings.found(each, settled=True) for each in (50, 52, 51, 49, 50, 48)]
    assert {cut.recovery for cut in found} == {Recovery.TO_CEILING}


def test_a_ceiling_that_came_down_means_others_for_some_throttles_to_come() -> None:
    ceilings = known(50)
    assert ceilings.found(40, settled=True).recovery is Recovery.SHARING
    following = [ceilings.found(40, settled=True) for _ in range(REMEMBERED + 1)]
    assert [cut.recovery for cut in following] == [Recovery.SHARING] * REMEMBERED + [
        Recovery.TO_CEILING
    ]


def test_a_ceiling_that_goes_on_moving_means_others_for_as_long_as_it_does() -> None:
    ceilings = known(50)
    ceilings.found(40, settled=True)
    found = [ceilings.found(each, settled=True) for each in (45, 40) * 20]
    assert {cut.recovery for cut in found} == {Recovery.SHARING}


def test_a_ceiling_that_fell_within_a_round_of_the_last_cut_fell_by_far() -> None:
    assert known(80).found(70, settled=False).depth == FALLEN_CUT


@given(st.floats(1, 10_000), st.floats(1, 10_000))
def test_a_client_with_more_of_a_shared_limit_reduces_it_by_more(one: float, other: float) -> None:
    cuts = []
    for ceiling in sorted((one, other)):
        ceilings = known(2 * ceiling + 2)
        ceilings.found(ceiling, settled=True)
        cut = ceilings.found(ceiling, settled=True)
        assert cut.recovery is Recovery.SHARING
        assert 0 < cut.depth < 1
        cuts.append(cut.depth * ceiling)
    assert cuts[0] <= cuts[1]
