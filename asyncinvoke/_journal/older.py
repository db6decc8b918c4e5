"""Whether a journal is older than its marks: restored from a copy, or without its WAL."""

from pathlib import Path

from asyncinvoke._journal.flights import Query
from asyncinvoke._journal.marks import Marks, mark_of
from asyncinvoke.errors import JournalError

_DISTINCT = 255
"""The sessions whose marks differ from those of all others."""

_KNOWN = """
SELECT idx FROM flight WHERE session = ? AND idx BETWEEN ? AND ?
UNION ALL SELECT idx FROM item WHERE session = ? AND idx BETWEEN ? AND ?
UNION ALL SELECT idx FROM earlier WHERE session = ? AND idx BETWEEN ? AND ?
"""


def check_not_older(path: Path, query: Query, marks: Marks) -> None:
    """Check that the journal knows of all requests that its marks show: else it would repeat them.

    An intent is recorded before its item is marked. So no mark is of a session that the journal does
    not have, and if its last session died, no mark of that is at a row of which it has recorded
    nothing. Of the latter, only the last marked rows are looked at: a lost WAL has the latest records.

    Args:
        path: The path of the journal, as shown in messages.
        query: Queries it.
        marks: Its marks; those of another run, or new ones, show nothing.

    Raises:
        JournalError: It is older than they are.
    """
    ((run_id,),) = query("SELECT value FROM run WHERE name = 'id'")
    if not marks.belong_to(run_id):
        return
    found = query("SELECT id, ended FROM session ORDER BY id DESC LIMIT 1")
    if not found or found[0][0] > _DISTINCT:
        return
    ((last, ended),) = found
    known, mark = bytes(range(last + 1)), mark_of(last)
    start, rows = 0, b""
    for first, piece in marks.pieces():
        if piece.translate(None, known):
            raise JournalError(_text(path))
        if ended is None and mark in piece:
            start, rows = first, piece
    recorded = {row for (row,) in query(_KNOWN, *3 * (last, start, start + len(rows)))}
    marked = (start + at for at, each in enumerate(rows) if each == mark[0])
    if not recorded.issuperset(marked):
        raise JournalError(_text(path))


def _text(path: Path) -> str:
    return (
        f"{path}: it is older than {path}-marks beside it, and would run items again that were sent "
        "since: restore the newer file, with the files beside it whose names begin as its own; if they "
        "are lost, an empty file in place of the marks says that these items may run again"
    )
