"""Random sequences of sessions that end, are left early, or die at any moment."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncinvoke import Changed, InvocationError, Journal, Outcome
from asyncinvoke._journal import opening
from asyncinvoke._journal.recorder import JournalRecorder
from asyncinvoke.runs import open_run
from tests.journal.fake_service import FakeService

ITEMS = 40
SOON = 60


@dataclass(frozen=True)
class Session:
    """The events of one session."""

    outcomes: int
    """The number of outcomes after which it ends."""

    dies: bool
    """Whether it dies then, or leaves its block."""

    stuck: frozenset[int]
    """Items without an answer, which are in progress when it ends."""

    backend: str


sessions = st.builds(
    Session,
    outcomes=st.integers(1, 15),
    dies=st.booleans(),
    stuck=st.frozensets(st.integers(0, ITEMS - 1), max_size=5),
    backend=st.sampled_from(["asyncio", "trio"]),
)


class Dead:
    """A store that simulates the death of a process: uncommitted data is lost."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_dead = False
        finish = JournalRecorder._finish

        def finish_or_die(recorder: JournalRecorder) -> Any:
            return recorder._store.abandon() if self.is_dead else finish(recorder)

        monkeypatch.setattr(JournalRecorder, "_finish", finish_or_die)


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Dead:
    # No machine crashes here, so nothing has to be synced.
    set_up = opening._set_up

    def fast(connection: Any) -> None:
        set_up(connection)
        connection.execute("PRAGMA synchronous = OFF")

    monkeypatch.setattr(opening, "_set_up", fast)
    return Dead(monkeypatch)


async def run_session(
    path: Path, session: Session, dead: Dead
) -> tuple[FakeService, list[Outcome]]:
    service = FakeService(stuck=session.stuck)
    dead.is_dead = session.dies
    # Recorded outcomes are replayed, and one worker is blocked by each stuck item.
    options: dict[str, Any] = {"take": session.outcomes, "concurrency": 8}
    with anyio.fail_after(SOON):
        return service, await service.map(path, range(ITEMS), **options)


async def finish(last: FakeService, path: Path) -> list[Outcome]:
    with anyio.fail_after(SOON):
        return await last.map(path, range(ITEMS))


def is_lost(outcome: Outcome) -> bool:
    error = outcome.error
    return isinstance(error, InvocationError) and error.code in ("ProcessLost", "InvokerClosed")


@given(sequence=st.lists(sessions, max_size=4))
@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_item_is_sent_twice_and_none_is_lost(sequence: list[Session], dead: Dead) -> None:
    sent: Counter[int] = Counter()
    handed_out: set[int] = set()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.run"
        for session in sequence:
            service, outcomes = anyio.run(run_session, path, session, dead, backend=session.backend)
            sent.update(service.sent)
            now = {outcome.index for outcome in outcomes if outcome.ok}
            handed_out |= now
        dead.is_dead = False
        last = FakeService()
        outcomes = anyio.run(finish, last, path)
        sent.update(last.sent)
        with open_run(path) as recorded:
            summary = recorded.summary()
            unknown = {item.position for item in recorded.unknown()}
    assert [item for item, count in sent.items() if count > 1] == []
    assert set(sent) == set(range(ITEMS)) or set(range(ITEMS)) - set(sent) <= unknown
    assert sorted(outcome.index for outcome in outcomes) == list(range(ITEMS))
    assert {outcome.index for outcome in outcomes if not outcome.ok} == unknown
    assert all(is_lost(outcome) for outcome in outcomes if not outcome.ok)
    # An outcome is recorded before the loop receives it.
    assert handed_out.isdisjoint(unknown)
    assert (summary.succeeded, summary.may_have_run) == (ITEMS - len(unknown), len(unknown))


def key(item: dict[str, int]) -> str:
    return str(item["id"])


async def die_with(item: dict[str, int], path: Path, dead: Dead, changed: Changed) -> FakeService:
    """Run a session whose process dies once this item was sent, or once nothing is left to do."""
    service = FakeService(stuck=[item])
    dead.is_dead = True

    async def run_all() -> None:
        await service.map(Journal(path, changed=changed), [item], key=key)
        group.cancel_scope.cancel()

    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as group:
            group.start_soon(run_all)
            while item not in service.sent:
                await anyio.sleep(0.001)
            group.cancel_scope.cancel()
    dead.is_dead = False
    return service


@pytest.mark.anyio
@pytest.mark.parametrize("idempotent", [False, True])
async def test_what_may_have_run_is_another_item_once_its_payload_has_changed(
    tmp_path: Path, dead: Dead, idempotent: bool
) -> None:
    """With `KEEP`, the record has the sent digest; if it runs again, each payload is sent once."""
    before, after = {"id": 1, "n": 0}, {"id": 1, "n": 1}
    options: dict[str, Any] = {"key": key, "idempotent": idempotent}
    kept, again = tmp_path / "kept.run", tmp_path / "again.run"

    await die_with(before, kept, dead, Changed.REFUSE)
    service = FakeService()
    await service.map(Journal(kept, changed=Changed.KEEP), [after], **options)
    assert service.sent == []
    assert [each.ok for each in await service.map(kept, [before], **options)] == [False]

    await die_with(before, again, dead, Changed.REFUSE)
    assert (await die_with(after, again, dead, Changed.AGAIN)).sent == [after]
    with open_run(again) as recorded:
        item = recorded.item(key="1")
        assert item is not None
        assert (item.state, item.take, len(item.earlier)) == ("may_have_run", 2, 1)
    await service.map(Journal(again, changed=Changed.AGAIN), [after], **options)
    assert service.sent == ([after] if idempotent else [])
    with open_run(again) as recorded:
        assert recorded.check() == ()
        assert recorded.summary().may_have_run == (not idempotent)
