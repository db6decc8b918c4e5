"""Items of a continued run: the same as recorded, changed, missing, new, or duplicate."""

import hashlib
import json
import math
import pickle
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import (
    Changed,
    FunctionError,
    InvalidRequestError,
    Journal,
    JournalError,
    JournalMismatchError,
    Redrive,
    Request,
)
from asyncinvoke._engine.causes import LONGEST_NAME
from asyncinvoke._journal.identity import SeenRows
from asyncinvoke._journal.lookups import Lookups
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._report.standing import cause_among, key_of
from asyncinvoke.runs import open_run, settle
from tests.journal.crashes import crash
from tests.journal.fake_service import FakeService, indexes, streamed

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.run"


def name(item: dict[str, Any]) -> str:
    return str(item["id"])


def orders(*ids: int, **more: object) -> list[dict[str, Any]]:
    return [{"id": number, **more} for number in ids]


async def test_the_same_call_sends_nothing_that_has_ended_and_replays_it(path: Path) -> None:
    service = FakeService(failing=[3])
    first = await service.map(path, range(40))
    assert sorted(service.sent) == list(range(40))
    again = await service.map(path, range(40))
    assert service.sent == []
    assert indexes(again) == indexes(first) == list(range(40))
    assert all(outcome.replayed for outcome in again)
    for one, other in zip(
        *(sorted(each, key=lambda o: o.index) for each in (first, again)), strict=True
    ):
        if one.response is None:
            assert str(one.error) != ""
            assert type(one.error) is type(other.error)
            assert vars(one.error).keys() == vars(other.error).keys()
        else:
            assert other.response is not None
            assert (one.response.payload, one.response.request_id, one.response.json()) == (
                other.response.payload,
                other.response.request_id,
                other.response.json(),
            )
        assert abs(one.started - other.started) < 0.002
    assert service.statistics is not None
    assert (service.statistics.recorded, service.statistics.replayed) == (40, 40)
    assert (service.statistics.succeeded, service.statistics.failed) == (0, 0)


async def test_a_run_that_was_left_is_continued_with_the_rest_and_only_that(path: Path) -> None:
    service = FakeService()
    await service.map(path, range(60), take=20)
    sent = set(service.sent)
    again = await service.map(path, range(60))
    assert sent.isdisjoint(service.sent)
    assert sent | set(service.sent) == set(range(60))
    assert indexes(again) == list(range(60))


async def test_without_replay_the_loop_gets_what_runs_now(path: Path) -> None:
    service = FakeService()
    await service.map(path, range(30), take=10)
    done = set(service.sent)
    again = await service.map(Journal(path, replay=False), range(30))
    assert set(indexes(again)) == set(range(30)) - done
    assert not any(outcome.replayed for outcome in again)
    assert service.statistics is not None
    assert service.statistics.recorded == len(done)


async def test_an_ordered_run_replays_in_the_order_of_the_input(path: Path) -> None:
    service = FakeService()
    await service.map(path, range(30), take=10)
    again = await service.map(path, range(30), ordered=True)
    assert [outcome.index for outcome in again] == list(range(30))


async def test_items_that_were_appended_run(path: Path) -> None:
    service = FakeService()
    await service.map(path, range(5))
    await service.map(path, range(8))
    assert sorted(service.sent) == [5, 6, 7]


@pytest.mark.parametrize(
    ("now", "what"),
    [
        ([0, 1, 9, 3, 4], "item 2 is not what it was"),
        ([9, 0, 1, 2, 3, 4], r"items? 0 (is|to)"),
        ([0, 2, 1, 3, 4], r"items? 1 (is|to)"),
        ([0, 1, 2], "the input has 3 items, and had 5"),
    ],
    ids=["changed", "inserted", "reordered", "shortened"],
)
@pytest.mark.parametrize("twice", [True, False], ids=["a list", "a stream"])
async def test_by_position_another_input_is_refused(
    path: Path, now: list[int], what: str, twice: bool
) -> None:
    service = FakeService()
    await service.map(path, range(5))
    with pytest.raises(JournalMismatchError, match=what) as raised:
        await service.map(path, now if twice else streamed(now))
    assert service.sent == []
    assert re.match(what, raised.value.differences[0])
    assert pickle.loads(pickle.dumps(raised.value)).differences == raised.value.differences
    # The journal is unchanged, and the right input still continues it.
    assert len(await service.map(path, range(5))) == 5


