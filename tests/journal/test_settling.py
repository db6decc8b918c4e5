"""Settling items with every history: the counts stay right, and items that did not run run."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asyncinvoke import Journal, JournalError, Redrive
from asyncinvoke._journal.recorder import JournalRecorder
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._report.standing import has_changed_since_merge
from asyncinvoke.runs import RecordedRun, merge, open_run, settle
from tests.journal.crashes import crash, restart
from tests.journal.fake_service import FakeService, streamed

pytestmark = pytest.mark.anyio

ITEMS = 6
FAILED, REFUSED, LOST = 1, 2, 5


@pytest.fixture(params=[False, True], ids=["by position", "by key"])
def keys(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"key": str} if request.param else {}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.run"


@pytest.fixture
async def redriven(path: Path, keys: dict[str, Any]) -> Path:
    """A run whose process died while it redrove three items, all of which may have run."""
    service = FakeService(failing=[FAILED], refused=[REFUSED], lost=[LOST])
    await service.map(path, range(ITEMS), **keys)
    crash(path, sent=[FAILED, REFUSED, LOST])
    return path


def check_consistency(recorded: RecordedRun) -> None:
    """Check that everything that can be read from a run is consistent."""
    assert recorded.check() == ()
    summary = recorded.summary()
    unknown = list(recorded.unknown())
    assert len(unknown) == summary.may_have_run
    causes = recorded.causes()
    known = sum(cause.count for cause in causes if cause.delivery != "unknown")
    assert known == summary.failed
    for position in range(ITEMS):
        item = recorded.item(position=position)
        assert (item is not None and item.state == "may_have_run") == (
            position in {each.position for each in unknown}
        )
        takes = [] if item is None else [each.number for each in item.earlier]
        assert takes == sorted(set(takes))


async def test_an_item_whose_redrive_died_may_have_run_whatever_came_of_it_before(
    redriven: Path,
) -> None:
    with open_run(redriven) as recorded:
        check_consistency(recorded)
        assert recorded.causes() == ()
        assert {each.take for each in recorded.unknown()} == {2}
        for position, before in ((FAILED, "failed"), (REFUSED, "not_run"), (LOST, "may_have_run")):
            item = recorded.item(position=position)
            assert item is not None
            assert (item.state, item.take) == ("may_have_run", 2)
            assert [(take.number, take.state) for take in item.earlier] == [(1, before)]
            assert recorded.outcome(position=position) is None


async def test_an_item_whose_redrive_surely_did_not_begin_is_what_it_was(
    path: Path, keys: dict[str, Any]
) -> None:
    service = FakeService(failing=[FAILED], refused=[REFUSED], lost=[LOST])
    await service.map(path, range(ITEMS), **keys)
    crash(path, unsent=[FAILED, REFUSED, LOST])
    with open_run(path) as recorded:
        check_consistency(recorded)
        assert (recorded.summary().failed, recorded.summary().may_have_run) == (2, 1)


@pytest.mark.parametrize("position", [FAILED, REFUSED, LOST])
@pytest.mark.parametrize("ran", [True, False])
async def test_a_redrive_that_died_is_settled(
    redriven: Path, keys: dict[str, Any], position: int, ran: bool
) -> None:
    named: Any = {"key": str(position)} if keys else {"position": position}
    settle(redriven, ran=ran, **named)
    with open_run(redriven) as recorded:
        check_consistency(recorded)
        summary = recorded.summary()
        assert (summary.may_have_run, summary.settled) == (2, int(ran))
    service = FakeService()
    outcomes = await service.map(redriven, range(ITEMS), **keys)
    assert service.sent == ([] if ran else [position])
    (settled,) = [each for each in outcomes if each.index == position]
    assert settled.take == 2
    with open_run(redriven) as recorded:
        check_consistency(recorded)
        assert recorded.summary().succeeded == 3 + (not ran)
        item = recorded.item(position=position)
        assert item is not None
        assert [take.number for take in item.earlier] == [1]


class Throttling(FakeService):
    """Throttles the items that it refuses."""

    async def send(self, parameters: Any, payload: bytes, progress: Any) -> Reply | Failure:
        if int(payload) in self.refused:
            return Failure(status_code=429, code="TooManyRequestsException", message="slow down")
        return await super().send(parameters, payload, progress)


async def test_the_counts_are_right_when_what_was_throttled_failed_or_lost_runs_again(
    path: Path, keys: dict[str, Any]
) -> None:
    first = Throttling(failing=[FAILED], refused=[REFUSED], lost=[LOST])
    await first.map(path, range(ITEMS), **keys)
    with open_run(path) as recorded:
        check_consistency(recorded)
        assert recorded.summary().throttled == 1
    again = Journal(path, redrive=Redrive.FAILED | Redrive.MAY_HAVE_RUN)
    service = FakeService(failing=[FAILED])
    await service.map(again, range(ITEMS), **keys)
    assert sorted(service.sent) == [FAILED, REFUSED, LOST]
    with open_run(path) as recorded:
        check_consistency(recorded)
        summary = recorded.summary()
        assert (summary.succeeded, summary.failed, summary.throttled) == (ITEMS - 1, 1, 0)


async def test_the_outcome_of_one_that_no_session_has_met_again_names_the_function(
    path: Path,
) -> None:
    await FakeService().map(path, range(LOST), qualifier="live")
    crash(path, sent=[LOST])
    settle(path, ran=True, position=LOST)
    with open_run(path) as recorded:
        outcome = recorded.outcome(position=LOST)
    assert outcome is not None
    assert str(outcome.error).startswith("work:live: ProcessLost: its process died")


@pytest.mark.parametrize("is_merged", [False, True])
@pytest.mark.parametrize("redrive", [Redrive.NONE, Redrive.FAILED | Redrive.MAY_HAVE_RUN])
async def test_what_was_settled_is_redriven_or_continued_with_its_own_takes(
    path: Path, keys: dict[str, Any], redrive: Redrive, is_merged: bool, tmp_path: Path
) -> None:
    await FakeService(lost=[LOST]).map(path, range(ITEMS), **keys)
    named: Any = {"key": str(LOST)} if keys else {"position": LOST}
    settle(path, ran=False, **named)
    if is_merged:
        merge(tmp_path / "merged.run", [path])
        path = tmp_path / "merged.run"
    # It was the last item; the next one must not get its earlier take.
    service = FakeService()
    items = [*range(LOST), LOST + 1, LOST] if keys else [*range(LOST + 2)]
    outcomes = await service.map(Journal(path, redrive=redrive), streamed(items), **keys)
    assert sorted(service.sent) == [LOST, LOST + 1]
    takes = {outcome.index: outcome.take for outcome in outcomes if not outcome.replayed}
    last = len(items) - 1
    assert takes == ({last: 2, last - 1: 1} if keys else {last: 1, last - 1: 2})
    with open_run(path) as recorded:
        check_consistency(recorded)
        item = recorded.item(**named)
        assert item is not None
        assert (item.take, [take.state for take in item.earlier]) == (2, ["may_have_run"])


async def test_a_merged_run_of_one_that_died_is_settled_and_merged_again(
    redriven: Path, keys: dict[str, Any], tmp_path: Path
) -> None:
    for number, (position, ran) in enumerate(((FAILED, True), (LOST, False))):
        merged = tmp_path / f"{number}.run"
        merge(merged, [redriven])
        redriven = merged
        named: Any = {"key": str(position)} if keys else {"position": position}
        settle(merged, ran=ran, **named)
        with open_run(merged) as recorded:
            check_consistency(recorded)
    last = tmp_path / "last.run"
    merge(last, [redriven])
    with open_run(last) as recorded:
        check_consistency(recorded)
        summary = recorded.summary()
        assert (summary.settled, summary.may_have_run) == (1, 1)


async def test_an_input_that_has_grown_has_no_total_until_all_of_it_is_read(
    path: Path, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def total() -> int | None:
        with open_run(path) as recorded:
            return recorded.summary().total

    await FakeService().map(path, range(ITEMS), **keys)
    assert total() == ITEMS
    with monkeypatch.context() as patched:
        # The process dies once it has read more items than there were.
        patched.setattr(JournalRecorder, "_finish", lambda recorder: recorder._store.abandon())
        await FakeService().map(path, range(2 * ITEMS), **keys)
    assert total() is None
    await FakeService().map(path, range(2 * ITEMS), **keys)
    assert total() == 2 * ITEMS


@pytest.mark.parametrize("ran", [True, False])
async def test_what_was_settled_is_in_doubt_no_more_after_a_restart(
    path: Path, keys: dict[str, Any], ran: bool
) -> None:
    await FakeService(lost=[LOST]).map(path, range(ITEMS), **keys)
    crash(path, unsent=[LOST])  # a redrive that died before it sent it
    named: Any = {"key": str(LOST)} if keys else {"position": LOST}
    settle(path, ran=ran, **named)
    restart(path)
    with open_run(path) as recorded:
        check_consistency(recorded)
        summary = recorded.summary()
        assert (summary.may_have_run, summary.settled) == (0, int(ran))
    service = FakeService()
    await service.map(path, range(ITEMS), **keys)
    assert service.sent == ([] if ran else [LOST])


@pytest.mark.parametrize("ran", [True, False])
@pytest.mark.parametrize("is_merged", [False, True])
async def test_a_run_with_an_item_that_is_to_run_is_not_complete(
    path: Path, keys: dict[str, Any], ran: bool, is_merged: bool
) -> None:
    await FakeService(lost=[LOST]).map(path, range(ITEMS), **keys)
    if is_merged:
        part, path = path, path.with_name("merged.run")
        merge(path, [part])
        with open_run(path) as recorded:
            assert not has_changed_since_merge(recorded.summary())
    settle(path, ran=ran, **({"key": str(LOST)} if keys else {"position": LOST}))
    with open_run(path) as recorded:
        assert recorded.summary().complete == ran
        assert has_changed_since_merge(recorded.summary())  # a merge would lose it
    again = path.with_name("again.run")
    merge(again, [path])
    with open_run(again) as recorded:
        assert recorded.summary().complete == ran
        assert not has_changed_since_merge(recorded.summary())
    await FakeService().map(path, range(ITEMS), **keys)
    with open_run(path) as recorded:
        assert recorded.summary().complete


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({}, "either by its position or by its key"),
        ({"position": LOST, "key": str(LOST)}, "either by its position or by its key"),
        ({"position": 2**63}, "no item has the position 9223372036854775808"),
        ({"position": -1}, "no item has the position -1"),
        ({"position": "1"}, "no item has the position '1'"),
        ({"position": True}, "no item has the position True"),
        ({"key": "\ud800"}, r"no item has the key '\\ud800'"),
        ({"key": 1}, "no item has the key 1"),
    ],
)
async def test_an_item_is_named_by_its_key_or_its_index_only(
    path: Path, named: dict[str, Any], says: str
) -> None:
    await FakeService(lost=[LOST]).map(path, range(ITEMS))
    with open_run(path) as recorded:
        for call in (partial(settle, path, ran=True), recorded.item, recorded.outcome):
            with pytest.raises(JournalError, match=says):
                call(**named)
        assert recorded.summary().may_have_run == 1


@pytest.mark.parametrize("ran", [False, True])
async def test_several_items_are_settled_together_or_none_of_them(
    ran: bool, redriven: Path, keys: dict[str, Any]
) -> None:
    name = "key" if keys else "position"
    kind: type = str if keys else int
    doubtful = [kind(each) for each in (FAILED, REFUSED, LOST)]
    with pytest.raises(JournalError, match=r"0'? cannot be settled: it is recorded as succeeded"):
        settle(redriven, ran=ran, **{name: [*doubtful, kind(0)]})
    settle(redriven, ran=ran, **{name: []})
    with open_run(redriven) as recorded:
        assert recorded.summary().may_have_run == 3
        assert recorded.summary().complete is False
    settle(redriven, ran=ran, **{name: [*doubtful, doubtful[0]]})
    with open_run(redriven) as recorded:
        check_consistency(recorded)
        assert recorded.summary().may_have_run == 0
        assert recorded.summary().settled == (3 if ran else 0)


async def test_nothing_is_settled_where_no_item_is_named(path: Path) -> None:
    await FakeService().map(path, range(ITEMS))
    settle(path, ran=False, position=[])
    with open_run(path) as recorded:
        assert recorded.summary().complete
