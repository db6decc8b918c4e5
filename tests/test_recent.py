"""A cache of two generations: it is bounded, and used values stay."""

from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._recent import Recent


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 8))
def test_it_is_bounded_and_remembers_at_least_the_latest(keys: list[int], most: int) -> None:
    memory: Recent[int, str] = Recent(most)
    latest: list[int] = []
    for key in keys:
        found = memory.get(key)
        if found is None:
            memory.put(key, f"value {key}")
        else:
            assert found == f"value {key}"
        latest = [*(other for other in latest if other != key), key][-most:]
        assert len(memory) <= 2 * most
        for known in latest:
            assert known in memory.young or known in memory._old


def test_what_is_asked_for_again_and_again_is_never_forgotten() -> None:
    memory: Recent[int, str] = Recent(2)
    memory.put(0, "kept")
    for key in range(1, 50):
        memory.put(key, "passing")
        assert memory.get(0) == "kept"
