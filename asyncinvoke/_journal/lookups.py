"""Items that were read: what is recorded of them, or else the rows that they get."""

from pathlib import Path
from typing import Any

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._journal.damage import explains_damage
from asyncinvoke._journal.deciding import Found
from asyncinvoke._journal.flights import Unfinished
from asyncinvoke._journal.identity import cut
from asyncinvoke._journal.restoring import ITEM_ROWS, ItemRow, outcome_of
from asyncinvoke._journal.rows import CauseKey
from asyncinvoke._journal.schema import DIGEST, State
from asyncinvoke._journal.statements import Statements


class Lookups:
    """The rows of the items of a run, on the connection of its writer.

    Args:
        path: The path of the journal, as shown in messages.
        sql: The connection.
        left: What the earlier sessions have left.
        keyed: Whether items are identified by keys.
        has_longer_digests: Whether an older version created the journal, whose digests were longer.
    """

    def __init__(
        self,
        path: Path,
        sql: Statements,
        left: Unfinished,
        *,
        keyed: bool,
        has_longer_digests: bool,
    ) -> None:
        self.path = path
        self._sql = sql
        self._left = left
        self._keyed = keyed
        self._next = left.known
        self._digest = f"substr(digest, 1, {DIGEST})" if has_longer_digests else "digest"

    @explains_damage
    def look_up(self, reads: list[Prepared]) -> tuple[list[Found], list[Prepared]]:
        """Return the items that have ended, with their records, and those that have not.

        The latter include the items that may have run when a process died; see `Unfinished.lost`.
        """
        recorded: dict[Any, Any] = {}
        if self._keyed:
            for row, key, *rest in self._sql.named(
                "SELECT idx, key, digest, state, take FROM item WHERE key IN",
                [each.key for each in reads],
            ):
                recorded[key] = row, rest
        elif reads and reads[0].index < self._left.known:
            for row, *rest in self._sql.all(
                "SELECT idx, digest, state, take FROM item WHERE idx BETWEEN ? AND ?",
                reads[0].index,
                reads[-1].index,
            ):
                recorded[row] = row, rest
        if not recorded:  # as in nearly all groups of a run that goes on
            return [], list(reads)
        found, fresh = [], []
        for prepared in reads:
            name = prepared.key if self._keyed else prepared.index
            known = recorded.get(name)
            if known is None or name in self._left.lost:
                fresh.append(prepared)
            else:
                prepared.row, (digest, state, take) = known
                found.append(Found(prepared, cut(digest), State(state), take))
        return found, fresh

    @explains_damage
    def are_those(self, first: int, count: int, digests: bytes, *, failed: bool) -> bool:
        """Return whether consecutive rows have ended, and have these digests.

        Args:
            first: The first row.
            count: The number of rows.
            digests: The expected digests, concatenated, each preceded by its key if there is one.
            failed: Whether some of the items may have failed.
        """
        if any(first <= each.row < first + count for each in self._left.lost.values()):
            return False
        key = "key || " if self._keyed else ""
        # One row for all of them, so the GIL is acquired once. The range is scanned in the order of
        # its rows; an explicit order has the same effect and takes half as long again. In any other
        # order they would count as different, and each item would be looked up.
        ((there, state, found),) = self._sql.all(
            f"SELECT COUNT(*), MAX(state), CAST(group_concat({key}{self._digest}, '') AS BLOB)"
            " FROM item WHERE idx BETWEEN ? AND ?",
            first,
            first + count - 1,
        )
        if there != count or (state and not failed):
            return False
        return bool(found == digests)

    @explains_damage
    def outcomes(
        self, wanted: list[Found], causes: dict[CauseKey, int]
    ) -> list[tuple[Prepared, Outcome[Any]]]:
        """Return the recorded outcomes of items, each with the codec of its call.

        Args:
            wanted: The items.
            causes: The numbers of causes of failure.
        """
        keys = {number: key for key, number in causes.items()}
        given = []
        for each in wanted:
            prepared = each.prepared
            row = ItemRow(*self._sql.all(f"{ITEM_ROWS} WHERE item.idx = ?", prepared.row)[0])
            cause = example = None
            if row.cause is not None:
                cause = keys[row.cause]
                ((example,),) = self._sql.all("SELECT example FROM cause WHERE id = ?", row.cause)
            codec: dict[str, Any] = (
                {} if prepared.call is None else {"decode": prepared.call.decode}
            )
            outcome = outcome_of(row, cause, index=prepared.index, example=example, **codec)
            given.append((prepared, outcome))
        return given

    def place(self, items: list[Prepared], *, are_first: bool) -> None:
        """Set the rows and takes of new items.

        Without keys, the row of an item is its position. With keys it is too, while no other key
        has that row: then what is read from the journal has the positions and the order of the
        input. A row is taken by a key that was read at that position before the order of the keys
        had changed. The item then gets a row behind all others.

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
            for (row,) in self._sql.named(f"SELECT idx FROM {table} WHERE idx IN", wanted)
        }
        if are_first:
            used.difference_update(self._left.not_sent)
        return used | self._left.takes.keys()
