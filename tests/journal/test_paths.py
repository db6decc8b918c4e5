"""A path that cannot be a journal: one sentence with the reason, and nothing is created."""

import os
import socket
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from asyncinvoke import InvalidRequestError, Journal, JournalError
from asyncinvoke.cli.app import run as command
from asyncinvoke.runs import measured, merge, open_run, settle
from tests.journal.fake_service import FakeService

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files of POSIX")

Made: TypeAlias = Callable[[Path], Path]


def a_folder(folder: Path) -> Path:
    (folder / "x").mkdir()
    return folder / "x"


def this_folder(_: Path) -> Path:
    return Path()


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "x")
    return folder / "x"


def a_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("x")  # by its short name: addresses are short
    return folder / "x"


def a_device(_: Path) -> Path:
    return Path(os.devnull)


def a_link_to_nothing(folder: Path) -> Path:
    (folder / "x").symlink_to("gone.run")
    return folder / "x"


def a_link_to_itself(folder: Path) -> Path:
    (folder / "x").symlink_to("x")
    return folder / "x"


def text(folder: Path) -> Path:
    (folder / "x").write_text("these are my orders, by hand\n" * 100)
    return folder / "x"


def a_few_bytes(folder: Path) -> Path:
    (folder / "x").write_bytes(b"\0\1")
    return folder / "x"


def anothers_database(folder: Path) -> Path:
    with closing(sqlite3.connect(folder / "x")) as connection:
        connection.execute("CREATE TABLE run (name, value)")
        connection.commit()
    return folder / "x"


def in_no_folder(folder: Path) -> Path:
    return folder / "missing" / "x"


def in_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "x"


def of_a_long_name(folder: Path) -> Path:
    return folder / ("x" * 300)


def of_no_name(folder: Path) -> Path:
    return folder / "x\0y"


def that_may_not_be_read(folder: Path) -> Path:
    (folder / "x").write_text("secret")
    (folder / "x").chmod(0)
    return folder / "x"


KINDS: list[tuple[Made, str]] = [
    (a_folder, "it is a folder"),
    (this_folder, "it is a folder"),
    (a_pipe, "it is a pipe"),
    (a_socket, "it is a socket"),
    (a_device, "it is a device"),
    (a_link_to_nothing, "it is a link to gone.run, which is not there"),
    (a_link_to_itself, "it cannot be opened: Too many levels of symbolic links"),
    (text, "it is not a journal"),
    (a_few_bytes, "it is not a journal"),
    (anothers_database, "it is not a journal"),
    (in_no_folder, "missing is not there"),
    (in_a_file, "file is not a folder"),
    (of_a_long_name, "it cannot be opened: File name too long"),
    (of_no_name, "no file can have that name"),
    (that_may_not_be_read, "it may not be read: Permission denied"),
]


@pytest.fixture(params=KINDS, ids=lambda each: each[0].__name__)
def kind(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, str]:
    monkeypatch.chdir(tmp_path)
    make, why = request.param
    if make is that_may_not_be_read and os.geteuid() == 0:
        # Root is allowed everything, so the error for other users is simulated.
        access = os.access

        def others(path: Any, mode: int, **options: Any) -> bool:
            if Path(path).is_file() and not stat.S_IMODE(os.stat(path).st_mode):
                return False
            return access(path, mode, **options)

        monkeypatch.setattr("asyncinvoke._journal.paths.os.access", others)
    return make(tmp_path), why


def sizes_of_files(folder: Path) -> dict[str, int]:
    return {each.name: each.lstat().st_size for each in folder.iterdir()}


def readings(path: Path, folder: Path) -> tuple[Callable[[], object], ...]:
    """Return calls that each open an existing journal."""
    return (
        lambda: open_run(path),
        lambda: settle(path, position=1, ran=True),
        lambda: measured(path),
        lambda: merge(folder / "out.run", [path]),
    )


