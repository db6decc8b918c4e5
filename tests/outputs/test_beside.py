"""Files beside a journal, where another user could have put something else under their names."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncinvoke._outputs import beside

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and owners of POSIX")

NOBODY = 65_534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "o.run-marks"


def a_link(path: Path) -> None:
    victim = path.with_name("victim")
    victim.write_text("precious")
    path.symlink_to(victim)


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("created")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("planted", [a_link, a_link_to_nothing, a_pipe, a_folder])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_CREAT])
def test_what_is_no_regular_file_is_neither_followed_nor_waited_for(
    path: Path, planted: Callable[[Path], None], flags: int
) -> None:
    planted(path)
    before = sorted(each.name for each in path.parent.iterdir())
    for use in (beside.check, lambda path, journal: beside.opened(path, flags, journal=journal)):
        with pytest.raises(OSError, match=r"it is (a link|not a regular file)") as raised:
            use(path, journal=path.with_name("o.run"))
        assert raised.value.filename == str(path)
    assert sorted(each.name for each in path.parent.iterdir()) == before


def test_a_file_of_another_user_is_refused_unless_the_journal_is_theirs_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = path.with_name("o.run")
    path.touch()
    if os.geteuid() == 0:
        os.chown(path, NOBODY, -1)
    else:
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(PermissionError, match="it belongs to another user"):
        beside.opened(path, os.O_RDWR, journal=journal)
    journal.touch()
    os.chown(journal, path.stat().st_uid, -1)
    os.close(beside.opened(path, os.O_RDWR, journal=journal))


def a_status(mode: int, owner: int, group: int) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | mode, 0, 0, 1, owner, group, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("journal", "folder", "is_shared"),
    [
        (a_status(0o660, 1, 50), 0o2770, True),
        (a_status(0o666, 1, 10), 0o777, True),
        (a_status(0o600, 2, 10), 0o777, True),
        (a_status(0o640, 1, 50), 0o2770, False),
        (a_status(0o660, 1, 51), 0o2770, False),
        (a_status(0o660, 1, 50), 0o2777, False),
        (a_status(0o644, 1, 50), 0o777, False),
        (None, 0o2770, False),
    ],
)
def test_a_file_of_somebody_who_may_write_the_journal_is_no_strangers(
    journal: os.stat_result | None, folder: int, is_shared: bool
) -> None:
    file = a_status(0o600, 2, 50)
    assert beside.is_shared(file, journal, a_status(folder, 1, 50)) is is_shared


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="gives files to others")
def test_what_root_creates_beside_a_journal_can_be_used_by_its_owner(path: Path) -> None:
    journal = path.with_name("o.run")
    journal.touch(0o600)
    os.chown(journal, NOBODY, NOBODY)
    os.close(beside.opened(path, os.O_RDWR | os.O_CREAT, journal=journal))
    assert (path.stat().st_uid, path.stat().st_gid) == (NOBODY, NOBODY)


def test_what_exists_is_neither_given_away_nor_shared(path: Path) -> None:
    path.touch(0o600)
    before = path.stat()
    journal = path.with_name("o.run")
    journal.touch()
    journal.chmod(0o666)
    if os.geteuid() == 0:
        os.chown(journal, NOBODY, NOBODY)
    os.close(beside.opened(path, os.O_RDWR | os.O_CREAT, journal=journal))
    assert path.stat() == before


def test_a_new_file_beside_a_shared_journal_is_shared_too(path: Path) -> None:
    journal = path.with_name("o.run")
    journal.touch()
    journal.chmod(0o660)
    before = os.umask(0o077)
    try:
        os.close(beside.opened(path, os.O_RDWR | os.O_CREAT, journal=journal))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o660


def test_a_new_file_can_be_read_by_its_owner_only(path: Path) -> None:
    before = os.umask(0)
    try:
        os.close(beside.opened(path, os.O_RDWR | os.O_CREAT, journal=path.with_name("o.run")))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileNotFoundError):
        beside.opened(path.with_name("missing"), os.O_RDONLY, journal=path.with_name("o.run"))
