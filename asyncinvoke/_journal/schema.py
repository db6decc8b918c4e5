"""The tables of a journal, format 2: the run, its sessions, items in progress, and outcomes."""

import re
from enum import IntEnum

from asyncinvoke._model.delivery import Delivery

FORMAT = 2
"""The format, stored as the `user_version` of the file. Newer formats are refused, older ones are
read: format 1 has digests of 16 bytes, which begin with the digests of format 2."""

ROW = "row:"
"""The prefix of names in the table `run` that is followed by the key of an item that has no outcome,
but earlier takes; the value is their row."""

DIGEST = 12
"""The number of bytes of a digest that are stored. Two different items have the same digest once in
10^28 cases; four more bytes would make an item a fifteenth larger."""

FIRST_FORMAT = "first_format"
"""The row of `run` with the format that the journal was created in; missing if it is `FORMAT`."""

APPLICATION_ID = 0x61696E76
"""`ainv`: the `application_id` that identifies an SQLite file as a journal."""


class State(IntEnum):
    """How an item has ended: the column `state` of the table `item`."""

    SUCCEEDED = 0
    """It has a response."""

    NOT_RUN = 1
    """It failed, and certainly did not run."""

    MAY_HAVE_RUN = 2
    """It failed or its process died, and it may or may not have run."""

    FAILED = 3
    """It ran, and the function reported an error."""

    SETTLED = 4
    """It may have run, and was settled by hand as having run."""


STATES = tuple(state.name.lower() for state in State)
"""Their names in lower case, in the order of their numbers."""

STATE_OF = {
    Delivery.NOT_SENT: State.NOT_RUN,
    Delivery.REJECTED: State.NOT_RUN,
    Delivery.UNKNOWN: State.MAY_HAVE_RUN,
    Delivery.EXECUTED: State.FAILED,
}
"""The state of an item that failed, by its delivery."""

# An item takes about 60 bytes: times are whole milliseconds since the start of the session, durations
# are whole microseconds, request IDs have 16 bytes, and words are numbers. `earlier` has the takes that
# were replaced by a redrive, or by a person who settled an item. In a run with keys, `idx` is the
# position at which the key was first read, or behind all others if another key had that before: a
# later session may read another order.
TABLES = """
CREATE TABLE run (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE session (
    id INTEGER PRIMARY KEY, started REAL NOT NULL, ended REAL, host TEXT, pid INTEGER, boot TEXT,
    argv TEXT, options TEXT, status TEXT
);
CREATE TABLE flight (
    idx INTEGER PRIMARY KEY, digest BLOB, key TEXT, session INTEGER NOT NULL, take INTEGER NOT NULL
);
CREATE TABLE item (
    idx INTEGER PRIMARY KEY, digest BLOB, key TEXT, state INTEGER NOT NULL, cause INTEGER,
    take INTEGER NOT NULL, attempts INTEGER NOT NULL, throttled INTEGER NOT NULL,
    session INTEGER NOT NULL, version INTEGER, status INTEGER, began INTEGER NOT NULL,
    elapsed INTEGER NOT NULL, request_id, seq INTEGER NOT NULL
);
CREATE TABLE result (idx INTEGER PRIMARY KEY, body BLOB, facts TEXT);
CREATE TABLE cause (
    id INTEGER PRIMARY KEY, error TEXT NOT NULL, code TEXT, error_type TEXT, delivery TEXT,
    gave_up TEXT, example TEXT, count INTEGER NOT NULL
);
CREATE TABLE version (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, count INTEGER NOT NULL);
CREATE TABLE earlier (
    idx INTEGER NOT NULL, take INTEGER NOT NULL, state INTEGER NOT NULL, cause INTEGER,
    attempts INTEGER NOT NULL, session INTEGER NOT NULL, began INTEGER NOT NULL,
    elapsed INTEGER NOT NULL, request_id, PRIMARY KEY (idx, take)
) WITHOUT ROWID;
CREATE TABLE sample (
    session INTEGER NOT NULL, at INTEGER NOT NULL, succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL, in_flight INTEGER NOT NULL, waiting INTEGER NOT NULL,
    "limit" INTEGER NOT NULL, rate REAL, throttles TEXT
);
CREATE TABLE count (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

TABLE_NAMES = tuple(re.findall(r"CREATE TABLE (\w+)", TABLES))
"""The names of the tables."""

# For people who use `sqlite3` or Datasette: names instead of numbers.
VIEW = """
CREATE VIEW outcomes AS
SELECT
    item.idx AS position,
    item.key AS key,
    CASE item.state WHEN 0 THEN 'succeeded' WHEN 1 THEN 'failed, did not run'
        WHEN 2 THEN 'may have run' WHEN 3 THEN 'failed' ELSE 'settled: it ran' END AS outcome,
    cause.error AS error, cause.code AS code, cause.error_type AS error_type,
    cause.delivery AS delivery, cause.gave_up AS gave_up,
    item.take AS take, item.attempts AS attempts, item.throttled AS throttled,
    item.session AS session, version.name AS version,
    CASE WHEN item.cause IS NULL THEN COALESCE(item.status, 200) ELSE item.status END AS status_code,
    strftime('%Y-%m-%dT%H:%M:%fZ', session.started + item.began / 1000.0, 'unixepoch') AS began,
    item.elapsed / 1000000.0 AS seconds,
    CASE typeof(item.request_id) WHEN 'blob' THEN
        lower(substr(hex(item.request_id), 1, 8) || '-' || substr(hex(item.request_id), 9, 4) || '-'
        || substr(hex(item.request_id), 13, 4) || '-' || substr(hex(item.request_id), 17, 4) || '-'
        || substr(hex(item.request_id), 21)) ELSE item.request_id END AS request_id,
    lower(hex(item.digest)) AS digest
FROM item
LEFT JOIN cause ON cause.id = item.cause
LEFT JOIN version ON version.id = item.version
LEFT JOIN session ON session.id = item.session;
"""

ITEM_KEY = "CREATE UNIQUE INDEX item_key ON item (key)"
KEYED = f"""
{ITEM_KEY};
CREATE UNIQUE INDEX flight_key ON flight (key);
"""
"""The indexes of runs with keys. In other runs they would cost as much as the rows themselves."""

COUNTS = (*STATES, "attempts", "throttled", "lost")
"""The rows of `count`, updated by each commit, so that a summary takes constant time."""

COMPLETE = "complete"
"""The status of a session that read the entire input and left no item open."""
