"""What `runs redrive` runs again, and with which settings; and when it runs nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke import Invoker, Journal, Redrive
from asyncinvoke.cli.app import run as command
from asyncinvoke.cli.map import whole_output
from asyncinvoke.cli.map.settings import COMMAND, Bulk
from asyncinvoke.runs import open_run
from asyncinvoke.testing import FakeLambda
from tests.cli.test_processes import bulk
from tests.journal.crashes import crash


def charge(event: int, context: object) -> int:
    if event in (4, 9):
        raise ValueError("no such account")
    return event


async def work(path: Path, function: Callable[..., Any], key: Any, settings: Bulk) -> None:
    journal = Journal(path, notes={COMMAND: settings.as_note()})
    async with (
        Invoker(transport=FakeLambda({"f": function})) as invoker,
        invoker.map("f", range(10), journal=journal, key=key, concurrency=1) as run,
    ):
        async for _ in run:
            pass


@pytest.fixture
def run_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Path, list[Bulk]]]:
    """Return a function that records a run, and the settings of its redrives, which run nothing."""
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text("".join(f"{number}\n" for number in range(10)), encoding="utf-8")

    def run_with(
        function: Callable[..., Any] = charge, key: Any = None, **settings: Any
    ) -> tuple[Path, list[Bulk]]:
        path, redriven = tmp_path / "o.run", list[Bulk]()
        anyio.run(work, path, function, key, bulk(journal="o.run", **settings))

        def run_with_output(settings: Bulk, _: object) -> int:
            redriven.append(settings)
            return 3

        monkeypatch.setattr(whole_output, "run_with_output", run_with_output)
        return path, redriven

    return run_with


RunWith = Callable[..., tuple[Path, list[Bulk]]]


def redrive(*words: str) -> int:
    return command(["runs", "redrive", "o.run", *words])


def chosen(settings: Bulk) -> list[int]:
    matches = settings.redrive
    assert callable(matches)
    with open_run("o.run") as run:
        return [each.index for each in run.outcomes() if matches(each)]


def test_a_redrive_has_the_settings_of_the_run_but_for_those_that_are_given(
    run_with: RunWith,
) -> None:
    _, redriven = run_with(concurrency=7, batch=5, ordered=True)
    assert redrive() == 3
    assert redrive("--concurrency", "2", "--batch", "1") == 3
    assert [(each.concurrency, each.batch) for each in redriven] == [(7, 5), (2, 1)]
    for each in redriven:
        assert not each.ordered
        assert chosen(each) == [4, 9]


def test_items_are_chosen_by_their_keys(
    run_with: RunWith, capsys: pytest.CaptureFixture[str]
) -> None:
    path, redriven = run_with(key=str)
    assert redrive("--key", "9", "--key", "1") == 3
    assert [chosen(each) for each in redriven] == [[9]]
    assert redrive("--key", "1") == 2
    assert "no failed item matches" in capsys.readouterr().err
    assert len(redriven) == 1
    crash(path, sent=[5])
    assert command(["runs", "settle", "o.run", "--key", "5", "--ran"]) == 0
    assert capsys.readouterr().out == "key '5': it ran\n"


def test_where_nothing_failed_nothing_is_run_and_that_is_well(
    run_with: RunWith, capsys: pytest.CaptureFixture[str]
) -> None:
    _, redriven = run_with(lambda event, _: event)
    assert redrive() == 0
    assert capsys.readouterr().err == "o.run: nothing failed\n"
    assert redrive("--may-have-run") == 0
    assert capsys.readouterr().err == "o.run: no item is in doubt\n"
    assert redriven == []


def test_what_may_have_run_is_run_only_after_a_yes(
    run_with: RunWith, capsys: pytest.CaptureFixture[str]
) -> None:
    path, redriven = run_with()
    crash(path, sent=[5, 6])
    assert redrive("--may-have-run") == 2
    assert "2 items may have run. Run them again? Check them first" in capsys.readouterr().err
    assert redriven == []
    assert redrive("--may-have-run", "--yes") == 3
    assert [each.redrive for each in redriven] == [Redrive.MAY_HAVE_RUN]


def test_what_the_run_cannot_be_redriven_with_is_refused(
    run_with: RunWith, capsys: pytest.CaptureFixture[str]
) -> None:
    _, redriven = run_with()
    assert redrive("--batch", "1") == 2
    assert "--batch does not apply: the run was not batched" in capsys.readouterr().err
    Path("in.jsonl").unlink()
    assert redrive() == 2
    assert "its input" in capsys.readouterr().err
    assert redriven == []
