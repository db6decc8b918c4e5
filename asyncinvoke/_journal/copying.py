"""Copies journals into one file: renumbered rows, and one row for each item."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncinvoke._journal.conflicts import MET, Conflicts
from asyncinvoke._journal.damage import damage_of_source, damage_told
from asyncinvoke._journal.flights import Flight
from asyncinvoke._journal.opening import read_only_uris
from asyncinvoke._journal.reading import PAGE, RecordedRun
from asyncinvoke._journal.renumbering import TABLES as RENUMBERED
from asyncinvoke._journal.renumbering import Moving, PartStatements, Renumbering
from asyncinvoke._journal.restoring import ITEM_ROWS, ItemRow, outcome_of
from asyncinvoke._journal.rows import cause_of
from asyncinvoke._journal.schema import (
    APPLICATION_ID,
    COUNTS,
    DIGEST,
    FIRST_FORMAT,
    FORMAT,
    ITEM_KEY,
    KEYED,
    ROW,
    STATES,
    TABLES,
    VIEW,
    State,
)
from asyncinvoke.errors import JournalError

_AT_ONCE = 8
"""The number of journals attached at once; SQLite's limit is ten."""

_PAGE = 16384
"""The size of a page, in bytes. Shards interleave, so rows are inserted between others: with pages
four times SQLite's default size, pages are split less often, which saves a sixth of the CPU time."""

_OTHERS = f"{ITEM_ROWS} WHERE item.cause = ? AND item.state != ? AND item.idx > ? ORDER BY item.idx LIMIT {PAGE}"
"""Selects the next items with a cause."""


