"""Assigns rows of the journal to items that are read for the first time."""

from collections.abc import Callable
from typing import Any

from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._journal.flights import Unfinished

SelectNamed = Callable[[str, list[int]], list[Any]]
"""Executes a query that ends with `IN`, for these rows, and returns what it finds."""


class Placement:
    """The rows of a session's items.

    Without keys, the row of an item is its position. With keys it is too, while no other key has
    that row: then what is read from the journal has the positions and the order of the input. A row
    is taken by a key that was read at that position before the order of the keys had changed. The
    item then gets a row behind all others.

    Args:
        select: Queries the journal.
        left: What the earlier sessions have left.
        keyed: Whether items are identified by keys.
    """

    def __init__(self, select: SelectNamed, left: Unfinished, *, keyed: bool) -> None:
        self._select = select
        self._left = left
        self._keyed = keyed
        self._next = left.known

    def place(self, items: list[Prepared], *, are_first: bool) -> None:
        """Set the rows and takes of new items.

        Args:
            items: The items.
            are_first: Whether nothing of this session is recorded yet. The intents of items that
                certainly did not run are still there then; the same commit removes them.
        """
        takes, rows = self._left.takes, self._left.rows
        if not self._keyed:
            for item in items:
                item.row = item.index
        else:
            used = self._used([each.index for each in items], are_first=are_first)
            for item in items:
                row = item.index
                if item.key in rows:
                    row = rows[item.key]
                elif row in used:
                    row = max(row, self._next)
                used.add(row)
                self._next = max(self._next, row + 1)
                item.row = row
        if takes:
            for item in items:
                item.take = takes.get(item.row, 0) + 1

    def _used(self, wanted: list[int], *, are_first: bool) -> set[int]:
        """Return which of these rows belong to other items."""
        wanted = [row for row in wanted if row < self._next]
        if not wanted:  # as in a first session, and beyond all that is recorded
            return set()
        used = {
            row
            for table in ("item", "flight")
            for (row,) in self._select(f"SELECT idx FROM {table} WHERE idx IN", wanted)
        }
        if are_first:
            used.difference_update(self._left.not_sent)
        return used | self._left.takes.keys()
