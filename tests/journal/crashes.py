"""Changes a journal as if its process had been killed, without killing one."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from asyncinvoke._journal.marks import HEADER, NO_MARK, mark_of
from asyncinvoke._journal.schema import DIGEST


def crash(path: Path, *, sent: Iterable[int] = (), unsent: Iterable[int] = ()) -> None:
    """Put items of the last session in progress again, by number, and undo the end of the session."""
    with closing(sqlite3.connect(path)) as connection:
        (session,) = connection.execute("SELECT MAX(id) FROM session").fetchone()
        connection.execute(
            "UPDATE session SET ended = NULL, status = NULL WHERE id = ?", (session,)
        )
        descriptor = os.open(f"{path}-marks", os.O_RDWR)
        try:
            for mark, items in ((mark_of(session), sent), (NO_MARK, unsent)):
                for item in items:
                    digest = hashlib.sha256(json.dumps(item).encode()).digest()[:DIGEST]
                    ended = connection.execute(
                        "SELECT take + 1, key FROM item WHERE idx = ?", (item,)
                    ).fetchone()
                    take, key = ended or (1, None)
                    connection.execute(
                        "INSERT INTO flight VALUES (?, ?, ?, ?, ?)",
                        (item, digest, key, session, take),
                    )
                    os.pwrite(descriptor, mark, HEADER + item)
        finally:
            os.close(descriptor)
        connection.commit()


def restart(path: Path) -> None:
    """Change a journal as if the machine had been restarted since."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE session SET boot = 'another'")
        connection.commit()
