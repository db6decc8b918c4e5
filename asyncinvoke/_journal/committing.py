"""Writes a batch into the tables: intents, outcomes, replaced takes, and the counts of all of them."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._journal import rows
from asyncinvoke._journal.pending import CommitBatch
from asyncinvoke._journal.schema import STATES, State
from asyncinvoke._journal.statements import Statements


class Numbering:
    """The numbers of texts: versions of the function, and causes of failure.

    If a transaction is rolled back, its new numbers are void: `copy` before it, `restore` after it.
    """

    def __init__(self, sql: Statements) -> None:
        self.causes: dict[rows.CauseKey, int] = {
            rows.CauseKey(*key): number
            for number, *key in sql.all(
                "SELECT id, error, code, error_type, delivery, gave_up FROM cause"
            )
        }
        self.versions: dict[str, int] = {
            name: number for number, name in sql.all("SELECT id, name FROM version")
        }
        ((self.seq,),) = sql.all("SELECT value FROM count WHERE name = 'seq'")

    def copy(self) -> tuple[int, int, int]:
        """Return how many numbers there are now."""
        return len(self.causes), len(self.versions), self.seq

    def restore(self, copied: tuple[int, int, int]) -> None:
        """Forget the numbers that were added since."""
        for numbers, count in ((self.causes, copied[0]), (self.versions, copied[1])):
            while len(numbers) > count:
                numbers.popitem()  # the last one
        self.seq = copied[2]

    def cause(self, sql: Statements, error: Any, *, results: bool) -> int:
        """Return the number of an error's cause."""
        key = rows.kept_cause(rows.cause_of(error), self.causes)
        number = self.causes.get(key)
        if number is None:
            self.causes[key] = number = len(self.causes) + 1
            example = rows.example_of(error, results=results)
            sql.do("INSERT INTO cause VALUES (?, ?, ?, ?, ?, ?, ?, 0)", number, *key, example)
        return number

    def version(self, sql: Statements, name: str) -> int:
        """Return the number of a version."""
        number = self.versions.get(name)
        if number is not None:  # as for nearly all items
            return number
        name = rows.written(name) or ""
        number = self.versions.get(name)
        if number is None:
            self.versions[name] = number = len(self.versions) + 1
            sql.do("INSERT INTO version VALUES (?, ?, 0)", number, name)
        return number


