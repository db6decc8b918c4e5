"""What one throttle after the other tells of a ceiling."""

from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._limits.ceiling import (
    ALONE_CUTS,
    FALLEN_CUT,
    REMEMBERED,
    ROOM_AFTER,
    ROOM_CUT,
    Ceilings,
    WayBack,
)


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
    assert {cut.way_back for cut in cuts[:-1]} == {WayBack.TO_CEILING}
    assert (cuts[-1].depth, cuts[-1].way_back) == (ROOM_CUT, WayBack.LEAVING_ROOM)


def test_answers_on_their_way_do_not_pass_for_others() -> None:
    ceilings = known(50)
    found = [ceilings.found(each, settled=True) for each in (50, 52, 51, 49, 50, 48)]
    assert {cut.way_back for cut in found} == {WayBack.TO_CEILING}


def test_a_ceiling_that_came_down_means_others_for_some_throttles_to_come() -> None:
    ceilings = known(50)
    assert ceilings.found(40, settled=True).way_back is WayBack.SHARING
    following = [ceilings.found(40, settled=True) for _ in range(REMEMBERED + 1)]
    assert [cut.way_back for cut in following] == [WayBack.SHARING] * REMEMBERED + [
        WayBack.TO_CEILING
    ]


def test_a_ceiling_that_goes_on_moving_means_others_for_as_long_as_it_does() -> None:
    ceilings = known(50)
    ceilings.found(40, settled=True)
    found = [ceilings.found(each, settled=True) for each in (45, 40) * 20]
    assert {cut.way_back for cut in found} == {WayBack.SHARING}


def test_a_ceiling_that_fell_within_a_round_of_the_last_cut_fell_by_far() -> None:
    assert known(80).found(70, settled=False).depth == FALLEN_CUT


@given(st.floats(1, 10_000), st.floats(1, 10_000))
def test_who_has_more_of_a_shared_limit_gives_way_by_more(one: float, other: float) -> None:
    cuts = []
    for ceiling in sorted((one, other)):
        ceilings = known(2 * ceiling + 2)
        ceilings.found(ceiling, settled=True)
        cut = ceilings.found(ceiling, settled=True)
        assert cut.way_back is WayBack.SHARING
        assert 0 < cut.depth < 1
        cuts.append(cut.depth * ceiling)
    assert cuts[0] <= cuts[1]
