"""Unusable journals: each gives one clear error, and no recorded outcome is lost."""

import asyncio
import errno
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asyncinvoke import (
    InvalidRequestError,
    Invoker,
    Journal,
    JournalError,
    MapRun,
    Outcome,
    ToleranceExceededError,
)
from asyncinvoke._journal import locked_file, marks, paths, session
from asyncinvoke._journal.committing import Commit
from asyncinvoke._journal.host import file_system
from asyncinvoke._journal.locked_file import LockedError
from asyncinvoke._journal.marks import HEADER, Marks
from asyncinvoke._journal.opening import writing
from asyncinvoke._journal.paths import SIDES
from asyncinvoke._journal.pending import CommitBatch
from asyncinvoke._journal.session import Session
from asyncinvoke._journal.store import Store
from asyncinvoke.runs import is_begun, open_run, settle
from tests.journal.crashes import crash
from tests.journal.fake_service import FakeService
from tests.journal.killing import ROOT
from tests.journal.torn import prefix_of, torn_log

# Coverage would try to write a file there, too.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
    "PYTHONPATH": str(ROOT),
}

pytestmark = pytest.mark.anyio

IDENTITY = {"function_name": "work", "invocation_type": "Event", "key": False, "results": True}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.run"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # errors of SQLite and the system are the same on both loops


async def refused(journal: Path, service: FakeService | None = None) -> str:
    service = FakeService() if service is None else service
    with pytest.raises(JournalError) as raised:
        await service.map(journal, range(20))
    assert service.sent == []
    assert str(journal) in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    return str(raised.value)


async def test_a_file_that_is_not_a_journal_is_left_unchanged(path: Path) -> None:
    path.write_text("these are my orders, by hand\n" * 100)
    assert (await refused(path)).endswith("it is not a journal")
    assert path.read_text("utf-8").startswith("these are my orders")
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    with pytest.raises(JournalError, match="it is not a journal"):
        open_run(path)


async def test_another_programs_database_is_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE run (name, value)")
        connection.commit()
    before = path.read_bytes()
    assert (await refused(path)).endswith("it is not a journal")
    assert path.read_bytes() == before


async def test_a_journal_of_a_newer_version_is_left_as_it_is(path: Path) -> None:
    await FakeService().map(path, range(3))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 3")
    before = path.read_bytes()
    assert "written in format 3 by a newer asyncinvoke" in await refused(path)
    assert path.read_bytes() == before


async def test_a_folder_that_is_missing_or_no_folder_is_named(path: Path) -> None:
    assert "folder" in await refused(path / "inside" / "a.run")
    path.mkdir()
    assert "it is a folder" in await refused(path)


@pytest.mark.skipif(os.name != "posix", reason="modes and users of POSIX")
@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_a_folder_that_cannot_be_written_is_named(there: bool) -> None:
    # In a separate process, without the permissions of root.
    code = """
        import anyio, os, sys
        from asyncinvoke import JournalError
        from asyncinvoke._journal.recorder import JournalRecorder
        from asyncinvoke.runs import merge, open_run
        from tests.journal.fake_service import FakeService
        path, there, merged = sys.argv[1], sys.argv[2] == "True", sys.argv[3]
        if there:
            anyio.run(FakeService().map, path, range(3))
            for name in os.listdir(os.path.dirname(path)):
                os.chmod(os.path.join(os.path.dirname(path), name), 0o444)
        os.chmod(os.path.dirname(path), 0o555)
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            anyio.run(FakeService().map, path, range(3))
        except JournalError as error:
            print(error)
        if there:
            with open_run(path) as recorded:
                print(recorded.summary().succeeded)
            print(merge(merged, [path]).items)
    """
    folder, other = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    for each in (folder, other):
        each.chmod(0o777)
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-c", textwrap.dedent(code)),
                *(str(folder / "a.run"), str(there), str(other / "merged.run")),
            ],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=ENVIRONMENT,
            timeout=100,
        )
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)
        shutil.rmtree(other)
    assert done.stderr == ""
    message, *read = done.stdout.splitlines()
    assert message == f"{folder}/a.run-marks: it cannot be opened: Permission denied"
    assert read == (["3", "3"] if there else [])


