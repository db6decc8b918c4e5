"""A process that runs a map is killed and the run continued: nothing runs twice, nothing is lost."""

import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncinvoke import Delivery, GaveUp, InvocationError, Outcome
from asyncinvoke.runs import open_run
from tests.journal import killing, mapper
from tests.journal.killing import Endpoint, Mapper, Unfinished

ITEMS = 300


@pytest.fixture(scope="module")
def started() -> Iterator[Mapper]:
    with Mapper() as process:
        yield process


def killed(
    process: Mapper, endpoint: Endpoint, journal: Path, at: int, **asked: object
) -> tuple[Unfinished, set[int]]:
    """Run until the given request, where the process is killed; return what is left, and what was seen."""
    endpoint.arm(at)
    endpoint.aim(process.start(url=endpoint.server.url, journal=str(journal), items=ITEMS, **asked))
    assert process.ended() == 9, "it ended before it was killed"
    endpoint.settled()
    return killing.inspect_journal(journal), set(endpoint.seen)


@pytest.mark.parametrize(
    ("backend", "keyed", "ordered"),
    [("asyncio", False, False), ("trio", True, False), ("asyncio", True, True)],
)
def test_no_item_is_seen_twice_and_those_in_doubt_are_named(
    started: Mapper, tmp_path: Path, backend: str, keyed: bool, ordered: bool
) -> None:
    journal, chance = tmp_path / "orders.run", random.Random(f"{backend}{keyed}{ordered}")
    doubtful: set[int] = set()
    with killing.endpoint() as endpoint:
        for _ in range(2):
            left, seen = killed(
                started,
                endpoint,
                journal,
                chance.randint(1, ITEMS // 4),
                backend=backend,
                keyed=keyed,
                ordered=ordered,
            )
            # Items that the endpoint has seen and that have not ended are in doubt,
            assert seen - left.recorded <= left.unknown
            # and no others, except for requests on their way at that moment.
            assert len(left.unknown - (seen - left.recorded)) <= mapper.CONCURRENCY
            assert not left.unknown & left.recorded
            doubtful |= left.unknown
        outcomes = mapper.run(
            backend, endpoint.server.url, str(journal), ITEMS, keyed=keyed, ordered=ordered
        )
        assert max(Counter(endpoint.seen).values()) == 1
        assert set(endpoint.seen) | doubtful == set(range(ITEMS))
    assert sorted(outcome.index for outcome in outcomes) == list(range(ITEMS))
    assert {outcome.index for outcome in outcomes if is_lost(outcome)} == doubtful
    assert all(outcome.ok for outcome in outcomes if outcome.index not in doubtful)
    if ordered:
        assert [outcome.index for outcome in outcomes] == list(range(ITEMS))
    assert killing.inspect_journal(journal).recorded == set(range(ITEMS))


def is_lost(outcome: Outcome) -> bool:
    if mapper.code(outcome) != "ProcessLost":
        return False
    assert isinstance(outcome.error, InvocationError)
    assert outcome.error.delivery is Delivery.UNKNOWN
    assert outcome.error.gave_up is GaveUp.DELIVERY_UNKNOWN
    return True


def test_an_idempotent_run_omits_no_item_and_reports_those_run_again(
    started: Mapper, tmp_path: Path
) -> None:
    journal = tmp_path / "orders.run"
    with killing.endpoint() as endpoint:
        left, _ = killed(started, endpoint, journal, 70, backend="trio", idempotent=True)
        outcomes = mapper.run("asyncio", endpoint.server.url, str(journal), ITEMS, idempotent=True)
        assert set(endpoint.seen) == set(range(ITEMS))
    assert all(outcome.ok for outcome in outcomes)
    again = {outcome.index for outcome in outcomes if outcome.attempts[0].code == "ProcessLost"}
    assert again == left.unknown
    for outcome in outcomes:
        if outcome.index in again:
            assert [attempt.number for attempt in outcome.attempts] == [1, 2]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_that_is_interrupted_records_what_it_leaves(
    started: Mapper, tmp_path: Path, backend: str
) -> None:
    journal = tmp_path / "orders.run"
    with killing.endpoint() as endpoint:
        endpoint.arm(100)
        endpoint.aim(
            started.start(
                url=endpoint.server.url, journal=str(journal), items=ITEMS, backend=backend
            ),
            signal.SIGINT,
        )
        status = started.ended()
        assert status not in (0, 9)
        endpoint.settled()
        seen = set(endpoint.seen)
        with open_run(journal) as recorded:
            assert recorded.summary().sessions[-1].status == "left"
            assert {outcome.index for outcome in recorded.outcomes()} >= seen
            unknown = {item.position for item in recorded.unknown()}
        outcomes = mapper.run(backend, endpoint.server.url, str(journal), ITEMS)
        assert max(Counter(endpoint.seen).values()) == 1
    assert len(outcomes) == ITEMS
    assert not [outcome for outcome in outcomes if is_lost(outcome)]
    assert {outcome.index for outcome in outcomes if not outcome.ok} == unknown