async def test_all_differences_of_a_list_are_named_and_very_many_are_counted(path: Path) -> None:
    service = FakeService()
    await service.map(path, range(100))
    with pytest.raises(JournalMismatchError) as raised:
        await service.map(path, [7, *range(1, 50), *range(150, 200)])
    assert raised.value.differences == (
        "item 0 is not what it was",
        "items 50 to 68 are not what they were",
        "31 more items are not what they were",
    )
    assert str(raised.value).endswith("(restore it, or record this input in another journal)")


async def test_keys_that_changed_are_named_one_by_one_with_what_can_be_done(path: Path) -> None:
    service = FakeService()
    await service.map(path, [{"id": n, "v": 1} for n in range(5)], key=lambda item: str(item["id"]))
    with pytest.raises(JournalMismatchError) as raised:
        await service.map(
            path, [{"id": n, "v": n // 3} for n in range(5)], key=lambda item: str(item["id"])
        )
    assert raised.value.differences == tuple(f"item '{n}' is not what it was" for n in range(3))
    assert "give changed, or map --changed, to keep their outcomes or to run them again" in str(
        raised.value
    )


async def test_a_stream_stops_at_the_first_that_differs_and_what_was_sent_is_recorded(
    path: Path,
) -> None:
    service = FakeService()
    await service.map(path, range(5))
    with pytest.raises(JournalMismatchError):
        await service.map(path, streamed([0, 1, 9, 3, 4, 5, 6]))
    with open_run(path) as recorded:
        assert recorded.summary().ended == 5 + len(service.sent)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"function_name": "other"}, "function_name is 'other', and was 'work'"),
        ({"qualifier": "live"}, "qualifier is 'live', and was None"),
        ({"invocation_type": "Event"}, "invocation_type is 'Event', and was 'RequestResponse'"),
        ({"tenant_id": "a"}, "tenant_id is 'a', and was None"),
        (
            {"durable_execution_name": "once"},
            "durable_execution_name is 'once', and was None",
        ),
        ({"client_context": {"token": "secret"}}, "client_context is another one"),
        ({"key": str}, "whether items have keys is True, and was False"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_another_call_is_refused_before_anything_is_sent(
    path: Path, changes: dict[str, Any], what: str
) -> None:
    service = FakeService()
    await service.map(path, range(5))
    with pytest.raises(JournalMismatchError) as raised:
        await service.map(path, range(9), **changes)
    assert raised.value.differences == (what,)
    assert "secret" not in str(raised.value)
    assert service.sent == []


async def test_what_an_older_version_has_not_recorded_is_not_compared(path: Path) -> None:
    service = FakeService()
    await service.map(path, range(5), durable_execution_name="once")
    with closing(sqlite3.connect(path)) as journal, journal:
        journal.execute(
            "UPDATE run SET value = json_remove(value, '$.durable_execution_name')"
            " WHERE name = 'identity'"
        )
    assert len(await service.map(path, range(7), durable_execution_name="once")) == 7
    assert service.sent == [5, 6]


async def test_all_differences_of_a_call_are_in_one_message(path: Path) -> None:
    service = FakeService()
    await service.map(path, range(5))
    with pytest.raises(JournalMismatchError) as raised:
        await service.map(
            Journal(path, results=False), range(5), "other", qualifier="live", tenant_id="a"
        )
    assert len(raised.value.differences) == 4
    assert all(difference in str(raised.value) for difference in raised.value.differences)


@pytest.mark.parametrize(
    "changes",
    [
        {"concurrency": 9},
        {"timeout": 3.0},
        {"idempotent": True},
        {"log_type": "Tail"},
        {"ordered": True},
        {"invoker": {"limit": 7}},
        {"function_name": "arn:aws:lambda:us-east-1:123456789012:function:work"},
    ],
    ids=lambda value: next(iter(value)),
)
async def test_what_may_change_may_change(path: Path, changes: dict[str, Any]) -> None:
    service = FakeService()
    await service.map(path, range(5))
    await service.map(path, range(7), **changes)
    assert sorted(service.sent) == [5, 6]


async def test_by_key_the_order_may_change_and_items_may_come_and_go(path: Path) -> None:
    service = FakeService()
    await service.map(path, orders(1, 2, 3), key=name)
    again = await service.map(path, orders(9, 3, 1, 8), key=name)
    assert service.sent == orders(9, 8)
    assert {outcome.key: outcome.index for outcome in again} == {"9": 0, "3": 1, "1": 2, "8": 3}
    assert {outcome.key for outcome in again if outcome.replayed} == {"3", "1"}
    await service.map(path, orders(8, 2, 9, 3, 1), key=name)
    assert service.sent == []


async def test_keys_that_a_stopped_run_has_left_out_get_the_rows_of_their_positions(
    path: Path,
) -> None:
    await FakeService().map(path, range(20), key=str)
    with closing(sqlite3.connect(path)) as connection:  # as if it had been stopped before these
        for table in ("item", "result"):
            connection.execute(f"DELETE FROM {table} WHERE idx IN (3, 4, 12)")
        connection.commit()
    service = FakeService()
    await service.map(path, range(25), key=str)
    assert sorted(service.sent) == [3, 4, 12, *range(20, 25)]
    with open_run(path) as recorded:
        assert [(each.key, each.index) for each in recorded.outcomes()] == [
            (str(number), number) for number in range(25)
        ]


@pytest.mark.parametrize("concurrency", [1, 100])
async def test_new_keys_at_the_positions_of_others_get_rows_behind_all_others(
    path: Path, concurrency: int
) -> None:
    await FakeService().map(path, range(10), key=str)
    crash(path, unsent=[40])  # an intent whose row is free again
    service = FakeService()
    new = range(100, 150)
    await service.map(path, [*new, *range(10)], key=str, concurrency=concurrency)
    assert sorted(service.sent) == [*new]
    with open_run(path) as recorded:
        rows = {each.key: each.index for each in recorded.outcomes()}
    assert len(rows) == len(set(rows.values())) == 60
    assert [rows[str(number)] for number in range(10)] == [*range(10)]


async def test_no_new_key_gets_the_row_of_an_item_that_was_settled_as_not_run(path: Path) -> None:
    await FakeService(lost=[2]).map(path, range(5), key=str)
    settle(path, key="2", ran=False)
    service = FakeService()
    await service.map(path, [0, 1, 100, 3, 4, 2], key=str)
    assert sorted(service.sent) == [2, 100]
    with open_run(path) as recorded:
        assert {each.key: (each.index, each.take) for each in recorded.outcomes()} == {
            "0": (0, 1),
            "1": (1, 1),
            "2": (2, 2),
            "3": (3, 1),
            "4": (4, 1),
            "100": (5, 1),
        }


async def test_by_key_an_item_that_has_changed_is_refused_kept_or_run_again(path: Path) -> None:
    service = FakeService()
    await service.map(path, orders(1, 2), key=name)
    with pytest.raises(JournalMismatchError, match="item '2' is not what it was"):
        await service.map(path, [*orders(1), *orders(2, more=1)], key=name)
    kept = await service.map(
        Journal(path, changed=Changed.KEEP), [*orders(1), *orders(2, more=1)], key=name
    )
    assert service.sent == []
    assert [outcome.unwrap().json() for outcome in kept] == orders(1, 2)
    again = await service.map(
        Journal(path, changed=Changed.AGAIN), [*orders(1), *orders(2, more=1)], key=name
    )
    assert service.sent == orders(2, more=1)
    assert {outcome.key: outcome.take for outcome in again} == {"1": 1, "2": 2}
    with open_run(path) as recorded:
        item = recorded.item(key="2")
        assert item is not None
        assert [take.number for take in item.earlier] == [1]
        assert recorded.summary().succeeded == 2


@pytest.mark.parametrize("sessions", [1, 2])
async def test_a_key_that_comes_twice_is_one_failed_outcome(path: Path, sessions: int) -> None:
    service = FakeService()
    items = [*orders(1, 2, 1), *orders(*range(10, 50)), *orders(2)]
    for _ in range(sessions):
        outcomes = await service.map(path, items, key=name)
    assert len(outcomes) == len(items)
    failed = {outcome.index: outcome.error for outcome in outcomes if not outcome.ok}
    assert set(failed) == {2, 43}
    assert all(isinstance(error, InvalidRequestError) for error in failed.values())
    assert str(failed[2]) == "key '1' is that of item 0"
    assert str(failed[43]) == "key '2' is that of item 1"


@pytest.mark.parametrize("group", [1, 2, 1000])
@pytest.mark.parametrize("is_killed", [False, True])
async def test_another_payload_with_the_key_of_an_item_before_it_is_no_change_of_that_item(
    path: Path, is_killed: bool, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncinvoke._journal.comparing.GROUP", group)
    service = FakeService()
    items = [0, 1, 1.0, 2, 1.00001]
    await service.map(path, items, key=lambda item: str(int(item)))
    if is_killed:
        crash(path, sent=[1])
    items += [3]
    outcomes = await service.map(path, items, key=lambda item: str(int(item)))
    assert service.sent == [3]
    failed = {each.index: str(each.error) for each in outcomes if not each.ok}
    twice = "key '1' is that of item 1"
    assert [failed[2], failed[4]] == [twice, twice]
    assert set(failed) == ({1, 2, 4} if is_killed else {2, 4})
    with pytest.raises(JournalMismatchError, match="item '1' is not what it was"):
        await service.map(path, [0, 1.0, 1, 2, 3], key=lambda item: str(int(item)))


@pytest.mark.parametrize("batch", [None, 2])
async def test_items_that_no_journal_can_name_come_in_the_order_of_the_input(
    path: Path, batch: int | None
) -> None:
    """From the last of them, a continued output knows which of them it contains."""
    service = FakeService()
    options: dict[str, Any] = {"key": name, "batch": batch}
    await service.map(path, orders(1), **options)
    items = [*orders(1, 2, 2, 1), {"n": 0}, *orders(3, 3), {"n": 1}]
    outcomes = await service.map(path, items, **options)
    unnamed = [each for each in outcomes if isinstance(each.error, InvalidRequestError)]
    assert [each.index for each in unnamed] == [2, 3, 4, 6, 7]
    assert [each.key for each in unnamed] == ["2", "1", None, "3", None]


async def test_the_same_payload_twice_is_two_items_by_position(path: Path) -> None:
    service = FakeService()
    assert len(await service.map(path, [5, 5, 5])) == 3
    assert service.sent == [5, 5, 5]


async def test_an_item_that_cannot_be_sent_has_its_outcome_and_is_run_once_it_can(
    path: Path,
) -> None:
    service = FakeService()
    first = await service.map(path, [1, object(), 3])
    assert [outcome.index for outcome in first if not outcome.ok] == [1]
    again = await service.map(path, [1, object(), 3])
    assert [outcome.index for outcome in again if not outcome.ok] == [1]
    assert service.sent == []
    await service.map(path, [1, 2, 3])
    assert service.sent == [2]


@pytest.mark.parametrize("redrive", [Redrive.NOT_RUN, lambda outcome: True])
async def test_an_item_that_still_cannot_be_sent_is_redriven_into_another_failed_take(
    path: Path, redrive: Any
) -> None:
    service = FakeService(refused=[1])
    await service.map(path, [1, object()])
    for take in (2, 3):  # other redriven items are recorded, too
        again = await service.map(Journal(path, redrive=redrive), [1, object()])
        assert {(outcome.index, outcome.take) for outcome in again} == {(0, take), (1, take)}
    with open_run(path) as recorded:
        summary = recorded.summary()
        assert (summary.not_run, summary.may_have_run, summary.in_flight) == (2, 0, 0)
        item = recorded.item(position=1)
    assert item is not None
    assert [take.number for take in item.earlier] == [1, 2]


async def test_an_item_that_has_changed_into_one_that_cannot_be_sent_is_another_take(
    path: Path,
) -> None:
    keys: dict[str, Any] = {"key": lambda item: "a"}
    service = FakeService()
    await service.map(path, [1], **keys)
    (outcome,) = await service.map(Journal(path, changed=Changed.AGAIN), [object()], **keys)
    assert (outcome.ok, outcome.take) == (False, 2)


async def test_the_digest_is_that_of_the_bytes_and_of_what_a_request_overrides(path: Path) -> None:
    service = FakeService()
    await service.map(
        path,
        [
            {"a": 1},
            Request(payload={"a": 1}, timeout=5, idempotent=True, log_type="Tail"),
            Request(payload={"a": 1}, qualifier="live"),
            Request(payload={"a": 1}, tenant_id="t"),
        ],
    )
    with open_run(path) as recorded:
        digests = [recorded.item(position=index).digest for index in range(4)]  # type: ignore[union-attr]
    plain = hashlib.sha256(json.dumps({"a": 1}, separators=(",", ":")).encode()).hexdigest()[:24]
    assert digests[:2] == [plain, plain]
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    ("redrive", "wanted"),
    [
        (Redrive.NONE, []),
        (Redrive.NOT_RUN, [1]),
        (Redrive.FAILED, [1, 2]),
        (Redrive.MAY_HAVE_RUN, [3]),
        (Redrive.FAILED | Redrive.MAY_HAVE_RUN, [1, 2, 3]),
        (lambda outcome: outcome.index in (2, 3), [2, 3]),
    ],
    ids=["none", "not run", "failed", "may have run", "both", "a function"],
)
async def test_what_failed_is_redriven_by_its_cause(
    path: Path, redrive: Any, wanted: list[int]
) -> None:
    service = FakeService(refused=[1], failing=[2], lost=[3])
    await service.map(path, range(6))
    repaired = FakeService()
    again = await repaired.map(Journal(path, redrive=redrive), range(6))
    assert sorted(repaired.sent) == wanted
    assert indexes(again) == list(range(6))
    takes = {outcome.index: (outcome.take, outcome.ok, outcome.replayed) for outcome in again}
    for index in (1, 2, 3):
        assert takes[index] == ((2, True, False) if index in wanted else (1, False, True))
    with open_run(path) as recorded:
        assert recorded.summary().succeeded == 3 + len(wanted)
        assert sum(cause.count for cause in recorded.causes()) == 3 - len(wanted)
        for index in wanted:
            item = recorded.item(position=index)
            assert item is not None
            assert [take.number for take in item.earlier] == [1]
            assert item.earlier[0].state == ["not_run", "failed", "may_have_run"][index - 1]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncinvoke._journal.skimming.MOST", 64)
    # On a busy machine, a piece would end early.
    monkeypatch.setattr("asyncinvoke._journal.skimming.LONGEST_HOLD", math.inf)


async def test_a_long_input_is_skimmed_and_what_has_not_ended_in_the_middle_of_it_runs(
    path: Path, small_pieces: None
) -> None:
    journal = Journal(path, results=False)
    service = FakeService(lost=[140], refused=[181])
    await service.map(journal, range(200))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM item WHERE idx = 100")
        connection.commit()
    repaired = FakeService()
    outcomes = await repaired.map(journal, iter(range(210)))
    assert sorted(repaired.sent) == [100, *range(200, 210)]
    assert len(outcomes) == 11
    assert repaired.statistics is not None
    assert repaired.statistics.recorded == 199
    assert repaired.statistics.read == 210
    await repaired.map(Journal(path, results=False, redrive=Redrive.NOT_RUN), iter(range(210)))
    assert repaired.sent == [181]


@pytest.mark.parametrize("where", [0, 63, 64, 199])
async def test_a_change_is_found_wherever_it_is_in_a_long_input(
    path: Path, where: int, small_pieces: None
) -> None:
    journal = Journal(path, results=False)
    await FakeService().map(journal, range(200))
    changed = [*range(where), -1, *range(where + 1, 200)]
    for payloads in (changed, iter(changed)):
        service = FakeService()
        with pytest.raises(JournalMismatchError, match=f"item {where} is not what it was"):
            await service.map(journal, payloads)
        assert service.sent == []
    with pytest.raises(JournalMismatchError, match="the input has 199 items, and had 200"):
        await FakeService().map(journal, iter(range(199)))


async def test_what_the_input_raises_while_it_is_skimmed_comes_out_as_itself(
    path: Path, small_pieces: None
) -> None:
    journal = Journal(path, results=False)
    await FakeService().map(journal, range(200))

    def broken() -> Iterator[int]:
        yield from range(150)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await FakeService().map(journal, broken())
    # The items read before have their outcomes.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM item WHERE idx IN (3, 140, 160)")
        connection.commit()
    service = FakeService()
    with pytest.raises(OSError, match="gone"):
        await service.map(journal, broken())
    assert sorted(service.sent) == [3, 140]


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("where", [0, 1, 63, 64, 65, 128])
async def test_an_input_that_breaks_between_two_pieces_is_no_shorter_input(
    path: Path, where: int, keyed: bool, small_pieces: None
) -> None:
    journal = Journal(path, results=False)
    options: dict[str, Any] = {"key": str} if keyed else {}
    await FakeService().map(journal, range(200), **options)

    def broken() -> Iterator[int]:
        yield from range(where)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await FakeService().map(journal, broken(), **options)
    with open_run(path) as recorded:
        summary = recorded.summary()
        assert [each.status for each in summary.sessions] == ["complete", "left"]
        assert summary.total == 200


async def test_a_long_input_is_skimmed_by_key_as_far_as_it_is_in_the_same_order(
    path: Path, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[int] = []
    look_up = Lookups.look_up

    def counting(lookups: Lookups, reads: list[Any]) -> Any:
        looked_up.extend(each.index for each in reads)
        return look_up(lookups, reads)

    monkeypatch.setattr(Lookups, "look_up", counting)
    items = [{"id": f"é-{number}", "n": number} for number in range(300)]
    journal = Journal(path, results=False)
    await FakeService().map(journal, items, key=name)
    looked_up.clear()
    service = FakeService()
    new = {"id": "new", "n": 0}
    await service.map(journal, iter([*items, new]), key=name)
    assert (service.sent, looked_up) == ([new], [300])
    # From the first difference in order on, each item is looked up; duplicates are always found.
    looked_up.clear()
    swapped = [*items[:150], items[151], items[150], *items[152:], items[3], items[299]]
    outcomes = await service.map(journal, iter(swapped), key=name)
    assert service.sent == []
    assert [str(outcome.error) for outcome in outcomes] == [
        "key 'é-3' is that of item 3",
        "key 'é-299' is that of item 299",
    ]
    assert 128 <= min(looked_up) <= 150
    changed = [*items[:200], {**items[200], "n": -1}, *items[201:]]
    with pytest.raises(JournalMismatchError, match="item 'é-200' is not what it was"):
        await service.map(journal, iter(changed), key=name)
    renamed = [*items[:200], {**items[200], "id": "other"}, *items[201:]]
    await service.map(journal, iter(renamed), key=name)
    assert service.sent == [renamed[200]]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 90)), max_size=8))
