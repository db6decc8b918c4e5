"""A journal with a damaged byte gives one error that says so, or is still read correctly."""

import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke import AsyncInvokeError, Journal, JournalError, Redrive
from asyncinvoke._journal import opening, writing
from asyncinvoke.cli.app import run as command
from asyncinvoke.runs import measured, merge, open_run, settle
from tests.journal.crashes import crash
from tests.journal.fake_service import FakeService

ITEMS = [{"id": f"order-{number}"} for number in range(40)]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up = opening._set_up

    def unsynced(connection: sqlite3.Connection) -> None:
        set_up(connection)
        connection.execute("PRAGMA synchronous = OFF").close()

    monkeypatch.setattr(opening, "_set_up", unsynced)


def error_of(call: Callable[[], Any]) -> str:
    """Return the message of the `JournalError` that a call raises; empty if it raises none."""
    try:
        call()
    except JournalError as error:
        return str(error)
    return ""


def continued(path: Path, **options: Any) -> None:
    journal = Journal(path, redrive=Redrive.FAILED)
    anyio.run(lambda: FakeService().map(journal, ITEMS, **options))


def read(path: Path) -> None:
    with open_run(path) as recorded:
        ended = recorded.summary().ended
        outcomes = list(recorded.outcomes())
        list(recorded.unknown()), list(recorded.samples()), recorded.causes()
        recorded.item(position=5), recorded.outcome(position=3), recorded.item(key="order-3")
        # If a count is wrong, `check` finds it.
        assert len(outcomes) == ended or recorded.check()


@pytest.fixture(params=[False, True], ids=["by position", "by key"])
def made(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[str, Any]]:
    monkeypatch.setattr(writing, "SAMPLE_EVERY", 0.0)  # there are samples, too
    path = tmp_path / "orders.run"
    options: dict[str, Any] = {"key": lambda item: item["id"]} if request.param else {}
    service = FakeService(failing=[ITEMS[3]], lost=[ITEMS[5]], refused=[ITEMS[7]])
    anyio.run(lambda: service.map(Journal(path, notes={"a": 1}), ITEMS, **options))
    continued(path, **options)
    with closing(sqlite3.connect(path)) as connection:
        # With small pages, more bytes matter.
        for statement in (
            "journal_mode = DELETE",
            "page_size = 512",
        ):
            connection.execute(f"PRAGMA {statement}").fetchall()
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    return path, options


def test_a_wrong_byte_anywhere_is_one_error_or_no_harm(made: tuple[Path, dict[str, Any]]) -> None:
    path, options = made
    whole, marks = path.read_bytes(), Path(f"{path}-marks").read_bytes()
    chance = random.Random(len(whole))
    calls: list[Callable[[], Any]] = [
        lambda: read(path),
        lambda: measured(path),
        lambda: settle(path, position=5, ran=True),
        lambda: continued(path, **options),
    ]
    came: Counter[bool] = Counter()
    for number in range(60):
        torn = bytearray(whole)
        torn[chance.randrange(len(torn))] ^= chance.choice([1, 2, 0x80, 0xFF])
        for side in ("-wal", "-shm"):
            Path(f"{path}{side}").unlink(missing_ok=True)
        path.write_bytes(torn)
        Path(f"{path}-marks").write_bytes(marks)
        try:
            calls[number % len(calls)]()
            came[True] += 1
        except JournalError:
            came[False] += 1
        except AsyncInvokeError as error:
            raise AssertionError(f"{error!r} is no error of a journal") from error
    assert min(came.values()) > 5


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("result", "facts"),
        ("cause", "example"),
        ("cause", "error"),
        ("item", "key"),
        ("run", "value"),
        ("version", "name"),
        ("session", "host"),
        ("session", "boot"),
        ("sample", "throttles"),
    ],
)
def test_an_invalid_text_is_damage_and_is_not_quoted(
    table: str, column: str, made: tuple[Path, dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    path, options = made
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            f"UPDATE {table} SET {column} = CAST(x'534543524554ff' AS TEXT)"
            f" WHERE {column} = (SELECT MAX({column}) FROM {table})"
        )
        connection.commit()
    for call in (lambda: read(path), lambda: measured(path), lambda: continued(path, **options)):
        message = error_of(call)
        assert "SECRET" not in message
        assert message == "" or "it is damaged" in message
    for words in (("show", str(path)), ("export", str(path), "-"), ("redrive", str(path))):
        command(["runs", *words])
        assert "Could not decode" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("result", "facts"),
        ("run", "value"),
        ("sample", "throttles"),
    ],
)
@pytest.mark.parametrize("text", ["{", "[" * 100_000], ids=["cut", "deep"])
def test_a_text_that_is_not_json_is_damage(
    table: str, column: str, text: str, made: tuple[Path, dict[str, Any]]
) -> None:
    path, _ = made
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"UPDATE {table} SET {column} = ?", (text,)).rowcount > 0
        connection.commit()
    assert "it is damaged" in error_of(lambda: read(path))