class Copies:
    """Copies one journal after the other into a new file.

    No other process uses the file, and it is discarded unless complete, so SQLite's own journal and
    syncing are off until the end. Rows are positions; with keys, `Moving` moves those that another
    item has.

    One statement copies the items of a part that are not there yet; see `Conflicts` for the others.

    Args:
        path: The file, which is empty.
        keyed: Whether items are identified by keys.
    """

    def __init__(self, path: Path, *, keyed: bool) -> None:
        self._keyed = keyed
        uri = f"{path.absolute().as_uri()}?mode=rw"
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        self._sql = PartStatements(self._connection)
        self._numbers = Renumbering(self._sql)
        self.conflicts = Conflicts(self._sql, self._numbers, keyed=keyed)
        """The items that are in two journals."""
        self._moving = Moving(self._sql)
        self._sums = dict.fromkeys(COUNTS, 0)
        self._is_indexed = not keyed

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def begin(self) -> None:
        """Create the tables."""
        for pragma in (
            f"page_size={_PAGE}",
            "journal_mode=OFF",
            "synchronous=OFF",
            "cache_size=-131072",
        ):
            self._sql.all(f"PRAGMA {pragma}")
        self._sql.do("BEGIN")
        tables = f"{TABLES}{VIEW}{KEYED if self._keyed else ''}{RENUMBERED}{MET}"
        for statement in tables.split(";\n"):
            if statement.strip() and statement.strip() != ITEM_KEY:
                self._sql.do(statement)
        self._sql.do(f"PRAGMA application_id = {APPLICATION_ID}")
        self._sql.do(f"PRAGMA user_version = {FORMAT}")
        self._sql.do("COMMIT")

    def add(self, parts: Sequence[Path], *, are_apart: bool) -> None:
        """Copy journals.

        Args:
            parts: Their paths.
            are_apart: Whether no item can be in two of the journals added so far.
        """
        if not are_apart:
            self._index()
        for first in range(0, len(parts), _AT_ONCE):
            names = {
                f"part{number}": part for number, part in enumerate(parts[first : first + _AT_ONCE])
            }
            for name, path in names.items():
                with damage_told(path):  # it was replaced or removed since it was looked at
                    self._attach(name, path)
            # One commit for all of them: their rows interleave, so they share pages.
            self._sql.do("BEGIN")
            for name, path in names.items():
                self._sql.part = name
                with RecordedRun(path) as run:
                    lost = run.lost()
                with damage_of_source(path):
                    self._copy(lost)
            self._sql.do("COMMIT")
            for name in names:
                self._sql.do(f"DETACH {name}")

    def _attach(self, name: str, path: Path) -> None:
        first, *others = read_only_uris(path)
        try:
            self._sql.do(f"ATTACH ? AS {name}", first)
        except sqlite3.OperationalError:
            if not others:
                raise
            self._sql.do(f"ATTACH ? AS {name}", others[0])

    def finish(self, about: Callable[[int], Mapping[str, Any]]) -> int:
        """Write the counts and the metadata; return the number of items.

        Args:
            about: Returns the rows of `run`, given the number of items.
        """
        self._index()
        self._sql.do("BEGIN")
        self._name_others()
        if self.conflicts.has_changed_counts:
            self._count_again()
        items = sum(self._sums[name] for name in STATES)
        self._sql.many("INSERT INTO run VALUES (?, ?)", list(about(items).items()))
        counts = {**self._sums, "seq": self._numbers.seq}
        self._sql.many("INSERT INTO count VALUES (?, ?)", list(counts.items()))
        self._sql.do("COMMIT")
        return items

    def _index(self) -> None:
        """Create the index of keys, as late as possible, because sorting them once is faster."""
        if self._is_indexed:
            return
        self._is_indexed = True
        try:
            self._sql.do(ITEM_KEY)
        except sqlite3.IntegrityError:
            raise JournalError("an item is in two shards, which no input gives it to") from None

    def _copy(self, lost: list[Flight]) -> None:
        self._sql.do("DELETE FROM met")
        if self._keyed:
            self._moving.find(lost)
        numbered = self._numbers.of
        first = self._numbers.session + 1
        seq = self._numbers.read()
        ours = f"BETWEEN {first} AND {self._numbers.session}"
        columns = (
            f"{self._digest()}, key, state, {numbered('cause')}, take, attempts, throttled,"
            f" {numbered('session')}, {numbered('version')}, status, began, elapsed, request_id,"
            f" seq + {seq}"
        )
        row = self._moving.of("idx")
        before = self._connection.total_changes
        self._sql.do(f"INSERT OR IGNORE INTO item SELECT {row}, {columns} FROM part.item")
        copied = self._connection.total_changes - before
        ((count,),) = self._sql.all("SELECT COUNT(*) FROM part.item")
        if copied != count:
            self.conflicts.meet(columns, ours)
        self._sql.do(
            f"INSERT INTO result SELECT {row}, body, facts FROM part.result"
            " WHERE idx NOT IN (SELECT idx FROM met)"
        )
        # Earlier takes of items in two journals are left out: their numbers would collide.
        self._sql.do(
            f"INSERT OR IGNORE INTO earlier SELECT {row}, take, state,"
            f" {self._numbers.of('cause')}, attempts, {self._numbers.of('session')}, began, elapsed,"
            " request_id FROM part.earlier WHERE idx NOT IN (SELECT idx FROM met)"
        )
        self._sql.do(
            f"INSERT INTO sample SELECT {self._numbers.of('session')}, at, succeeded, failed,"
            ' in_flight, waiting, "limit", rate, throttles FROM part.sample'
        )
        self._add_counts()
        if lost:
            self._index()
            self.conflicts.lose([self._moving.flight(flight) for flight in lost], ours)
        # The rows reserved for keys of items that were settled as not having run.
        self._sql.do(
            f"INSERT OR IGNORE INTO run SELECT name, {self._moving.of('value')} FROM part.run"
            " WHERE name LIKE ?",
            f"{ROW}%",
        )

    def _digest(self) -> str:
        """Return the digest of an item of the part, shortened if an older version wrote longer ones."""
        ((version,),) = self._sql.all("PRAGMA part.user_version")
        first = self._sql.all("SELECT value FROM part.run WHERE name = ?", FIRST_FORMAT)
        # Only if necessary: a function call per row takes a twentieth of the time.
        return f"substr(digest, 1, {DIGEST})" if first or version < FORMAT else "digest"

    def _name_others(self) -> None:
        """Give items the cause of their own error, if their part had too many causes to record it.

        Another part may have that cause, and a redrive by cause looks for the cause of the error.
        """
        for number, key in self._numbers.others():
            last = -1
            while found := self._sql.all(_OTHERS, number, State.SETTLED, last):
                for row in map(ItemRow._make, found):
                    last = row.idx
                    error = outcome_of(row, key).error
                    own = None if error is None else self._numbers.number_of(cause_of(error))
                    if own not in (None, number):
                        self.conflicts.has_changed_counts = True
                        self._sql.do("UPDATE item SET cause = ? WHERE idx = ?", own, last)

    # Counts.

    def _add_counts(self) -> None:
        for name, value in self._sql.all("SELECT name, value FROM part.count WHERE name != 'seq'"):
            self._sums[name] = self._sums.get(name, 0) + value

    def _count_again(self) -> None:
        self._sums |= dict.fromkeys(STATES, 0)
        self._sums["attempts"] = self._sums["throttled"] = 0
        for state, count, attempts, throttled in self._sql.all(
            "SELECT state, COUNT(*), SUM(attempts), SUM(throttled) FROM item GROUP BY state"
        ):
            self._sums[STATES[State(state)]] = count
            self._sums["attempts"] += attempts
            self._sums["throttled"] += throttled
        for table, but in (("cause", f" AND state != {State.SETTLED.value}"), ("version", "")):
            self._sql.do(f"UPDATE {table} SET count = 0")
            counts = self._sql.all(
                f"SELECT COUNT(*), {table} FROM item WHERE {table} IS NOT NULL{but} GROUP BY {table}"
            )
            self._sql.many(f"UPDATE {table} SET count = ? WHERE id = ?", counts)
