"""Moves the rows of a part that another item already has in the merged journal."""

from asyncinvoke._journal.flights import Flight
from asyncinvoke._journal.renumbering import PartStatements

TAKEN = "CREATE TEMP TABLE taken (idx INTEGER PRIMARY KEY);\n"
"""The rows of the part that are being moved."""


class Moving:
    """The rows of a part in the merged journal of a run with keys.

    An item keeps its row, which is its position in the input, while no other item has it. Shards of
    one input have no row in common, unless the order of the input had changed between them. Then
    the item gets a row behind all others, as in a run that is continued with such an input.

    Args:
        sql: Executes statements.
    """

    def __init__(self, sql: PartStatements) -> None:
        self._sql = sql
        self._behind = 0

    def find(self, lost: list[Flight]) -> None:
        """Find the rows of the attached part that are taken.

        Args:
            lost: Its items that may have run when its process died.
        """
        do = self._sql.do
        do("DELETE FROM taken")
        for there in ("item", "earlier"):
            for table in ("item", "earlier"):
                do(
                    f"INSERT OR IGNORE INTO taken SELECT idx FROM part.{table}"
                    f" WHERE idx IN (SELECT idx FROM main.{there})"
                )
            for flight in lost:
                do(
                    f"INSERT OR IGNORE INTO taken SELECT idx FROM main.{there} WHERE idx = ?",
                    flight.row,
                )
        tables = ("main.item", "main.earlier", "part.item", "part.earlier", "part.flight")
        lasts = [
            self._sql.all(f"SELECT COALESCE(MAX(idx), -1) FROM {table}")[0][0] for table in tables
        ]
        self._behind = 1 + max(lasts) if self._sql.all("SELECT 1 FROM taken LIMIT 1") else 0

    def of(self, column: str) -> str:
        """Return the expression for the new row that belongs to a row of the part."""
        if not self._behind:
            return column
        return f"({column} + CASE WHEN {column} IN taken THEN {self._behind} ELSE 0 END)"

    def flight(self, flight: Flight) -> Flight:
        """Return an item that may have run, with its new row."""
        ((row,),) = self._sql.all(f"SELECT {self.of('idx')} FROM (SELECT ? AS idx)", flight.row)
        return flight._replace(row=row)