async def test_a_journal_that_was_read_while_it_was_read_only_can_be_continued(path: Path) -> None:
    await FakeService().map(path, range(3))
    path.chmod(0o400)
    with open_run(path) as recorded:
        assert recorded.summary().succeeded == 3
        path.chmod(0o600)
        beside = [Path(f"{path}{side}") for side in SIDES]
        assert {each.stat().st_mode & 0o777 for each in beside} == {0o400}
        with closing(writing(path)):  # root may do that whatever the modes are
            assert {each.stat().st_mode & 0o777 for each in beside} == {0o600}
    assert len(await FakeService().map(path, range(4))) == 4


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
@pytest.mark.parametrize("side", [*SIDES, "-marks"])
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "there"])
async def test_nothing_is_written_through_a_link_that_was_planted_beside_a_journal(
    path: Path, side: str, is_new: bool
) -> None:
    if not is_new:
        await FakeService().map(path, range(3))
        path.chmod(0o644)
    victim = path.with_name("victim")
    victim.write_bytes(b"precious")
    victim.chmod(0o400)
    planted = Path(f"{path}{side}")
    planted.unlink(missing_ok=True)
    planted.symlink_to(victim)
    assert "it is a link" in await refused(path)
    assert (victim.read_bytes(), victim.stat().st_mode & 0o777) == (b"precious", 0o400)


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
@pytest.mark.parametrize("side", [*SIDES, "-marks"])
async def test_a_pipe_beside_a_journal_is_refused_and_not_waited_for(path: Path, side: str) -> None:
    await FakeService().map(path, range(3))
    planted = Path(f"{path}{side}")
    planted.unlink(missing_ok=True)
    os.mkfifo(planted)
    assert "it is not a regular file" in await refused(path)
    if side == "-marks":
        with pytest.raises(JournalError, match="it is not a regular file"):
            open_run(path)


async def test_a_network_file_system_is_refused_with_the_reason(path: Path) -> None:
    store = Store(path, keyed=False, results=True, kind=lambda _: "nfs4")
    with pytest.raises(JournalError, match=r"network file system \(nfs4\)"):
        store.open(IDENTITY)
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are other locks")
async def test_a_file_system_without_locks_is_named_as_such_and_no_other_process(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    await FakeService().map(path, range(20), take=5)
    new = path.with_name("new.run")
    monkeypatch.setattr(fcntl, "flock", unsupported)
    why = "it cannot be locked: Operation not supported"
    assert why in await refused(path)
    with pytest.raises(JournalError, match=why):
        settle(path, position=0, ran=True)
    with open_run(path) as recorded:  # such as a copy that was brought there
        assert not recorded.summary().running
    with pytest.raises(JournalError, match=why):
        await FakeService().map(new, range(20))
    assert not list(new.parent.glob("new.run*"))


async def test_a_disk_that_does_not_answer_makes_the_journal_unusable_and_not_new(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await FakeService().map(path, range(20), take=5)
    broken = OSError(errno.EIO, os.strerror(errno.EIO))

    def unanswered(*_: object, **__: object) -> None:
        raise broken

    for room in (paths, session):  # while it is opened, and when its session begins
        with monkeypatch.context() as patched:
            patched.setattr(room, "identity_of_file", unanswered)
            assert "it could not be read or written: Input/output error" in await refused(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "lstat", unanswered)
        assert is_begun(path)
    assert len(await FakeService().map(path, range(20))) == 20


async def test_a_process_that_may_start_no_more_threads_records_what_ends_and_closes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    service = FakeService()
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(20), journal=path) as run,
    ):
        first = await anext(run)
        with monkeypatch.context() as patched:
            patched.setattr(anyio.to_thread, "run_sync", refuses)
            rest = [outcome async for outcome in run]
    assert sorted(each.index for each in (first, *rest)) == list(range(20))
    with monkeypatch.context() as patched:
        patched.setattr(anyio.to_thread, "run_sync", refuses)
        await service.map(path, range(40), take=30)  # another session: it is not locked
    with open_run(path) as recorded:
        summary = recorded.summary()
        assert (summary.running, summary.may_have_run) == (False, 0)
        assert summary.succeeded == 20 + len(service.sent) >= 30


