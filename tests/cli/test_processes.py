"""`asyncinvoke map --processes`: one run on several processes, one summary, one Ctrl-C."""

import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke import JournalError, Shard
from asyncinvoke._report.standing import pending_of
from asyncinvoke.cli import open_files
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map.settings import Bulk
from asyncinvoke.cli.map.summary import Remaining
from asyncinvoke.cli.options import SharedOptions
from asyncinvoke.cli.processes.dividing import (
    LastMessages,
    check,
    divided,
    is_one,
    message,
    part_of,
    worst,
)
from asyncinvoke.cli.processes.part import bulk_of, settings_of
from asyncinvoke.cli.processes.run import run_processes
from asyncinvoke.cli.runs.parts import all_parts, is_running, running_parts
from asyncinvoke.local import LocalLambda
from asyncinvoke.runs import merge, open_run, settle
from tests.doubles.forked import run_forked
from tests.journal.fake_service import FakeService
from tests.journal.killing import ROOT

from .processes import COMMAND, LineReader, Run, started


def bulk(**settings: Any) -> Bulk:
    shared: Any = dict.fromkeys(SharedOptions.__annotations__)
    given: dict[str, Any] = {
        "function_name": "f",
        "source": "in.jsonl",
        "format": None,
        "key": None,
        "payload_template": None,
        "head": None,
        "rate": None,
        "concurrency": 10,
        "ordered": False,
        "invocation_type": "RequestResponse",
        "tolerance": None,
        "retries": None,
        "retry_function_errors": False,
        "journal": None,
        "grace": 30.0,
        "output": None,
        "force": False,
        "progress": "auto",
        "shared": {**shared, "idempotent": False},
    }
    return Bulk(**{**given, **settings})


def test_what_a_run_may_do_is_shared_out_among_its_processes() -> None:
    parts = divided(bulk(rate=30.0, journal="a.run", ordered=True, output="o", batch=5), 3)
    assert [part.shard for part in parts] == ["1/3", "2/3", "3/3"]
    assert [part.concurrency for part in parts] == [4, 3, 3]
    assert [part.journal for part in parts] == ["a.run.1of3", "a.run.2of3", "a.run.3of3"]
    assert {(part.rate, part.output, part.ordered, part.batch) for part in parts} == {
        (10.0, None, False, 5)
    }
    assert {part.output for part in divided(bulk(output="o"), 2)} == {"-"}


def test_a_process_gets_its_settings_as_they_are() -> None:
    for part in divided(bulk(journal="a.run", batch=5, shape="sqs", head=7, key="/id"), 2):
        assert bulk_of(json.loads(json.dumps(settings_of(part)))) == part


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only /proc names what is open")
def test_a_process_reads_a_file_that_is_open_in_the_first_one_alone(tmp_path: Path) -> None:
    path = tmp_path.resolve() / "in.jsonl"
    with path.open("w") as file:
        for part in divided(bulk(source=f"/dev/fd/{file.fileno()}"), 2):
            assert bulk_of(settings_of(part)).source == str(path)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"source": "-"}, "a file, not standard input"),
        ({"shard": "1/2"}, "--processes and --shard exclude each other"),
        ({"ordered": True}, "--ordered needs a --journal"),
        ({"ordered": True, "journal": "a.run", "key": "/id"}, "a keyed journal has no positions"),
        ({"concurrency": 2}, "it must be at least 3"),
    ],
)
def test_what_cannot_be_divided_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        check(bulk(**settings), 3)


def test_a_pipe_whose_lines_each_go_to_one_process_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in.jsonl")
    reading, writing = os.pipe()
    try:
        for pipe in (f"{tmp_path}/in.jsonl", f"/dev/fd/{reading}"):
            with pytest.raises(CommandError, match=f"a file, not the pipe {pipe}$"):
                check(bulk(source=pipe), 3)
    finally:
        os.close(reading)
        os.close(writing)
    check(bulk(source="s3://bucket/in.jsonl"), 3)