@pytest.mark.parametrize("impossible", ["9e999", "-9e999", "-1", "1e12", "'x'"])
@pytest.mark.parametrize(
    ("table", "column"), [("session", "started"), ("session", "ended"), ("item", "began")]
)
def test_a_time_that_no_clock_shows_is_damage(
    table: str,
    column: str,
    impossible: str,
    made: tuple[Path, dict[str, Any]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    path, _ = made
    is_fine = column == "began" and impossible in ("-1", "'x'")  # just before the session; 0 in SQL
    with closing(sqlite3.connect(path)) as connection:
        value = f"1e3 * {impossible}" if impossible == "1e12" else impossible
        connection.execute(f"UPDATE {table} SET {column} = {value}")
        connection.commit()
    assert is_fine or "it is damaged" in error_of(lambda: read(path))
    for words in (("show", str(path)), ("export", str(path), "-")):
        command(["runs", *words])
        assert "internal" not in capfd.readouterr().err


ENDLESS = "WITH RECURSIVE t (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM t) SELECT MAX(x) FROM t"


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (f"DROP TABLE count; CREATE VIEW count AS {ENDLESS}", "it has a view 'count'"),
        (f"DROP TABLE item; CREATE VIEW Item AS {ENDLESS}", "it has a view 'Item'"),
        (
            "DROP TABLE sample; CREATE VIRTUAL TABLE sample USING fts5(at)",
            "it has a virtual table 'sample'",
        ),
        (
            f"CREATE TRIGGER 'evil\n\x1b' AFTER INSERT ON session BEGIN SELECT ({ENDLESS}); END",
            "it has a trigger 'evil'",
        ),
    ],
)
def test_a_journal_that_would_run_code_of_its_own_is_refused(
    made: tuple[Path, dict[str, Any]], statements: str, message: str
) -> None:
    path, _ = made
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)
    for use in (open_run, opening.writing):
        with pytest.raises(JournalError, match="made to do harm") as raised:
            use(path)
        assert message in str(raised.value)


def test_indexes_and_views_that_somebody_has_added_to_a_journal_do_no_harm(
    made: tuple[Path, dict[str, Any]],
) -> None:
    path, _ = made
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX by_cause ON item (cause)")
        connection.execute("CREATE VIEW failures AS SELECT * FROM outcomes WHERE error IS NOT NULL")
    with open_run(path) as recorded:
        assert recorded.summary().succeeded == 39
    opening.writing(path).close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE item SET state = 3 WHERE idx = 0",
            "the count of succeeded says 39, and there are",
        ),
        ("UPDATE item SET state = 9 WHERE idx = 0", "1 items of no state (9)"),
        ("DELETE FROM item WHERE idx = 0", "the count of succeeded says 39"),
        ("UPDATE item SET attempts = 7 WHERE idx = 0", "the count of attempts says"),
        ("UPDATE item SET session = 7 WHERE idx = 0", "1 items of no session"),
        ("UPDATE item SET cause = 70 WHERE idx = 0", "1 items of no cause"),
        ("UPDATE cause SET count = count + 1 WHERE id = 2", "the count of cause 2 says"),
        ("UPDATE version SET count = 3", "the count of version 1 says 3"),
        ("UPDATE count SET value = 'x' WHERE name = 'failed'", "the count of failed says 'x'"),
        ("DELETE FROM count WHERE name = 'failed'", "the count of failed says None"),
        ("ALTER TABLE sample RENAME COLUMN at TO later", "sample is not what it was made as"),
    ],
)
def test_a_count_that_is_wrong_is_named(
    made: tuple[Path, dict[str, Any]],
    statement: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, _ = made
    with open_run(path) as recorded:
        assert recorded.check() == ()
    assert command(["runs", "show", str(path), "--check"]) == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    with open_run(path) as recorded:
        assert message in "; ".join(recorded.check())
    capsys.readouterr()
    assert command(["runs", "show", str(path), "--check"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"asyncinvoke: error: {path}: it is damaged: ")
    assert message in told
    assert told.count("\n") == 1


def test_after_an_unclean_end_all_pages_are_checked_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "orders.run"
    anyio.run(FakeService().map, path, range(2000))
    whole = path.read_bytes()
    # The last page of items, which is read only when the last item is compared.
    torn = bytearray(whole)
    torn[-4096 : -4096 + 8] = b"\xff" * 8
    path.write_bytes(torn)
    crash(path)
    service = FakeService()
    with pytest.raises(JournalError, match="it is damaged"):
        anyio.run(service.map, path, range(2500))
    assert service.sent == []
    with pytest.raises(JournalError, match="damaged"):
        merge(tmp_path / "out.run", [path])


def test_a_call_with_wrong_arguments_is_no_damage(tmp_path: Path) -> None:
    anyio.run(FakeService().map, tmp_path / "orders.run", range(3))
    with open_run(tmp_path / "orders.run") as run:
        wrong: list[Any] = [run.outcome, run.item, run.summary, run.outcomes]
        for call in wrong:
            with pytest.raises(TypeError, match="too many positional arguments"):
                list(call(1))
