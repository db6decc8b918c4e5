"""A refused call leaves the journal unchanged, whatever the reason."""

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import pytest

from asyncinvoke import (
    Changed,
    InvalidRequestError,
    Invoker,
    Journal,
    JournalError,
    JournalMismatchError,
    Redrive,
)
from asyncinvoke._journal import opening, writing
from asyncinvoke._journal.statements import Statements
from asyncinvoke.cli.app import run as command
from asyncinvoke.runs import open_run
from tests.journal.crashes import crash
from tests.journal.fake_service import FakeService, streamed
from tests.journal.killing import ROOT
from tests.journal.test_unusable_journals import ENVIRONMENT

pytestmark = pytest.mark.anyio

RIGHT = {"ticket": "the right one"}
WRONG = {"ticket": "the wrong one"}


async def complete(path: Path) -> None:
    await FakeService(failing=[1], lost=[3]).map(Journal(path, notes=RIGHT), range(8))


async def left(path: Path) -> None:
    await FakeService(failing=[1], lost=[3]).map(Journal(path, notes=RIGHT), range(40), take=8)


async def killed(path: Path) -> None:
    await complete(path)
    crash(path, sent=[8, 9], unsent=[10, 11])


async def killed_and_without_marks(path: Path) -> None:
    await killed(path)
    Path(f"{path}-marks").write_bytes(b"")


Refused: TypeAlias = Callable[[Path, pytest.MonkeyPatch], Awaitable[None]]