async def test_marks_that_cannot_be_read_are_named_and_nothing_is_in_doubt_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await FakeService().map(path, range(20), take=5)
    crash(path, sent=[18], unsent=[19])
    file = Path(f"{path}-marks")
    opens, broken = os.open, OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def opens_others(name: Any, *rest: Any, **options: Any) -> int:
        if Path(name) == file:
            raise broken
        return opens(name, *rest, **options)

    def reads_nothing(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", opens_others)
        with pytest.raises(JournalError, match=r"run-marks: .* Too many open files"):
            open_run(path)
    with monkeypatch.context() as patched, open_run(path) as recorded:
        patched.setattr(marks, "read_at", reads_nothing)
        why = "orders.run-marks: it cannot be read: Input/output error"
        for reads in (recorded.summary, recorded.causes, recorded.lost):
            with pytest.raises(JournalError, match=why):
                reads()
        assert why in await refused(path)
    with open_run(path) as recorded:
        assert [item.position for item in recorded.unknown()] == [18]


@pytest.mark.skipif(sys.platform != "linux", reason="looks in /proc")
def test_the_kind_of_a_file_system_is_that_of_the_mount() -> None:
    assert file_system(Path("/proc")) == "proc"


async def test_another_process_is_named(path: Path) -> None:
    service = FakeService()
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(20), journal=path) as run,
    ):
        message = await refused(path)
        assert f"it is in use by process {os.getpid()} on " in message
        with pytest.raises(JournalError, match="another process is using it"):
            settle(path, position=0, ran=True)
        with open_run(path) as recorded:
            assert recorded.summary().running
        assert len([outcome async for outcome in run]) == 20
    with open_run(path) as recorded:
        assert not recorded.summary().running


async def test_a_copy_is_refused_while_its_original_is_there(path: Path) -> None:
    await FakeService().map(path, range(20), take=5)
    copy, moved = path.parent / "copy.run", path.parent / "moved.run"
    shutil.copy(path, copy)
    assert f"it is a copy of {path}" in await refused(copy)
    path.rename(moved)
    Path(f"{path}-marks").rename(f"{moved}-marks")
    assert len(await FakeService().map(moved, range(20))) == 20


async def test_a_copy_without_the_files_beside_it_is_refused(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = elsewhere / "orders.run"
    service = FakeService()
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(20), journal=path) as run,
    ):
        shutil.copy(path, copy)
        assert len([outcome async for outcome in run]) == 20
    path.unlink()
    for _ in range(2):
        assert "copied without the files beside it" in await refused(copy)
        assert [each.name for each in elsewhere.iterdir()] == [copy.name]
    # A user who has lost the other files may request this.
    Path(f"{copy}-marks").touch()
    outcomes = await FakeService().map(copy, range(20))
    assert len(outcomes) == 20
    with open_run(copy) as recorded:
        assert recorded.summary().may_have_run == sum(not outcome.ok for outcome in outcomes)


async def test_a_file_that_is_deleted_while_it_is_written_ends_the_run_with_an_error(
    path: Path,
) -> None:
    service = FakeService()
    seen: list[Outcome] = []
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(10_000), journal=path, concurrency=4) as run,
    ):
        seen.append(await anext(run))
        path.unlink()
        with pytest.raises(JournalError, match="it was deleted while the run was under way"):
            await collect(run, seen)
        # Outcomes of items in flight are yielded, although they are not recorded.
        assert len(seen) == len(service.sent) < 10_000


async def collect(run: MapRun, into: list[Outcome]) -> None:
    async for outcome in run:
        into.append(outcome)  # the outcomes before the error are wanted


async def test_wrong_options_are_refused_before_anything_is_opened(path: Path) -> None:
    async with Invoker(transport=FakeService()) as invoker:
        for journal in (3, b"x", "", object()):
            with pytest.raises(InvalidRequestError, match=r"journal .* must be a path"):
                invoker.map("work", [], journal=journal)  # type: ignore[arg-type]
    for options in ({"results": 1}, {"replay": "no"}, {"redrive": 3}, {"changed": "perhaps"}):
        with pytest.raises(InvalidRequestError, match="must be"):
            Journal(path, **options)


