"""`asyncinvoke map` as a process: valid input, invalid input, and runs that end early."""

import contextlib
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda

from .processes import COMMAND, LineReader, Run, started

pytestmark = pytest.mark.anyio


def outcomes(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def write_lines(path: Path, count: int) -> str:
    path.write_text("".join(f'{{"n": {n}}}\n' for n in range(count)), encoding="utf-8")
    return str(path)


async def test_every_line_gets_one_outcome(endpoint: LocalLambda, run: Run, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", 200)
    endpoint.account_concurrency = 20
    ended = await run("map", "echo", source, "--concurrency", "30", "--endpoint-url", endpoint.url)
    assert ended.status == 0
    found = outcomes(ended.out)
    assert sorted(o["index"] for o in found) == list(range(200))
    assert all(o["ok"] and o["payload"] == {"got": {"n": o["line"] - 1}} for o in found)
    assert sum(o["attempts"] for o in found) == endpoint.statistics().invocations
    assert ended.err.startswith("200 outcomes in ")
    assert "200 succeeded, 0 failed" in ended.err


async def test_a_broken_line_is_one_failed_outcome_and_the_run_goes_on(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    lines = [b'{"n": %d}' % n for n in range(1, 10)]
    lines[0] = b"\xef\xbb\xbf" + lines[0]
    lines[2] = b"  "
    lines[6] = b'{"password": hunter2}'
    lines[7] = b'"\xff"'
    (tmp_path / "in.jsonl").write_bytes(b"\r\n".join(lines))
    ended = await run("map", "echo", "in.jsonl", "--ordered", "--endpoint-url", endpoint.url)
    assert ended.status == 1
    found = outcomes(ended.out)
    assert [o["line"] for o in found] == [1, 2, 4, 5, 6, 7, 8, 9]
    assert [o["index"] for o in found] == list(range(8))
    broken = {o["line"]: o for o in found if not o["ok"]}
    assert set(broken) == {7, 8}
    assert broken[7]["error"] == "InvalidRequestError"
    assert broken[7]["message"] == "line 7: not JSON: Expecting value at column 14"
    assert broken[8]["message"] == "line 8: not JSON: not UTF-8 at byte 2"
    assert "hunter2" not in ended.out + ended.err


async def test_function_errors_are_outcomes_with_their_payload(
    endpoint: LocalLambda, run: Run
) -> None:
    ended = await run("map", "fail", "-", "--endpoint-url", endpoint.url, stdin=b"1\n")
    assert ended.status == 1
    (outcome,) = outcomes(ended.out)
    assert outcome["error"] == "FunctionError"
    assert (outcome["delivery"], outcome["gave_up"]) == ("executed", "not_retryable")
    assert outcome["payload"]["errorType"] == outcome["error_type"] == "ValueError"
    assert "  1 FunctionError ValueError, such as line 1: two lines and " in ended.err


async def test_a_run_stops_after_too_many_failures_and_names_them(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "in.jsonl", 1000)
    ended = await run(
        *("map", "fail", source, "--tolerate", "10%", "--concurrency", "4"),
        *("--endpoint-url", endpoint.url),
    )
    assert ended.status == 3
    found = outcomes(ended.out)
    assert len(found) == endpoint.statistics().invocations < 120
    error = ended.err.splitlines()[-1]
    assert error.startswith(
        "asyncinvoke: error: stopped: 100 of 100 items failed (tolerated: 10 % once 100 have ended)"
        ": 100 FunctionError ValueError: two lines and "
    )


async def test_events_are_accepted(endpoint: LocalLambda, run: Run) -> None:
    ended = await run("map", "echo", "-", "--event", "--endpoint-url", endpoint.url, stdin=b"1\n2")
    assert ended.status == 0
    assert [(o["status_code"], o["payload"]) for o in outcomes(ended.out)] == [(202, None)] * 2
    assert "2 accepted, 0 failed" in ended.err


async def test_an_unknown_function_fails_each_line(endpoint: LocalLambda, run: Run) -> None:
    ended = await run("map", "missing", "-", "--endpoint-url", endpoint.url, stdin=b"1\n2\n")
    assert ended.status == 1
    assert [o["code"] for o in outcomes(ended.out)] == ["ResourceNotFoundException"] * 2
    failed = (
        "  2 RejectedError ResourceNotFoundException, such as line [12]: Function not"  # by any
    )
    assert re.search(failed, ended.err)


async def test_progress_none_prints_nothing(endpoint: LocalLambda, run: Run) -> None:
    ended = await run(
        "map", "echo", "-", "--progress", "none", "--endpoint-url", endpoint.url, stdin=b"1\n"
    )
    assert (ended.status, ended.err) == (0, "")


async def test_progress_json_is_json_to_the_last_line(endpoint: LocalLambda, run: Run) -> None:
    ended = await run(
        "map", "echo", "-", "--progress", "json", "--endpoint-url", endpoint.url, stdin=b"1\nx\n"
    )
    last = outcomes(ended.err)[-1]
    assert (last["done"], last["ok"], last["failed"]) == (2, 1, 1)
    assert last["errors"] == {"InvalidRequestError": 1}
    assert [(failure["line"], failure["count"]) for failure in last["failures"]] == [(2, 1)]
    assert last["left"] is None


async def test_on_a_terminal_the_bar_stays_off_stdout(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "in.jsonl", 50)
    terminal, stderr = os.openpty()
    drawn = b""

    async def look() -> None:
        nonlocal drawn
        while True:
            await anyio.wait_readable(terminal)
            drawn += os.read(terminal, 65_536)

    arguments = ("map", "echo", source, "--endpoint-url", endpoint.url)
    try:
        async with anyio.create_task_group() as looking:
            looking.start_soon(look)
            async with started(*arguments, stderr=stderr) as process:
                assert len(outcomes(await LineReader(process.stdout).all())) == 50
                assert await process.wait() == 0
            with anyio.fail_after(60):
                while b"50 outcomes in" not in drawn:
                    await anyio.sleep(0.01)
            looking.cancel_scope.cancel()
    finally:
        os.close(stderr)
        os.close(terminal)
    assert "━" in drawn.decode()


async def test_input_is_read_as_it_comes_and_outcomes_are_written_as_they_come(
    endpoint: LocalLambda,
) -> None:
    async with started("map", "echo", "-", "--endpoint-url", endpoint.url) as process:
        assert process.stdin is not None
        out = LineReader(process.stdout)
        for n in range(3):
            await process.stdin.send(b"%d\n" % n)
            assert json.loads(await out.next())["payload"] == {"got": n}
        await process.stdin.aclose()
        assert await process.wait() == 0


async def test_an_output_file_is_not_overwritten_without_force(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    target = tmp_path / "out.jsonl"
    arguments = ["map", "echo", "-", "--output", "out.jsonl", "--endpoint-url", endpoint.url]
    assert (await run(*arguments, stdin=b"1\n")).status == 0
    before = target.read_bytes()
    assert len(outcomes(before.decode())) == 1
    refused = await run(*arguments, stdin=b"1\n2\n")
    assert refused.status == 2
    assert "out.jsonl exists: --force replaces it" in refused.err
    assert target.read_bytes() == before
    assert (await run(*arguments, "--force", stdin=b"1\n2\n")).status == 0
    assert len(outcomes(target.read_text("utf-8"))) == 2


async def test_the_output_may_not_be_the_input(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "in.jsonl", 2)
    ended = await run(
        "map", "echo", source, "--output", source, "--force", "--endpoint-url", endpoint.url
    )
    assert ended.status == 2
    assert (tmp_path / "in.jsonl").read_text("utf-8") == '{"n": 0}\n{"n": 1}\n'


async def test_a_mistake_leaves_no_empty_output_behind(run: Run, tmp_path: Path) -> None:
    ended = await run("map", "no spaces", "-", "--output", "out.jsonl")
    assert ended.status == 2
    assert not (tmp_path / "out.jsonl").exists()


async def test_an_output_called_a_hyphen_is_standard_output(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    ended = await run(
        "map", "echo", "-", "--output", "-", "--endpoint-url", endpoint.url, stdin=b"1\n"
    )
    assert len(outcomes(ended.out)) == 1
    assert not (tmp_path / "-").exists()


async def test_an_input_that_is_not_lines_is_refused_once_and_nothing_is_invoked(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "input.jsonl").write_text(
        json.dumps([{"n": n} for n in range(50)], indent=2), encoding="utf-8"
    )
    arguments = ("map", "echo", "input.jsonl", "--output", "out.jsonl")
    ended = await run(*arguments, "--endpoint-url", endpoint.url)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(
        "asyncinvoke: error: input.jsonl is one JSON array, not a line each: "
    )
    assert ended.err.count("\n") == 1
    assert endpoint.statistics().invocations == 0
    assert not (tmp_path / "out.jsonl").exists()


async def test_a_line_beyond_lambdas_limit_is_one_failed_outcome(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    with (tmp_path / "in.jsonl").open("wb") as file:
        file.writelines([b'{"n": 1}\n"', b"x" * 20_000_000, b'"\n{"n": 3}\n'])
    ended = await run("map", "echo", "in.jsonl", "--ordered", "--endpoint-url", endpoint.url)
    assert ended.status == 1
    first, long, last = outcomes(ended.out)
    assert (first["payload"], last["payload"]) == ({"got": {"n": 1}}, {"got": {"n": 3}})
    assert (long["line"], long["error"], long["attempts"]) == (2, "InvalidRequestError", 0)
    assert long["message"].startswith("line 2: 20,000,002 bytes are too many")


async def test_a_run_of_which_everything_is_throttled_reports_the_reason(
    endpoint: LocalLambda,
) -> None:
    endpoint.function("none", lambda event, context: event, reserved_concurrency=0)
    async with started("map", "none", "-", "--endpoint-url", endpoint.url) as process:
        assert process.stdin is not None
        await process.stdin.send(b"1\n2\n")
        printed = await LineReader(process.stderr).next()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 143
    assert re.match(r"waiting: nothing was admitted for \d+ s: ", printed)
    assert printed.endswith(
        "(ReservedFunctionConcurrentInvocationLimitExceeded); Ctrl-C stops the run"
    )


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
async def test_an_interrupt_before_the_first_line_says_that_nothing_was_sent(
    endpoint: LocalLambda,
) -> None:
    async with started("map", "echo", "-", "--endpoint-url", endpoint.url) as process:
        await until_it_waits_for_signals(process.pid)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        printed = (await LineReader(process.stderr).all()).splitlines()
    assert printed[-1] == "unfinished: no line was read, and nothing was sent"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
@pytest.mark.parametrize(
    "command",
    ["invoke echo", "map echo in.jsonl --processes 2"],
)
async def test_an_interrupt_ends_the_wait_for_a_reader_of_a_named_pipe(
    endpoint: LocalLambda, tmp_path: Path, command: str
) -> None:
    write_lines(tmp_path / "in.jsonl", 3)
    os.mkfifo(tmp_path / "out")
    to = ("--output", "out", "--endpoint-url", endpoint.url)
    async with started(*command.split(), *to, cwd=tmp_path) as process:
        await until_it_waits_for_signals(process.pid)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        printed = await LineReader(process.stderr).all()
    assert printed == "interrupted: nobody reads out, and nothing was sent\n"


async def until_it_waits_for_signals(pid: int) -> None:
    """Wait until the event loop of a process sleeps: its handlers of signals are installed before.

    Before that it may sleep too, but not for ten looks without using the processor between them.
    """
    there = Path(f"/proc/{pid}")
    seen: list[tuple[str, ...]] = []
    while len(seen) < 10 or len(set(seen)) > 1:
        await anyio.sleep(0.02)
        fields = (there / "stat").read_text("utf-8").rpartition(")")[2].split()
        with contextlib.suppress(FileNotFoundError):  # a file that was just closed
            opened = [os.readlink(each) for each in (there / "fd").iterdir()]
            is_asleep = fields[0] == "S" and any("eventpoll" in each for each in opened)
            used = tuple(fields[11:13])  # the processor's time, in this process and in the system
            seen = [*seen[-9:], used] if is_asleep else []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_a_full_disk_is_one_line_and_every_line_is_accounted_for(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "in.jsonl", 300)
    ended = await run(
        "map", "echo", source, "--output", "/dev/full", "--endpoint-url", endpoint.url
    )
    assert ended.status == 1
    _, left, error = ended.err.splitlines()
    assert error == "asyncinvoke: error: cannot write /dev/full: No space left on device"
    found = re.fullmatch(
        r"unfinished: (\d+) lines without an outcome, (\d+) of them may have run; "
        r"(\d+) outcomes? not written; no line after line (\d+) was sent",
        left,
    )
    assert found is not None, left
    without_outcome, may_have_run, not_written, last_line = map(int, found.groups())
    assert without_outcome + not_written == last_line
    assert may_have_run <= without_outcome
    assert endpoint.statistics().invocations <= last_line


async def test_a_reader_that_goes_away_ends_the_run_quietly(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "in.jsonl", 20_000)
    pipeline = ["sh", "-c", '{ "$@"; echo "status $?" >&2; } | head -n 1', "sh"]
    ended = await anyio.run_process(
        [*pipeline, *COMMAND, "map", "echo", source, "--endpoint-url", endpoint.url]
    )
    assert len(outcomes(ended.stdout.decode())) == 1
    assert ended.stderr.decode() == "status 141\n"
    assert endpoint.statistics().invocations < 20_000


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_an_interrupted_run_keeps_finished_items_and_reports_the_remaining_ones(
    number: signal.Signals, status: int, endpoint: LocalLambda, tmp_path: Path
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"n": 1}\n{"n": 2}\n' + '{"block": 1}\n' * 50, encoding="utf-8")
    async with started(
        "map", "block", str(source), "--concurrency", "4", "--endpoint-url", endpoint.url
    ) as process:
        out = LineReader(process.stdout)
        first = [json.loads(await out.next()), json.loads(await out.next())]
        while endpoint.statistics().in_flight < 4:
            await anyio.sleep(0.01)
        process.send_signal(number)
        assert await process.wait() == status
        assert await out.all() == ""
        summary, left = (await LineReader(process.stderr).all()).splitlines()
    assert sorted(o["line"] for o in first) == [1, 2]
    assert "2 outcomes in" in summary
    assert left == (
        "unfinished: 4 lines without an outcome, 4 of them may have run; no line after line 6 was sent"
    )


async def test_an_interrupted_ordered_run_writes_what_waited_for_its_turn(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"block": 1}\n' + '{"n": 1}\n' * 5, encoding="utf-8")
    async with started(
        *("map", "block", str(source), "--ordered", "--progress", "json"),
        *("--endpoint-url", endpoint.url),
    ) as process:
        progress = LineReader(process.stderr)
        while json.loads(await progress.next())["done"] < 5:
            pass
        process.send_signal(signal.SIGINT)
        written = outcomes(await LineReader(process.stdout).all())
        assert await process.wait() == 130
        last = json.loads((await progress.all()).splitlines()[-1])
    assert [o["line"] for o in written] == [2, 3, 4, 5, 6]
    assert last["left"] == {
        "without_outcome": 1,
        "may_have_run": 1,
        "last_line": 6,
        "not_written": 0,
    }


async def test_an_interrupt_ends_a_run_that_waits_for_input(endpoint: LocalLambda) -> None:
    async with started("map", "echo", "-", "--endpoint-url", endpoint.url) as process:
        assert process.stdin is not None
        await process.stdin.send(b"1\n")
        await LineReader(process.stdout).next()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


async def test_ordered_output_waits_for_its_turn_without_reading_on_for_ever(
    endpoint: LocalLambda,
) -> None:
    command = ["map", "block", "-", "--ordered", "--concurrency", "2"]
    async with started(*command, "--endpoint-url", endpoint.url) as process:
        assert process.stdin is not None
        await process.stdin.send(b'{"block": 1}\n' + b"{}\n" * 1000)
        while endpoint.statistics().executions < 18:
            await anyio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert len(outcomes(await LineReader(process.stdout).all())) <= 18