def everything_read(path: Path, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """Return everything that can be read from a run."""
    capsys.readouterr()
    assert command(["runs", "show", str(path), "--json"]) == 0
    assert command(["runs", "show", str(path)]) == 0
    assert command(["runs", "export", str(path), "-"]) == 0
    assert command(["runs", "export", str(path), "-", "--may-have-run"]) == 0
    with open_run(path) as recorded:
        unknown = [asdict(each) for each in recorded.unknown()]
        samples = [asdict(each) for each in recorded.samples()]
    return [capsys.readouterr().out, unknown, samples]


async def refused(
    path: Path, payloads: Any, kind: type[BaseException] = JournalMismatchError, **options: Any
) -> None:
    service = FakeService()
    journal = options.pop("journal", None) or Journal(path, notes=WRONG)
    with pytest.raises(kind):
        await service.map(journal, payloads, **options)
    assert service.sent == []


async def another_list(path: Path, _: pytest.MonkeyPatch) -> None:
    await refused(path, [0, 1, 99, *range(3, 12)])


async def a_shorter_list(path: Path, _: pytest.MonkeyPatch) -> None:
    await refused(path, range(3))


async def another_stream(path: Path, _: pytest.MonkeyPatch) -> None:
    await refused(path, streamed([0, 1, 99, *range(3, 500)]))


async def another_stream_that_is_skimmed(path: Path, _: pytest.MonkeyPatch) -> None:
    journal = Journal(path, replay=False, notes=WRONG)
    await refused(path, iter([0, 1, 99, *range(3, 500)]), journal=journal)


async def a_shorter_stream(path: Path, _: pytest.MonkeyPatch) -> None:
    await refused(path, streamed(range(3)))


async def another_function(path: Path, _: pytest.MonkeyPatch) -> None:
    await refused(path, range(40), function_name="other")


async def with_keys_now(path: Path, _: pytest.MonkeyPatch) -> None:
    await refused(path, range(40), key=str)


async def a_bad_option(path: Path, _: pytest.MonkeyPatch) -> None:
    await refused(path, range(40), InvalidRequestError, concurrency=0)


async def a_bad_note(path: Path, _: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequestError):
        Journal(path, notes={"ticket": object()})


async def an_input_that_fails_when_it_is_compared(path: Path, _: pytest.MonkeyPatch) -> None:
    class Broken:
        def __aiter__(self) -> AsyncIterator[object]:
            return streamed(range(40))

        def read_again(self) -> Iterator[int]:
            yield from range(3)
            raise OSError("gone")

    await refused(path, Broken(), OSError)


async def cancelled_while_it_is_compared(path: Path, _: pytest.MonkeyPatch) -> None:
    with anyio.CancelScope() as scope:

        class Long:
            def __aiter__(self) -> AsyncIterator[object]:
                return streamed(range(40))

            async def read_again(self) -> AsyncIterator[int]:
                yield 0
                scope.cancel()
                await anyio.sleep_forever()

        again = Long()
        again.read_again = Long().read_again  # type: ignore[method-assign]
        await FakeService().map(Journal(path, notes=WRONG), again)
    assert scope.cancelled_caught


async def a_disk_that_is_full_when_it_begins(path: Path, patch: pytest.MonkeyPatch) -> None:
    await _failing_at(path, patch, "INSERT INTO session")


async def a_disk_that_is_full_when_it_has_begun(path: Path, patch: pytest.MonkeyPatch) -> None:
    await _failing_at(path, patch, "PRAGMA wal_checkpoint")


async def _failing_at(path: Path, patch: pytest.MonkeyPatch, statement: str) -> None:
    for name in ("do", "insert"):
        function = getattr(Statements, name)

        def fail(sql: Statements, text: str, *values: Any, function: Any = function) -> None:
            if text.startswith(statement):
                raise sqlite3.OperationalError("database or disk is full")
            function(sql, text, *values)

        patch.setattr(Statements, name, fail)
    await refused(path, range(40), JournalError)


REFUSED: list[Refused] = [
    another_list,
    a_shorter_list,
    another_stream,
    another_stream_that_is_skimmed,
    a_shorter_stream,
    another_function,
    with_keys_now,
    a_bad_option,
    a_bad_note,
    an_input_that_fails_when_it_is_compared,
    cancelled_while_it_is_compared,
    a_disk_that_is_full_when_it_begins,
    a_disk_that_is_full_when_it_has_begun,
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the records are the same on both loops


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    # No machine crashes here, so nothing has to be synced.
    set_up = opening._set_up

    def unsynced(connection: sqlite3.Connection) -> None:
        set_up(connection)
        connection.execute("PRAGMA synchronous = OFF").close()

    monkeypatch.setattr(opening, "_set_up", unsynced)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.run"


PAIRS = [
    *((killed, refusal) for refusal in REFUSED),
    *(
        (state, refusal)
        for state in (left, killed_and_without_marks)
        for refusal in (another_list, another_stream, a_disk_that_is_full_when_it_has_begun)
    ),
]


@pytest.mark.parametrize(
    ("state", "refusal"), PAIRS, ids=[f"{each.__name__}-{why.__name__}" for each, why in PAIRS]
)
async def test_a_refused_call_changes_nothing_that_can_be_read_of_the_run(
    path: Path,
    state: Callable[[Path], Awaitable[None]],
    refusal: Refused,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await state(path)
    before = await anyio.to_thread.run_sync(everything_read, path, capsys)
    assert "the right one" in before[0]
    with pytest.MonkeyPatch.context() as patch:
        await refusal(path, patch)
    assert await anyio.to_thread.run_sync(everything_read, path, capsys) == before
    # The right call continues it as if the refused one had not been made.
    service = FakeService()
    outcomes = await service.map(Journal(path, notes=RIGHT), range(40))
    assert sorted(outcome.index for outcome in outcomes) == list(range(40))


async def test_a_call_that_is_refused_since_another_is_at_work_changes_nothing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await left(path)
    async with (
        Invoker(transport=FakeService()) as invoker,
        invoker.map("work", range(40), journal=path) as run,
    ):
        run.pause()
        await refused(path, range(40), JournalError)
        with open_run(path) as recorded:
            assert recorded.summary().running
            assert recorded.summary().notes == RIGHT
        run.resume()
        assert len([outcome async for outcome in run]) == 40


async def test_a_stream_by_key_that_differs_is_as_if_it_had_not_been(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [{"id": str(number), "n": number} for number in range(20)]
    options: dict[str, Any] = {"key": lambda item: item["id"]}
    await FakeService().map(Journal(path, notes=RIGHT), items, **options)
    before = await anyio.to_thread.run_sync(everything_read, path, capsys)
    changed = [*items[:7], {"id": "7", "n": 70}, *items[8:]]
    await refused(path, streamed(changed), **options)
    assert await anyio.to_thread.run_sync(everything_read, path, capsys) == before
    # With `KEEP`, a changed item is no difference.
    journal = Journal(path, changed=Changed.KEEP, notes={"ticket": "a later one"})
    assert len(await FakeService().map(journal, streamed(changed), **options)) == 20
    with open_run(path) as recorded:
        assert recorded.summary().notes == {"ticket": "a later one"}


async def test_what_ran_of_a_stream_before_it_differed_stays_and_what_was_noted_does_not(
    path: Path,
) -> None:
    await FakeService(refused=[1]).map(Journal(path, notes=RIGHT), range(400))
    service = FakeService()

    async def waiting() -> AsyncIterator[int]:
        for number in range(300):
            yield number
        with anyio.fail_after(60):
            while not service.sent:
                await anyio.sleep(0.001)
        yield -1
        for number in range(301, 500):
            yield number

    journal = Journal(path, redrive=Redrive.NOT_RUN, notes={**WRONG, "more": 1})
    with pytest.raises(JournalMismatchError, match="item 300 is not what it was"):
        await service.map(journal, waiting())
    assert service.sent == [1]
    with open_run(path) as recorded:
        summary = recorded.summary()
        assert summary.notes == RIGHT
        assert [each.status for each in summary.sessions] == ["complete", "left"]
        assert (summary.succeeded, summary.total) == (400, 400)


async def test_a_stream_that_is_the_same_keeps_what_is_noted_of_it(path: Path) -> None:
    await FakeService().map(Journal(path, notes=RIGHT), range(40))
    async with (
        Invoker(transport=FakeService()) as invoker,
        invoker.map(
            "work", streamed(range(40)), journal=Journal(path, notes={"ticket": "a later one"})
        ) as run,
    ):
        run.note("more", 1)
        async for _ in run:
            pass
    with open_run(path) as recorded:
        assert recorded.summary().notes == {"ticket": "a later one", "more": 1}
        assert len(recorded.summary().sessions) == 2


async def test_what_is_noted_of_a_stream_is_kept_however_late_its_first_item_comes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await FakeService().map(Journal(path, notes=RIGHT), range(40))
    # The writer wakes up repeatedly and has nothing to do.
    monkeypatch.setattr(writing, "SAMPLE_EVERY", 0.0)

    async def late() -> AsyncIterator[int]:
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        for number in range(40):
            yield number

    await FakeService().map(Journal(path, notes={"ticket": "a later one"}), late())
    with open_run(path) as recorded:
        assert recorded.summary().notes == {"ticket": "a later one"}


async def test_a_comparing_process_is_named_rather_than_the_last_session(path: Path) -> None:
    await left(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE session SET pid = 1, host = 'another'")
        connection.commit()

    class Compared:
        def __aiter__(self) -> AsyncIterator[object]:
            return streamed(range(40))

        async def read_again(self) -> AsyncIterator[int]:
            with pytest.raises(JournalError, match=r"in use by process [0-9]{2,} on (?!another)"):
                await FakeService().map(path, range(40))
            for number in range(40):
                yield number

    again = Compared()
    again.read_again = Compared().read_again  # type: ignore[method-assign]
    assert len(await FakeService().map(path, again)) == 40


def test_a_disk_that_is_full_at_any_moment_of_the_beginning_changes_nothing(path: Path) -> None:
    # A limit on the file size simulates a full disk, in a separate process.
    code = f"""
        import anyio, resource, signal
        from pathlib import Path
        from asyncinvoke import JournalError
        from asyncinvoke.runs import open_run
        from tests.journal.crashes import crash
        from tests.journal.fake_service import FakeService
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def limit(size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        def summary(path):
            with open_run(path) as run:
                return run.summary()
        async def main(folder):
            path = folder / "o.run"
            await FakeService().map(path, range(300))
            crash(path, sent=[300, 301], unsent=[302, 303])
            before = summary(path)
            refused = made = 0
            for size in [*range(0, 4200, 300), 5000, 9000, 13_000, 17_000, 30_000]:
                new = folder / f"new{{size}}.run"
                for each, items in ((path, range(400)), (new, range(5))):
                    service = FakeService()
                    limit(size)
                    try:
                        await service.map(each, items)
                    except JournalError:
                        refused += 1
                    finally:
                        limit(resource.RLIM_INFINITY)
                    if service.sent:
                        continue
                    if each == path:
                        assert summary(path) == before, (size, summary(path))
                    else:
                        made += any(folder.glob("new*"))
            print(refused > 10, made)
        anyio.run(main, Path({str(path.parent)!r}))
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
    assert done.stdout.split() == ["True", "0"]