@pytest.mark.parametrize("tail", [b"", b"\0" * 5000, b"garbage" * 100])
async def test_a_journal_whose_end_was_torn_is_a_whole_prefix(path: Path, tail: bytes) -> None:
    await FakeService().map(path, range(40), take=20)
    # The WAL as a crash may leave it: cut at any point, and followed by garbage.
    log = torn_log(path)
    for cut in range(12):
        copy = path.parent / f"cut{cut}.run"
        shutil.copy(path, copy)
        Path(f"{copy}-wal").write_bytes(log[: cut * len(log) // 12] + tail)
        assert prefix_of(copy)


def test_a_full_disk_ends_the_run_with_an_error_and_loses_nothing_recorded(path: Path) -> None:
    # A limit on the file size simulates a full disk, in a separate process.
    code = f"""
        import anyio, resource, signal, sys
        from asyncinvoke import JournalError
        from tests.journal.fake_service import FakeService
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        service = FakeService()
        async def main():
            await service.map({str(path)!r}, range(10))
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
            try:
                await service.map({str(path)!r}, range(100_000), concurrency=16)
            except JournalError as error:
                print(error)
            print(service.statistics.succeeded + service.statistics.failed, len(service.sent))
        anyio.run(main)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=100,
    )
    assert done.stderr == ""
    message, counts = done.stdout.splitlines()
    assert message.startswith(str(path))
    assert "the disk is full" in message
    handed_out, sent = map(int, counts.split())
    assert handed_out == sent
    with open_run(path) as recorded:
        summary = recorded.summary()
        # Recorded outcomes are there, and the other items are in doubt.
        assert 10 < summary.ended <= sent + 10
        assert summary.succeeded + summary.may_have_run == sent + 10


async def test_a_failure_to_record_outcomes_is_raised_even_if_the_run_had_ended(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Store.commit

    def full(store: Store, batch: CommitBatch) -> None:
        if batch.ended:
            raise JournalError(f"{path}: the disk is full")
        commit(store, batch)

    monkeypatch.setattr(Store, "commit", full)
    with pytest.raises(JournalError, match="the disk is full") as raised:
        await FakeService(failing=range(8)).map(path, range(8), tolerate=2)
    assert isinstance(raised.value.__context__, ToleranceExceededError)


async def test_what_a_kill_has_left_beside_a_journal_survives_a_call_that_is_refused(
    path: Path,
) -> None:
    await FakeService().map(path, range(40), take=20)
    log, marks = torn_log(path), Path(f"{path}-marks").read_bytes()
    Path(f"{path}-wal").write_bytes(log)
    with open_run(path) as reader:
        ended = reader.summary().ended
        for _ in range(2):
            with pytest.raises(JournalError, match="another run"):
                await FakeService().map(path, range(40), "other")
        assert reader.summary().ended == ended
    assert Path(f"{path}-marks").read_bytes() == marks
    with open_run(path) as reader:
        assert reader.summary().ended == ended


@pytest.mark.parametrize("mode", ["DELETE", "WAL", None], ids=str)
async def test_a_process_that_died_before_its_first_commit_does_no_harm(
    path: Path, mode: str | None
) -> None:
    path.touch()
    if mode is not None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
            connection.execute("VACUUM")
    Path(f"{path}-marks").touch()
    with pytest.raises(JournalError):
        open_run(path)
    assert len(await FakeService().map(path, range(20))) == 20
    with open_run(path) as recorded:
        assert recorded.summary().succeeded == 20


async def test_a_file_that_is_truncated_while_it_is_written_ends_the_run_with_an_error(
    path: Path,
) -> None:
    # SQLite would continue to write its WAL, and leave a file that cannot be read.
    async with (
        Invoker(transport=FakeService()) as invoker,
        invoker.map("work", range(10_000), journal=path, concurrency=4) as run,
    ):
        seen: list[Outcome] = [await anext(run)]
        os.truncate(path, 0)
        with pytest.raises(JournalError, match="it was truncated while the run was under way"):
            await collect(run, seen)


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-marks"])
@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
async def test_a_file_beside_it_that_goes_ends_the_run_with_an_error_and_loses_nothing(
    path: Path, suffix: str, is_replaced: bool
) -> None:
    # With a new file of marks another process could lock the run; a new WAL hides committed data.
    service, beside = FakeService(), Path(f"{path}{suffix}")
    seen: list[Outcome] = []
    async with (
        Invoker(transport=service) as invoker,
        invoker.map("work", range(20_000), journal=path, concurrency=4) as run,
    ):
        seen.append(await anext(run))
        data = beside.read_bytes()
        beside.unlink()
        if is_replaced:
            beside.write_bytes(data if suffix == "-marks" else b"")
        with pytest.raises(JournalError, match=f"run{suffix} beside it was deleted or replaced"):
            await collect(run, seen)
        assert len(seen) == len(service.sent) < 20_000
        copy = path.with_name("copy.run")
        shutil.copy(path, copy)  # the journal without the WAL, which no longer exists
    for journal in (path, copy):
        with open_run(journal) as recorded:
            # Without its marks, a copy cannot tell whether items with an intent have run.
            assert 0 < recorded.summary().succeeded <= len(seen)
            assert recorded.check() == ()


async def test_one_that_has_two_names_is_refused_under_each(path: Path) -> None:
    await FakeService().map(path, range(5))
    other = path.with_name("other.run")
    other.hardlink_to(path)
    for journal in (path, other):
        assert "it has 2 names (hard links)" in await refused(journal)
        with pytest.raises(JournalError, match="it has 2 names"):
            settle(journal, position=0, ran=True)
    assert not Path(f"{other}-marks").exists()
    other.unlink()
    assert len(await FakeService().map(path, range(20))) == 20


async def test_a_lock_on_a_removed_file_does_not_count(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Marks.locked(path)

    def wait(_: float) -> None:  # as when a refused session, or a merge, ends
        first.remove()
        first.close()

    monkeypatch.setattr(locked_file, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=wait))
    with closing(Marks.locked(path)):
        monkeypatch.undo()
        with pytest.raises(LockedError):
            Marks.locked(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child only waits
def test_a_fork_of_the_process_neither_keeps_a_run_locked_nor_unlocks_it(path: Path) -> None:
    """As the workers of `multiprocessing` are, which may outlive the run or its parent."""
    held = Marks.locked(path)
    waiting, waker = os.pipe()
    is_forked, tell = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(tell, b"!")
        os.close(waker)
        os.read(waiting, 1)
        os._exit(0)
    try:
        os.read(is_forked, 1)
        with pytest.raises(LockedError):
            Marks.locked(path)
        held.close()
        Marks.locked(path).close()
    finally:
        for descriptor in (waker, waiting, tell, is_forked):
            os.close(descriptor)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_timeout_of_asyncio_while_a_journal_is_opened_leaves_no_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on, order = threading.Event(), threading.Event(), []
    looks, retracts = Session.look, Store.retract

    def slowly(session: Session, identity: Mapping[str, object]) -> None:
        begun.set()
        assert goes_on.wait(60)
        looks(session, identity)
        order.append("opened")

    def retract(store: Store) -> None:
        order.append("retracted")
        retracts(store)

    async def enter() -> None:
        async with (
            Invoker(transport=FakeService()) as invoker,
            invoker.map("work", [1], journal=path),
        ):
            pass

    with monkeypatch.context() as patch:
        patch.setattr(Session, "look", slowly)
        patch.setattr(Store, "retract", retract)
        entering = asyncio.create_task(enter())
        await anyio.to_thread.run_sync(begun.wait)
        entering.cancel()
        await anyio.sleep(0.1)  # time in which nothing should happen
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await entering
    assert order == ["opened", "retracted"]
    assert len(await FakeService().map(path, range(5))) == 5


async def test_a_journal_that_is_given_up_twice_is_not_removed_from_under_another_process(
    path: Path,
) -> None:
    store, later = (Store(path, keyed=False, results=True) for _ in "12")
    store.open({"key": False})
    store.abandon()
    later.open({"key": False})
    later.begin({})
    store.abandon()
    assert path.exists()
    later.retract()


async def test_what_cannot_be_marked_is_not_sent_and_not_in_doubt(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, write, written = FakeService(), locked_file.write_at, 0

    def full(descriptor: int, data: bytes, offset: int) -> int:
        nonlocal written
        written += len(data) == 1
        return 0 if written > 30 else write(descriptor, data, offset)

    seen: list[Outcome] = []
    with monkeypatch.context() as patch:
        patch.setattr(marks, "write_at", full)
        with pytest.raises(
            JournalError, match=r"run-marks: it cannot be written: the disk is full"
        ):
            async with (
                Invoker(transport=service) as invoker,
                invoker.map("work", range(300), journal=path, concurrency=4) as run,
            ):
                await collect(run, seen)
    assert len(seen) == len(service.sent) == 30
    with open_run(path) as recorded:
        assert (recorded.summary().succeeded, recorded.summary().may_have_run) == (30, 0)
    assert len(await service.map(path, range(300))) == 300
    assert len(service.sent) == 270


async def test_a_journal_that_was_deleted_is_not_begun_anew_unless_its_marks_go_too(
    path: Path,
) -> None:
    await FakeService().map(path, range(5))
    marks = Path(f"{path}-marks")
    path.unlink()
    before = marks.read_bytes()
    service = FakeService()
    with pytest.raises(JournalError, match=r"it was deleted, and .*-marks beside it was not"):
        await service.map(path, range(5))
    assert (service.sent, marks.read_bytes()[:32]) == ([], before[:32])
    assert not path.exists()
    marks.unlink()
    assert len(await service.map(path, range(5))) == 5


@pytest.mark.parametrize("keys", [{}, {"key": str}], ids=["by position", "by key"])
async def test_a_journal_that_was_restored_from_an_older_copy_does_not_run_again_what_was_sent_since(
    path: Path, keys: dict[str, Any]
) -> None:
    await FakeService().map(path, range(5), **keys)
    older = path.read_bytes()
    await FakeService().map(path, range(9), **keys)
    newer = path.read_bytes()
    path.write_bytes(older)
    service = FakeService()
    for _ in range(2):
        with pytest.raises(JournalError, match=r"it is older than .*-marks beside it"):
            await service.map(path, range(9), **keys)
    assert (service.sent, path.read_bytes()) == ([], older)
    path.write_bytes(newer)
    assert len(await service.map(path, range(9), **keys)) == 9
    assert service.sent == []
    # A user who wants them to run again may say so.
    path.write_bytes(older)
    Path(f"{path}-marks").write_bytes(b"")
    await service.map(path, range(9), **keys)
    assert sorted(service.sent) == [5, 6, 7, 8]


@pytest.mark.parametrize("ran", [False, True])
async def test_nothing_is_settled_in_a_journal_that_was_restored_from_an_older_copy(
    path: Path, ran: bool
) -> None:
    await FakeService().map(path, range(7))
    crash(path, sent=[7, 8])
    older = path.read_bytes()
    await FakeService().map(path, range(12))
    path.write_bytes(older)
    before = Path(f"{path}-marks").read_bytes()
    with pytest.raises(JournalError, match=r"it is older than .*-marks beside it"):
        settle(path, position=8, ran=ran)
    assert path.read_bytes() == older
    assert Path(f"{path}-marks").read_bytes()[HEADER:] == before[HEADER:]


async def test_a_journal_that_has_lost_its_log_does_not_run_again_what_the_log_had(
    path: Path,
) -> None:
    await FakeService().map(path, range(6))
    crash(path, sent=[6, 7], unsent=[8])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM flight WHERE idx >= 7")  # these commits were in it
        connection.commit()
    service = FakeService()
    with pytest.raises(JournalError, match=r"it is older than .*-marks beside it"):
        await service.map(path, range(12))
    assert service.sent == []


async def test_what_was_in_doubt_and_settled_as_not_run_does_not_make_a_journal_older(
    path: Path,
) -> None:
    await FakeService().map(path, range(6))
    crash(path, sent=[6, 7])
    settle(path, position=[6, 7], ran=False)
    service = FakeService()
    await service.map(path, range(9))
    assert sorted(service.sent) == [6, 7, 8]


WITHOUT_FILES = """
import contextlib, os, resource, sys
from asyncinvoke import JournalError
from asyncinvoke.runs import merge, open_run
open_run(sys.argv[1]).close()
merge(sys.argv[2], [sys.argv[1]])
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
with contextlib.suppress(OSError):
    while True:
        held.append(os.dup(0))
said = set()
while held:
    try:
        open_run(sys.argv[1]).close()
        merge(sys.argv[2], [sys.argv[1]], replace=True)
        break
    except JournalError as error:
        said.add(str(error).rpartition(": ")[2])
    os.close(held.pop())
print(said)
"""


async def test_a_journal_that_cannot_be_opened_for_want_of_files_does_not_blame_its_folder(
    path: Path,
) -> None:
    pytest.importorskip("resource")
    await FakeService().map(path, range(3))
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_FILES, str(path), str(path.with_name("merged.run"))],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "{'Too many open files'}\n"


async def test_a_commit_that_fails_for_want_of_memory_leaves_no_half_of_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Commit.write

    def fails_once(commit: Commit, batch: CommitBatch) -> None:
        write(commit, batch)
        if batch.ended:
            monkeypatch.setattr(Commit, "write", write)
            raise MemoryError

    monkeypatch.setattr(Commit, "write", fails_once)
    service = FakeService(failing=[0, 1, 2])
    with pytest.raises(ExceptionGroup) as raised:
        await service.map(path, range(40), concurrency=4)
    assert raised.group_contains(MemoryError)
    with open_run(path) as recorded:
        assert recorded.check() == ()
        ended = {outcome.index: outcome for outcome in recorded.outcomes()}
        assert sorted(ended) == sorted(service.sent)
        numbered = recorded.outcomes(ended=(0, recorded.ends()))
        assert [outcome.index for outcome in numbered] == sorted(ended)
    outcomes = await FakeService().map(path, range(40))
    assert [outcome.index for outcome in outcomes] == list(range(40))