def test_the_library_gives_the_reason_and_creates_nothing(
    kind: tuple[Path, str], tmp_path: Path
) -> None:
    path, why = kind
    before = sizes_of_files(tmp_path)
    service = FakeService()
    for call in (lambda: anyio.run(service.map, path, range(3)), *readings(path, tmp_path)):
        with pytest.raises(JournalError) as raised:
            call()
        assert str(raised.value).endswith(why)
        assert str(path) in str(raised.value) or repr(str(path)) in str(raised.value)
    assert service.sent == []
    assert sizes_of_files(tmp_path) == before


COMMANDS = [
    ["map", "charge", "in.jsonl", "--endpoint-url", "http://127.0.0.1:1", "--journal", "RUN"],
    ["runs", "show", "RUN"],
    ["runs", "watch", "RUN"],
    ["runs", "redrive", "RUN"],
    ["runs", "settle", "RUN", "--item", "1", "--ran"],
    ["runs", "set", "RUN", "--concurrency", "3"],
    ["runs", "stop", "RUN"],
    ["runs", "export", "RUN", "-"],
    ["runs", "merge", "out.run", "RUN"],
    ["runs", "report", "RUN", "--output", "report.html"],
]


def test_each_command_gives_the_reason_in_one_line_and_creates_nothing(
    kind: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, why = kind
    if "\0" in str(path):
        return  # cannot be passed to a command
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n')
    before = sizes_of_files(tmp_path)
    for words in COMMANDS:
        status = command([str(path) if word == "RUN" else word for word in words])
        message = capsys.readouterr()
        assert (words[:2], status, message.out) == (words[:2], 2, "")
        assert message.err.endswith(f"{why}\n")
        assert message.err.count("\n") == 1
    assert sizes_of_files(tmp_path) == before


@pytest.mark.parametrize("suffix", ["-marks", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("is_new", [False, True], ids=["there", "new"])
def test_a_pipe_in_the_place_of_a_file_beside_a_journal_is_named_and_not_waited_for(
    suffix: str, is_new: bool, tmp_path: Path
) -> None:
    path, service = tmp_path / "x", FakeService()
    if not is_new:
        anyio.run(service.map, path, range(3))
        service.sent.clear()
    beside = Path(f"{path}{suffix}")
    beside.unlink(missing_ok=True)
    os.mkfifo(beside)
    other_end = os.open(beside, os.O_RDWR)  # so that whoever opens it fails later, not never
    before = {each.name for each in tmp_path.iterdir()}
    others = () if is_new else readings(path, tmp_path)
    for call in (lambda: anyio.run(service.map, path, range(3)), *others):
        with pytest.raises(JournalError) as raised:
            call()
        reason = "it cannot be used: it is not a regular file: remove it"
        assert str(raised.value) == f"{beside}: {reason}"
    os.close(other_end)
    assert service.sent == []
    assert {each.name for each in tmp_path.iterdir()} == before


def test_an_empty_file_becomes_a_journal_and_reads_as_empty_before(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    with pytest.raises(JournalError, match="it is empty: nothing was recorded"):
        open_run(path)
    assert len(anyio.run(FakeService().map, path, range(3))) == 3


@pytest.mark.parametrize("length", range(246, 256))
def test_a_name_may_be_as_long_as_those_of_the_files_beside_it_allow(
    length: int, tmp_path: Path
) -> None:
    path, service = tmp_path / ("x" * length), FakeService()
    if length + len("-journal") <= 255:
        assert len(anyio.run(service.map, path, range(3))) == 3
        return
    with pytest.raises(JournalError, match="it cannot be opened: File name too long"):
        anyio.run(service.map, path, range(3))
    assert service.sent == []
    assert sizes_of_files(tmp_path) == {}


def test_an_invalid_path_is_refused_as_an_option() -> None:
    class Bytes:
        def __fspath__(self) -> bytes:
            return b"x"

    for wrong in (b"x", 3, None, "", Bytes()):
        with pytest.raises(InvalidRequestError, match="must be a path"):
            Journal(wrong)  # type: ignore[arg-type]