def test_rows_that_are_seen_are_seen_whether_one_by_one_or_all_at_once(
    parts: list[tuple[int, int]],
) -> None:
    seen = SeenRows()
    for first, count in parts:
        seen.add_all(first, count)
    rows = {row for first, count in parts for row in range(first, first + count)}
    assert {row for row in range(400) if row in seen} == rows
    assert seen.count() == len(rows)


async def test_damage_that_is_met_while_it_is_skimmed_comes_out_as_itself(
    path: Path, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(path, results=False)
    await FakeService().map(journal, range(200))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE item RENAME COLUMN digest TO lost")
        connection.commit()
    service = FakeService()
    with pytest.raises(JournalError, match="no such column: digest"):
        await service.map(journal, iter(range(200)))
    assert service.sent == []


async def test_values_that_are_not_text_are_recorded(path: Path) -> None:
    class NonTextTransport(FakeService):
        async def send(self, *values: Any) -> Any:
            answer = await super().send(*values)
            if isinstance(answer, Reply) and answer.function_error:
                return replace(
                    answer,
                    payload=b'{"errorType": "\\ud800", "errorMessage": "\\udfff\\u0000 \\u00e9"}',
                    executed_version="\udc80",
                    request_id="\udc80",
                )
            return answer

    service = NonTextTransport(failing=[orders(2)[0]])
    items = [*orders(1, 2), {"id": "\ud800"}, {"id": "\u00e9"}]
    for _ in range(2):
        outcomes = await service.map(path, items, key=name)
        assert indexes(outcomes) == [0, 1, 2, 3]
        assert indexes(each for each in outcomes if not each.ok) == [1, 2]
        (unnamed,) = (each for each in outcomes if each.index == 2)
        assert "key must be Unicode text" in str(unnamed.error)
    with open_run(path) as recorded:
        assert {each.key for each in recorded.outcomes()} == {"1", "2", "\u00e9"}
        assert recorded.causes()[0].error_type == "\ufffd"


async def test_names_of_errors_that_are_made_up_do_not_fill_the_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncinvoke._journal.rows.MOST_CAUSES", 5)

    class InventedErrorsTransport(FakeService):
        async def send(self, *values: Any) -> Any:
            answer = await super().send(*values)
            assert isinstance(answer, Reply)
            made_up = f"E{values[1].decode()}{'x' * 5000}"
            error = json.dumps({"errorType": made_up, "errorMessage": "x"})
            return replace(answer, payload=error.encode(), function_error="Unhandled")

    await InventedErrorsTransport().map(path, range(20))
    with open_run(path) as recorded:
        causes = recorded.causes()
        assert len(causes) == 6
        assert (causes[0].error_type, causes[0].count) == ("of other kinds", 15)
        assert max(len(each.error_type or "") for each in causes) == LONGEST_NAME + len("...")
        late = recorded.outcome(position=19)
    assert late is not None
    assert isinstance(late.error, FunctionError)
    assert late.error.error_type == f"E19{'x' * 5000}"


async def test_codes_that_are_made_up_do_not_fill_the_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncinvoke._journal.rows.MOST_CAUSES", 5)

    class InventedCodesTransport(FakeService):
        async def send(self, *values: Any) -> Any:
            await super().send(*values)
            return Failure(status_code=400, code=f"Made{values[1].decode()}Up", message="no")

    await InventedCodesTransport().map(path, range(40))
    with open_run(path) as recorded:
        causes = recorded.causes()
        assert [(causes[0].code, causes[0].count), len(causes)] == [(None, 30), 11]
        known = {key_of(cause) for cause in causes}
        outcomes = list(recorded.outcomes())
    recorded_as = [cause_among(each.error, known) for each in outcomes if each.error is not None]
    assert Counter(recorded_as) == {key_of(cause): cause.count for cause in causes}


async def test_nothing_that_was_read_ahead_of_a_difference_is_sent(path: Path) -> None:
    await FakeService().map(path, range(40))
    service = FakeService()
    with pytest.raises(JournalMismatchError, match="item 20 is not what it was"):
        await service.map(path, streamed([*range(20), -1, *range(21, 400)]), concurrency=64)
    assert service.sent == []
    with open_run(path) as recorded:
        # The refused session is not recorded.
        assert [each.status for each in recorded.summary().sessions] == ["complete"]
        assert recorded.summary().total == 40
