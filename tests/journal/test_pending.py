"""Records that wait for a commit: their groups, and their order after a failed commit."""

from typing import Any

import pytest

from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._journal.pending import LEAST_GROUP, MOST_BYTES, MOST_GROUP, Pending, group_size


@pytest.mark.parametrize(
    ("size", "last", "wanted"),
    [
        # As many as ended, unless the difference is small.
        (64, {"read": 64, "fresh": 64, "ended": 60, "was_hungry": False}, 64),
        (64, {"read": 64, "fresh": 64, "ended": 40, "was_hungry": False}, 40),
        (64, {"read": 64, "fresh": 64, "ended": 65, "was_hungry": False}, 65),
        (64, {"read": 64, "fresh": 64, "ended": 0, "was_hungry": False}, LEAST_GROUP),
        # Workers waited, or most items were skipped: twice as many.
        (64, {"read": 64, "fresh": 64, "ended": 60, "was_hungry": True}, 128),
        (64, {"read": 64, "fresh": 31, "ended": 0, "was_hungry": False}, 128),
        (64, {"read": 64, "fresh": 32, "ended": 64, "was_hungry": False}, 64),
        # But not if their results are large: in memory are those of one group.
        (
            64,
            {"read": 64, "fresh": 0, "ended": 0, "was_hungry": False, "replayed": MOST_BYTES},
            64,
        ),
        (
            64,
            {"read": 64, "fresh": 0, "ended": 0, "was_hungry": False, "replayed": 2 * MOST_BYTES},
            32,
        ),
        (
            64,
            {"read": 64, "fresh": 0, "ended": 0, "was_hungry": True, "replayed": 99 * MOST_BYTES},
            LEAST_GROUP,
        ),
        # Nor if there was not even one group to read.
        (64, {"read": 63, "fresh": 0, "ended": 60, "was_hungry": True}, 64),
        (MOST_GROUP, {"read": MOST_GROUP, "fresh": 0, "ended": 0, "was_hungry": True}, MOST_GROUP),
    ],
)
def test_a_group_follows_what_is_taken_during_a_commit(
    size: int, last: dict[str, Any], wanted: int
) -> None:
    assert group_size(size, **last) == wanted


class NoMarks:
    """Marks that are not kept."""

    def mark(self, row: int) -> None: ...

    def unmark(self, row: int) -> None: ...


def item(index: int, size: int = 1) -> Prepared:
    return Prepared(NoMarks(), index, None, None, b"x" * size)


def test_a_commit_that_did_not_happen_changes_nothing() -> None:
    pending = Pending()
    pending.reads.extend(map(item, range(3)))
    pending.again.append(item(3))
    pending.ended.append(item(4))
    pending.notes = {"a": 1, "b": 1}
    reads, batch = pending.take()
    assert not pending
    # More was added meanwhile.
    pending.reads.append(item(5))
    pending.again.append(item(6))
    pending.ended.append(item(7))
    pending.notes["b"] = 2
    pending.put_back(reads, batch)
    assert [each.index for each in pending.reads] == [0, 1, 2, 5]
    assert [each.index for each in pending.again] == [3, 6]
    assert [each.index for each in pending.ended] == [4, 7]
    assert pending.notes == {"a": 1, "b": 2}


def test_a_group_has_a_limited_size_and_at_least_one_item() -> None:
    pending = Pending()
    pending.reads.extend(item(index, MOST_BYTES // 2) for index in range(3))
    pending.reads.append(item(3, 2 * MOST_BYTES))
    taken = [[each.index for each in pending.take()[0]] for _ in range(3)]
    assert taken == [[0, 1], [2, 3], []]


@pytest.mark.parametrize("is_proven", [False, True])
def test_notes_that_are_held_back_are_stored_once_the_input_is_proven(is_proven: bool) -> None:
    pending = Pending()
    pending.held = {"a": 1, "b": 1}
    _, batch = pending.take()
    pending.held["b"] = 2  # noted during the commit
    pending.hold_again(batch, is_proven=is_proven)
    assert batch.held == {"a": 1, "b": 1}
    assert pending.notes == ({"b": 2} if is_proven else {})
    assert pending.held == (None if is_proven else {"a": 1, "b": 2})
