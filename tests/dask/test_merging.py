"""The journals of a run on a cluster are merged while others of its shards still run."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from asyncinvoke import ConfigurationError, Invoker, JournalError, Shard
from asyncinvoke._dask.merging import AT_ONCE, Merger
from asyncinvoke._dask.plan import Control, Plan, read_control
from asyncinvoke._dask.run import DaskRun
from asyncinvoke._dask.starting import start
from asyncinvoke._journal.merging import Merging
from asyncinvoke.runs import open_run
from asyncinvoke.testing import FakeLambda

SHARDS = AT_ONCE + 2


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    plan = Plan(
        id="a",
        function_name="f",
        source=None,
        directory=str(tmp_path),
        shards=SHARDS,
        workers=1,
        concurrency=None,
        invoker={},
        options={},
    )

    async def work() -> None:
        async with Invoker(transport=FakeLambda({"f": lambda event, context: event})) as invoker:
            for number in range(1, SHARDS + 1):
                shard = Shard(number, of=SHARDS)
                async with invoker.map(
                    "f", range(40), journal=plan.journal(number), shard=shard
                ) as run:
                    async for _ in run:
                        pass

    anyio.run(work)
    return plan


def test_what_has_ended_is_merged_as_soon_as_it_is_worth_it(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[list[str]] = []
    add = Merging.add

    def counted(self: Any, paths: Sequence[Path]) -> None:
        added.append([path.name for path in paths])
        add(self, paths)

    monkeypatch.setattr(Merging, "add", counted)
    merger = Merger(plan)
    for number in (*range(SHARDS, 0, -1),):
        merger.ended(number)
    merged = merger.finish()
    assert [len(names) for names in added] == [AT_ONCE, SHARDS - AT_ONCE]
    assert (merged.parts, merged.items, merged.missing, merged.ran_twice) == (SHARDS, 40, (), 0)
    assert merger.finish() is merged
    with open_run(plan.merged) as recorded:
        assert [outcome.index for outcome in recorded.outcomes()] == list(range(40))
        assert recorded.summary().total == 40
        assert len(recorded.summary().sessions) == SHARDS


def test_shards_that_failed_or_never_began_are_merged_as_far_as_they_came(plan: Plan) -> None:
    plan.journal(3).unlink()
    merger = Merger(plan)
    merged = merger.finish()
    assert (merged.parts, merged.missing) == (SHARDS - 1, (f"3/{SHARDS}",))


def test_what_is_abandoned_leaves_nothing(plan: Plan) -> None:
    merger = Merger(plan)
    for number in range(1, AT_ONCE + 1):
        merger.ended(number)
    merger.abandon()
    assert not [path for path in Path(plan.directory).iterdir() if "merged" in path.name]
    with pytest.raises(JournalError, match="closed before its journals were merged"):
        merger.finish()


def test_a_journal_that_cannot_be_used_is_the_error_of_the_end(plan: Plan) -> None:
    plan.journal(1).write_bytes(b"no journal")
    merger = Merger(plan)
    for number in range(1, SHARDS + 1):
        merger.ended(number)
    with pytest.raises(JournalError, match="1of10"):
        merger.finish()
    assert not plan.merged.exists()


def test_what_was_recorded_after_the_merge_is_not_merged_away(plan: Plan) -> None:
    client: Any = SimpleNamespace(asynchronous=False, status="running", nthreads=dict)

    def again() -> str:
        options: Any = {"shards": SHARDS, "concurrency": None, "invoker": None, "options": {}}
        with pytest.raises(ConfigurationError) as raised:
            start(client, "f", [], directory=plan.directory, **options)
        return str(raised.value)

    async def append() -> None:
        async with (
            Invoker(transport=FakeLambda({"f": lambda event, context: event})) as invoker,
            invoker.map("f", range(41), journal=plan.merged) as run,
        ):
            async for _ in run:
                pass

    merger = Merger(plan)
    assert merger.finish().items == 40
    assert "the cluster has no workers" in again()
    anyio.run(append)
    assert f"{plan.merged}: it has since run by itself" in again()


class Cluster:
    """A client whose shards end as given, without running; it may lose its connection."""

    asynchronous = False

    def __init__(
        self,
        errors: Sequence[Exception | None],
        *,
        status: str = "running",
        ends: str = "finished",
    ) -> None:
        self.status = status
        self._ends = ends
        self._errors = list(errors)

    def submit(self, *_: Any, **__: Any) -> Any:
        error = self._errors.pop(0)
        return SimpleNamespace(
            exception=lambda: error,
            status=self._ends,
            cancel=self._cancel,
            done=lambda: True,
            add_done_callback=lambda _: None,
        )

    def _cancel(self) -> None:
        assert self.status != "closed", "Dask raises a ClosedClientError"

    def run(self, *_: Any, **__: Any) -> None:
        assert self.status == "running", "it would wait until it is connected again"
        raise ConnectionError("closed")


def test_a_cluster_that_is_lost_is_one_error_of_ours_and_workers_stop(plan: Plan) -> None:
    for status in ("running", "connecting", "closed"):
        cluster = Cluster([None] * SHARDS, status=status, ends="cancelled")
        with (
            pytest.raises(ConfigurationError, match="the same call continues the run"),
            DaskRun(cluster, plan, 1) as run,
        ):
            run.result()
    assert read_control(plan.control) == Control(stopped=True)
    with open_run(plan.merged) as recorded:  # what is recorded is merged nevertheless
        assert recorded.summary().succeeded == 40


def test_an_error_of_dask_is_one_of_ours_and_an_error_of_the_input_is_itself(plan: Plan) -> None:
    class KilledWorker(Exception):  # noqa: N818  # Dask's name
        __module__ = "distributed.scheduler"

    for error, raised in (
        (KilledWorker("all died"), ConfigurationError),
        (LookupError("all died"), LookupError),
    ):
        cluster = Cluster([None] * (SHARDS - 1) + [error])
        with DaskRun(cluster, plan, 1) as run, pytest.raises(raised, match="all died"):
            run.result()
