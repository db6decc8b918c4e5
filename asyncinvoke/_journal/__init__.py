"""The durable record of a run: one SQLite file; the only room that knows sqlite3."""