class Commit:
    """Writes one batch, within a transaction.

    Args:
        sql: The connection.
        numbering: The numbers of versions and causes.
        session: The number of the session.
        started: When the session started, in seconds since the epoch.
        results: Whether to store the functions' responses.
    """

    def __init__(
        self, sql: Statements, numbering: Numbering, *, session: int, started: float, results: bool
    ) -> None:
        self._sql = sql
        self._numbering = numbering
        self._session = session
        self._started = started
        self._results = results
        self._counts: Counter[str] = Counter()
        self._causes: Counter[int] = Counter()
        self._versions: Counter[int] = Counter()

    def write(self, batch: CommitBatch) -> None:
        """Write a batch whose items have rows."""
        sql = self._sql
        self._intend([*batch.reads, *batch.again])
        if batch.reads:
            sql.do("DELETE FROM run WHERE name = 'total' AND value < ?", batch.read)
        if batch.ended:
            self._end(batch.ended)
        keep_notes(sql, batch.notes)
        if batch.sample is not None:
            at = round((time.time() - self._started) * 1000)
            sql.insert("INSERT INTO sample", [(self._session, at, *batch.sample)])
        if batch.ending is not None:
            status, total = batch.ending
            # Any items still open were not sent. After an interrupt, some may not be in `Pending`.
            sql.do("DELETE FROM flight WHERE session = ?", self._session)
            sql.do(
                "UPDATE session SET ended = ?, status = ? WHERE id = ?",
                time.time(),
                status,
                self._session,
            )
            if total is not None:
                sql.set_about("total", total)
        for table, name, value, changes in (
            ("count", "name", "value", self._counts),
            ("cause", "id", "count", self._causes),
            ("version", "id", "count", self._versions),
        ):
            sql.add(f"UPDATE {table} SET {value} = {value}", name, changes)

    def _intend(self, items: list[Prepared]) -> None:
        self._sql.insert(
            "INSERT OR REPLACE INTO flight",
            ((each.row, each.digest, each.key, self._session, each.take) for each in items),
        )

    def _land(self, indexes: list[int]) -> None:
        self._sql.named("DELETE FROM flight WHERE idx IN", indexes)

    def _end(self, ended: list[Prepared]) -> None:
        for prepared in ended:
            if prepared.outcome.take > 1:
                self._put_aside(prepared.row)
        self._sql.insert("INSERT INTO item", map(self._row, ended))
        self._land([each.row for each in ended])
        self._sql.insert("INSERT INTO result", self._results_of(ended))
        self._counts["seq"] += len(ended)

    def _results_of(self, ended: list[Prepared]) -> Iterator[tuple[Any, ...]]:
        for prepared in ended:
            body, facts = rows.result_of(prepared.outcome, results=self._results)
            if body is not None or facts is not None:
                yield prepared.row, body, facts

    def _row(self, prepared: Prepared) -> tuple[Any, ...]:
        """Return the row of `item` for an item that has ended, and count it."""
        outcome = prepared.outcome
        error, response = outcome.error, outcome.response
        # A plain number: SQLite's module would first ask a state how it wants to be stored.
        state = int(rows.state_of(error))
        attempts, throttled = rows.counts_of(outcome.attempts)
        counts, numbering = self._counts, self._numbering
        counts[STATES[state]] += 1
        counts["attempts"] += attempts
        if throttled:
            counts["throttled"] += throttled
        status = request_id = cause = version = None
        if error is not None:
            cause = numbering.cause(self._sql, error, results=self._results)
            self._causes[cause] += 1
            status = getattr(error, "status_code", None)
            request_id = getattr(error, "request_id", None)
            response = getattr(error, "response", None)
        if response is not None:
            status = None if response.status_code == 200 else response.status_code
            request_id = response.request_id
            if response.executed_version is not None:
                version = numbering.version(self._sql, response.executed_version)
                self._versions[version] += 1
        numbering.seq += 1
        return (
            prepared.row,
            prepared.digest,
            prepared.key,
            state,
            cause,
            outcome.take,
            attempts,
            throttled,
            self._session,
            version,
            status,
            round((outcome.started - self._started) * 1000),
            round(outcome.elapsed * 1_000_000),
            rows.packed_id(request_id),
            numbering.seq,
        )

    def _put_aside(self, row: int) -> None:
        """Move the recorded outcome of an item to its earlier takes, if there still is one."""
        sql = self._sql
        for state, cause, attempts, throttled, version in sql.all(
            "SELECT state, cause, attempts, throttled, version FROM item WHERE idx = ?", row
        ):
            self._counts[STATES[state]] -= 1
            self._counts["attempts"] -= attempts
            self._counts["throttled"] -= throttled
            if cause is not None and state != State.SETTLED:
                self._causes[cause] -= 1
            if version is not None:
                self._versions[version] -= 1
            move_to_earlier(sql, row)


def copy_to_earlier(sql: Statements, row: int, *, take: int | None = None) -> None:
    """Copy the recorded outcome of an item to its earlier takes, by default under its own number."""
    sql.do(
        "INSERT OR REPLACE INTO earlier SELECT idx, COALESCE(?, take), state, cause, attempts,"
        " session, began, elapsed, request_id FROM item WHERE idx = ?",
        take,
        row,
    )


def move_to_earlier(sql: Statements, row: int, *, take: int | None = None) -> None:
    """Move the recorded outcome of an item to its earlier takes; the caller adjusts the counts."""
    copy_to_earlier(sql, row, take=take)
    sql.do("DELETE FROM item WHERE idx = ?", row)
    sql.do("DELETE FROM result WHERE idx = ?", row)


def keep_notes(sql: Statements, notes: Mapping[str, object]) -> None:
    """Store notes, each under its name."""
    for name, each in notes.items():
        sql.set_about(f"note:{name}", json.dumps(each))