def test_a_run_of_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "a.run"
    (tmp_path / "a.run.1of4").write_text("x")
    with pytest.raises(CommandError, match="it was run with --processes 4"):
        check(bulk(journal=str(journal)), 3)
    check(bulk(journal=str(journal)), 4)


@pytest.mark.parametrize("kind", ["text", "database", "broken header"])
def test_a_file_that_is_not_a_journal_is_refused_and_kept(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    if kind == "text":
        path.write_text("precious")
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE precious (n)")
        if kind == "broken header":
            path.write_bytes(bytes(100) + path.read_bytes()[100:])
    before = path.read_bytes()
    with pytest.raises(JournalError, match="it is not a journal"):
        check(bulk(journal=str(path)), 2)
    assert path.read_bytes() == before


@pytest.mark.parametrize("number", [None, 0, 1])
def test_an_output_is_never_a_journal_of_the_run_or_of_one_of_its_processes(
    number: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_files, "raise_open_files", lambda: None)
    (tmp_path / "in.jsonl").write_text("1\n2\n")
    journal = str(tmp_path / "a.run")
    of_two = bulk(source=str(tmp_path / "in.jsonl"), journal=journal)
    output = journal if number is None else divided(of_two, 2)[number].journal
    with pytest.raises(CommandError, match=f"output {output} is"):
        run_processes(replace(of_two, output=output), 2)
    assert [each.name for each in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_cannot_become_a_journal_is_refused_before_anything_is_sent(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.run"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")
    with pytest.raises(JournalError, match=f"a.run: it is a {kind}"):
        check(bulk(journal=str(path)), 2)


def test_what_was_settled_once_the_parts_were_merged_is_not_merged_away(tmp_path: Path) -> None:
    parts = [tmp_path / f"a.run.{number}of2" for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        service = FakeService(lost=[3])
        anyio.run(partial(service.map, part, range(8), shard=Shard(number, of=2)))
    journal = tmp_path / "a.run"
    merge(journal, parts)
    check(bulk(journal=str(journal)), 2)
    assert not is_one(str(journal))
    settle(journal, position=3, ran=False)
    assert is_one(str(journal))
    service = FakeService()
    anyio.run(partial(service.map, journal, range(8)))
    assert service.sent == [3]


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([0, 0], 0),
        ([0, 1], 1),
        ([1, 4, 0], 4),
        ([4, 3], 3),
        ([2, 2], 2),
        ([2, 0], 1),
        ([0, -9], 4),
        ([-9], 4),
        ([130, 130], 130),
    ],
)
def test_the_status_of_all_is_the_worst(statuses: list[int], status: int) -> None:
    assert worst(statuses) == status


def test_the_reports_of_processes_are_combined() -> None:
    printed = LastMessages()
    failure = {"error": "E", "code": None, "message": "m", "count": 2}
    base: dict[str, Any] = {"earlier": 1, "in_flight": 3, "throttles": 1, "rate": 5.0}
    printed.add(1, {**base, "ok": 4, "failed": 2, "total": 50, "failures": []})
    assert printed.counts(1.0, processes=2).total is None
    printed.add(1, {**base, "ok": 4, "failed": 2, "failures": [{**failure, "line": 9, "item": 8}]})
    printed.add(2, {**base, "ok": 4, "failed": 2, "failures": [{**failure, "line": 2, "item": 1}]})
    printed.ended(2)
    counts = printed.counts(2.0, processes=2)
    assert (counts.succeeded, counts.failed, counts.earlier, counts.throttles) == (8, 4, 2, 2)
    assert (counts.in_flight, counts.rate) == (3, 5.0)
    ((group),) = printed.tally().groups()
    assert (group.count, group.line, group.item) == (4, 2, 1)
    assert message(b"asyncinvoke: error: no") is None
    assert message(b"3") is None


def test_the_remaining_items_of_processes_are_combined() -> None:
    printed = LastMessages()
    assert printed.left(processes=2) == Remaining(without_outcome=0, may_have_run=0, last_line=0)
    left = {"without_outcome": 5, "may_have_run": 2, "last_line": 40, "not_written": 1}
    printed.add(1, {"in_flight": 0, "left": left})
    printed.add(
        2, {"in_flight": 3}
    )  # one process was one process was killed before its last message
    together = Remaining(without_outcome=8, may_have_run=5, last_line=None, not_written=1)
    assert printed.left(processes=2) == together
    batches = printed.left(processes=2, batch=10)
    assert batches is not None
    assert (batches.without_outcome, batches.may_have_run) == (35, 32)
    printed.add(1, {"in_flight": 0, "left": None, "may_have_run": 2})
    printed.add(2, {"in_flight": 0, "left": None, "may_have_run": 1})
    assert printed.left(processes=2) is None
    assert printed.tally().in_doubt == 3
    # The requests of one process count even if another was killed before it read a line.
    assert printed.left(processes=3) == Remaining(without_outcome=0, may_have_run=0, last_line=None)


@pytest.mark.anyio
async def test_interrupted_processes_report_what_is_left_and_may_have_run(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    began = anyio.Event()
    seen: list[int] = []

    async def held(event: Any, context: Any) -> None:
        seen.append(event)
        if len(seen) == 4:
            began.set()
        await anyio.sleep_forever()

    endpoint.function("held", held, timeout=60)
    (tmp_path / "in.jsonl").write_text("".join(f"{n}\n" for n in range(400)), encoding="utf-8")
    command = ("map", "held", "in.jsonl", "--processes", "2", "-c", "4", "-u", endpoint.url)
    with anyio.fail_after(60):
        async with started(*command, cwd=tmp_path) as process:
            await began.wait()
            process.send_signal(signal.SIGINT)
            printed = await LineReader(process.stderr).all()
            assert await process.wait() == 130
    assert printed.splitlines()[-1].startswith("unfinished: ")
    assert printed.endswith(
        " lines without an outcome, 4 of them may have run; no further line was sent\n"
    )


async def fail_odd(event: Any, context: Any) -> Any:
    if event["n"] == 7:
        raise ValueError("seven")
    return event["n"]


@pytest.mark.anyio
async def test_processes_make_one_run_with_one_summary_and_one_output(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    endpoint.function("odd", fail_odd)
    (tmp_path / "in.jsonl").write_text(
        "".join(f'{{"n": {n}}}\n' for n in range(60)), encoding="utf-8"
    )
    command = ("map", "odd", "in.jsonl", "--processes", "2", "--endpoint-url", endpoint.url)
    ended = await run(*command, "--journal", "a.run", "--output", "out.jsonl", "--ordered")
    assert ended.status == 1, ended.err
    assert "60 outcomes in " in ended.err
    assert "59 succeeded, 1 failed" in ended.err
    assert "1 FunctionError ValueError, such as line 8: seven" in ended.err
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == list(range(60))
    assert [line["index"] for line in lines if not line["ok"]] == [7]
    assert endpoint.statistics().invocations == 60


FULL = """
import errno, os
from asyncinvoke.cli import main

close = os.close

def close_on_a_full_disk(descriptor):
    is_output = os.path.exists("out") and os.path.samestat(os.stat("out"), os.fstat(descriptor))
    close(descriptor)
    if is_output:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

os.close = close_on_a_full_disk
main()
"""


@pytest.mark.anyio
async def test_the_summary_of_processes_is_printed_also_if_their_output_cannot_be_closed(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    (tmp_path / "full.py").write_text(FULL, encoding="utf-8")
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    command = ("map", "echo", "in.jsonl", "--processes", "2", "--output", "out", "-u", endpoint.url)
    with anyio.fail_after(60):
        ended = await run_forked("full.py", *command, cwd=tmp_path)
    first, last = ended.err.splitlines()
    assert first.startswith("2 outcomes in ")
    assert last == "asyncinvoke: error: cannot write out: No space left on device"
    assert ended.status == 1


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@needs_full
@pytest.mark.anyio
async def test_a_full_disk_ends_all_processes_and_every_line_is_accounted_for(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text(
        "".join(f'{{"n": {n}}}\n' for n in range(300)), encoding="utf-8"
    )
    ended = await run(
        *("map", "echo", "in.jsonl", "--processes", "2", "--output", "/dev/full"),
        *("--progress", "json", "-u", endpoint.url),
    )
    assert ended.status == 1
    *_, summary, error = ended.err.splitlines()
    assert error == "asyncinvoke: error: cannot write /dev/full: No space left on device"
    said = json.loads(summary)
    assert said["done"] == said["left"]["not_written"] > 0
    assert said["left"]["may_have_run"] <= said["left"]["without_outcome"]
    assert said["left"]["without_outcome"] + said["done"] <= 300


@needs_full
@pytest.mark.anyio
async def test_the_summary_of_a_recorded_run_is_printed_also_if_its_output_cannot_be_written(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    ended = await run(
        *("map", "echo", "in.jsonl", "--processes", "2", "--output", "/dev/full"),
        *("--journal", "o.run", "-u", endpoint.url),
    )
    assert ended.status == 1
    counts, whole, error = ended.err.splitlines()
    assert counts.startswith("2 outcomes in ")
    assert whole.startswith("o.run: 2 succeeded, 0 failed, ")
    assert error == "asyncinvoke: error: cannot write /dev/full: No space left on device"


UNMERGED = """
import sys
from asyncinvoke import JournalError
from asyncinvoke.cli import main
from asyncinvoke.cli.processes import run

def merge_on_a_full_disk(path, *_, **__):
    raise JournalError(f"{path}: the disk is full")

run.merge = merge_on_a_full_disk
main()
"""


@pytest.mark.anyio
async def test_the_summary_of_processes_is_printed_also_if_their_journals_cannot_be_merged(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    (tmp_path / "full.py").write_text(UNMERGED, encoding="utf-8")
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    command = ("map", "echo", "in.jsonl", "--processes", "2", "--journal", "o.run")
    with anyio.fail_after(60):
        ended = await run_forked("full.py", *command, "-u", endpoint.url, cwd=tmp_path)
    counts, error = ended.err.splitlines()
    assert counts.startswith("2 outcomes in ")
    assert error.startswith("asyncinvoke: error: o.run: the disk is full: the same command")
    assert ended.status == 1


@pytest.mark.anyio
async def test_processes_import_what_their_parent_does_and_nothing_of_the_current_directory(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('of the directory')")
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    command = ("map", "echo", "in.jsonl", "--processes", "2", "--endpoint-url", endpoint.url)
    with anyio.fail_after(60):
        ended = await anyio.run_process(
            # `-P` as with the installed command: the current directory is not on the path.
            [sys.executable, "-P", "-m", "asyncinvoke", *command],
            cwd=tmp_path,
            # Settings are passed as bytes, whatever the terminal's encoding.
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-16"},
            check=False,
        )
    assert ended.returncode == 0, ended.stderr.decode("utf-16")
    assert len(ended.stdout.splitlines()) == 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("output", "processes"),
    [
        ("out.jsonl", ("--processes", "2")),
        ("out.jsonl.gz", ("--processes", "2")),
        ("out.jsonl.gz", ()),
    ],
)
async def test_items_without_a_unique_key_fail_and_are_reported(
    endpoint: LocalLambda, run: Run, tmp_path: Path, output: str, processes: tuple[str, ...]
) -> None:
    rows = [{"id": "a"}, {}, {"id": "b"}, {"n": 1}]
    (tmp_path / "in.jsonl").write_text(
        "".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8"
    )
    ended = await run(
        *("map", "echo", "in.jsonl", *processes, "--key", "/id", "--journal", "a.run"),
        *("--output", output, "--endpoint-url", endpoint.url),
    )
    assert ended.status == 1, ended.err
    says = f"{output}: lacks 2 outcomes that are not in the journal"
    assert says in ended.err
    with open_run(tmp_path / "a.run") as recorded:
        summary = recorded.summary()
    assert (summary.succeeded, summary.notes["unrecorded"]) == (2, 2)
    assert (pending_of(summary), summary.complete) == (0, True)


@pytest.mark.anyio
async def test_a_complete_run_with_a_changed_line_is_no_success(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    command = ("map", "echo", "in.jsonl", "--processes", "2", "--journal", "a.run")
    (tmp_path / "in.jsonl").write_text("1\n2\n3\n4\n")
    assert (await run(*command, "--endpoint-url", endpoint.url)).status == 0
    (tmp_path / "in.jsonl").write_text("1\n2\n3\n5\n")
    ended = await run(*command, "--endpoint-url", endpoint.url)
    assert "a.run.2of2: the input is not that of the run: item 3 is not what it was" in ended.err
    assert "process 2 could not start" in ended.err
    assert ended.status == 1
    assert endpoint.statistics().invocations == 4


@pytest.mark.anyio
async def test_the_outputs_of_processes_become_the_output_of_the_run(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    is_broken = True

    async def repaired(event: Any, context: Any) -> Any:
        return await fail_odd({"n": event["n"] if is_broken else 0}, context)

    endpoint.function("odd", repaired)
    (tmp_path / "in.jsonl").write_text(
        "".join(f'{{"n": {n}}}\n' for n in range(20)), encoding="utf-8"
    )
    output = tmp_path / "out.jsonl"
    command = (
        *("map", "odd", "in.jsonl", "--processes", "2", "--endpoint-url", endpoint.url),
        *("--journal", "a.run", "--output", "out.jsonl", "--progress", "json"),
        *("--client-context", '{"token": "hunter2"}'),
    )
    output.write_text("not ours")
    ended = await run(*command)
    assert (ended.status, output.read_text("utf-8")) == (2, "not ours")
    assert endpoint.statistics().invocations == 0
    output.unlink()

    async def indexes(*again: str, status: int) -> list[int]:
        ended = await run(*again)
        assert ended.status == status, ended.err
        assert "hunter2" not in ended.err
        if again is command:
            printed = json.loads(ended.err.splitlines()[-1])
            assert printed["run"]["not_started"] == 0
            assert "notes" not in printed["run"]
        assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.jsonl"]
        return [json.loads(line)["index"] for line in output.read_text("utf-8").splitlines()]

    assert await indexes(*command, status=1) == list(range(20))
    output.write_text("")  # it is written again, whatever state it is in
    assert await indexes(*command, status=1) == list(range(20))
    is_broken = False
    assert await indexes("runs", "redrive", "a.run", status=0) == [*range(20), 7]
    assert endpoint.statistics().invocations == 21
    # The same command goes on, also now that its parts lack what the redrive did.
    with (tmp_path / "in.jsonl").open("a") as rows:
        rows.write('{"n": 20}\n')
    assert sorted(await indexes(*command, status=0)) == sorted([*range(21), 7])
    assert endpoint.statistics().invocations == 22


@pytest.mark.anyio
async def test_one_ctrl_c_drains_all_processes_and_the_same_command_continues(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    release, began = anyio.Event(), anyio.Event()
    seen: list[int] = []
    pace = 0.05  # the items started before the signal arrives are only part of the input

    async def held(event: Any, context: Any) -> Any:
        seen.append(event["n"])
        if len(seen) == 4:
            began.set()
        await release.wait()
        await anyio.sleep(pace)

    endpoint.function("held", held, timeout=60)
    source, journal = tmp_path / "in.jsonl", tmp_path / "a.run"
    source.write_text("".join(f'{{"n": {n}}}\n' for n in range(400)), encoding="utf-8")
    command = (
        *("map", "held", str(source), "--processes", "2", "--concurrency", "4"),
        *("--journal", str(journal), "--endpoint-url", endpoint.url),
    )
    with anyio.fail_after(60):
        async with started(*command, cwd=tmp_path) as process:
            await began.wait()
            process.send_signal(signal.SIGINT)
            printed = b""
            assert process.stderr is not None
            while b"in flight;" not in printed:
                printed += await process.stderr.receive()
            release.set()
            async for chunk in process.stderr:
                printed += chunk
            assert await process.wait() == 130
        assert printed.count(b"waiting up to 30 s for") == 1
        assert b"unfinished: the same command continues it" in printed
        with open_run(journal) as recorded:
            assert recorded.summary().may_have_run == 0
            assert recorded.summary().succeeded == len(seen) < 400
        pace = 0.0
        ended = await run(*command)
    assert ended.status == 0, ended.err
    assert sorted(seen) == list(range(400))


@pytest.mark.anyio
async def test_processes_whose_parent_is_killed_let_what_is_in_flight_end(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    release, began = anyio.Event(), anyio.Event()
    seen: list[int] = []

    async def held(event: Any, context: Any) -> Any:
        seen.append(event["n"])
        if len(seen) == 4:
            began.set()
        await release.wait()

    endpoint.function("held", held, timeout=60)
    journal = tmp_path / "a.run"
    (tmp_path / "in.jsonl").write_text(
        "".join(f'{{"n": {n}}}\n' for n in range(40)), encoding="utf-8"
    )
    command = (
        *("map", "held", "in.jsonl", "--processes", "2", "--concurrency", "4"),
        *("--journal", str(journal), "--endpoint-url", endpoint.url),
    )
    async with started(*command, cwd=tmp_path) as process:
        await began.wait()
        assert len(running_parts(str(journal))) == 2
        # One command controls all processes, and one shows them.
        paused = await run("runs", "pause", str(journal))
        assert (paused.status, paused.out) == (0, "paused\n")
        shown = await run("runs", "show", str(journal))
        assert shown.out.startswith("held, 40 items of in.jsonl, ")
        # Running all of the input does not run their items again.
        for whole in (("runs", "redrive", str(journal)), (*command[:3], *command[7:])):
            refused = await run(*whole)
            assert refused.status == 2, (whole, refused)
            assert f"{journal}.1of2 is running in process " in refused.err
        assert len(seen) == 4
        process.kill()
        release.set()
        while running_parts(str(journal)):
            await anyio.sleep(0.05)
    for part in all_parts(str(journal)):
        with open_run(part) as recorded:
            summary = recorded.summary()
        assert (summary.succeeded, summary.may_have_run) == (2, 0)
    refused = await run(*command[:3], *command[7:])
    assert refused.status == 2
    assert "its --processes 2 were killed: continue it with the same number" in refused.err
    assert sorted(seen) == [0, 1, 2, 3]


@pytest.mark.anyio
async def test_ctrl_c_after_one_has_stopped_lets_the_others_end_what_is_in_flight(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    release, began = anyio.Event(), anyio.Event()

    async def fails(event: Any, context: Any) -> Any:
        if event["n"] % 2:
            began.set()
            await release.wait()
        else:
            await began.wait()
            raise ValueError("too much")

    endpoint.function("fails", fails, timeout=60)
    journal = tmp_path / "a.run"
    (tmp_path / "in.jsonl").write_text(
        "".join(f'{{"n": {n}}}\n' for n in range(40)), encoding="utf-8"
    )
    command = (
        *("map", "fails", "in.jsonl", "--processes", "2", "--concurrency", "2"),
        *("--tolerate", "0", "--journal", str(journal), "--endpoint-url", endpoint.url),
    )
    with anyio.fail_after(60):
        async with started(*command, cwd=tmp_path) as process:
            await began.wait()
            while is_running(part_of(str(journal), Shard(1, of=2))) is not False:
                await anyio.sleep(0.05)
            # At about this time the other process is told to stop, which is its first signal.
            await anyio.sleep(0.3)
            process.send_signal(signal.SIGINT)
            printed = b""
            assert process.stderr is not None
            while b"in flight;" not in printed:
                printed += await process.stderr.receive()
            await anyio.sleep(0.3)  # a second signal would have ended it by now
            release.set()
            async for chunk in process.stderr:
                printed += chunk
            assert await process.wait() == 130
    with open_run(journal) as recorded:
        summary = recorded.summary()
    assert (summary.succeeded, summary.failed, summary.may_have_run) == (1, 1, 0)


STARTS_SLOWLY = """
import sys, time
if "asyncinvoke.cli.processes.part" in sys.orig_argv:
    time.sleep(60)
"""

FIRST_IS_KILLED = """
import os, sys
if "asyncinvoke.cli.processes.part" in sys.orig_argv and os.path.exists("alive"):
    try:
        os.rename("alive", "dead")
    except OSError:
        pass  # the other one was faster
    else:
        os.kill(os.getpid(), 9)
"""


def starting(folder: Path, program: str) -> str:
    """Make Python run a program at its start; return the module path for that."""
    (folder / "sitecustomize.py").write_text(program, encoding="utf-8")
    return os.pathsep.join([str(folder), str(ROOT)])


@pytest.mark.anyio
async def test_ctrl_c_while_the_processes_start_prints_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n')
    command = ("map", "work", "in.jsonl", "--processes", "2", "--progress", "json")
    environment = {**os.environ, "PYTHONPATH": starting(tmp_path, STARTS_SLOWLY)}
    with anyio.fail_after(60):
        async with await anyio.open_process(
            [*COMMAND, *command], cwd=tmp_path, env=environment
        ) as process:
            assert process.stderr is not None
            printed = await process.stderr.receive()  # lines of progress: both have started
            process.send_signal(signal.SIGINT)
            async for chunk in process.stderr:
                printed += chunk
            assert await process.wait() == 130
    assert b"KeyboardInterrupt" not in printed


@pytest.mark.anyio
async def test_an_interrupt_ends_the_wait_for_a_reader_of_the_output_of_a_complete_run(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    os.mkfifo(tmp_path / "out")
    journal = tmp_path / "a.run"
    command = ("map", "echo", "in.jsonl", "--processes", "2", "--journal", "a.run")
    to = ("--output", "out", "--endpoint-url", endpoint.url)
    async with started(*command, *to, cwd=tmp_path) as process:
        while not journal.exists():
            await anyio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        printed = await LineReader(process.stderr).all()
    assert printed == (
        "interrupted: nobody reads out, and the run is complete: the same command writes it\n"
    )
    with open_run(journal) as recorded:
        assert recorded.summary().complete


@pytest.mark.anyio
async def test_a_process_that_is_killed_before_it_sends_leaves_nothing_in_doubt(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "alive").touch()
    (tmp_path / "in.jsonl").write_text(
        "".join(f'{{"n": {n}}}\n' for n in range(8)), encoding="utf-8"
    )
    command = ("map", "echo", "in.jsonl", "--processes", "2", "--journal", "a.run")
    to = ("--endpoint-url", endpoint.url)
    killed = await run(*command, *to, PYTHONPATH=starting(tmp_path, FIRST_IS_KILLED))
    assert killed.status == 3, killed.err
    assert "was killed by signal 9" in killed.err
    assert (
        "a.run: 4 succeeded, 0 failed, in 1 session" in killed.err
    )  # and nothing about the others
    assert "unfinished: the same command continues it" in killed.err
