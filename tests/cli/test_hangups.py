"""A run whose terminal is closed, or whose SSH connection is lost, is drained, as by SIGTERM.

Also tests the output of Ctrl-C on a terminal.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.cli import running
from asyncinvoke.local import LocalLambda
from asyncinvoke.runs import RunSummary, open_run

from .processes import COMMAND, LineReader, started

pytestmark = pytest.mark.anyio

ON_A_TERMINAL = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(2, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
"""Makes standard error the controlling terminal, like that of a shell, and executes the command."""


class BlockedFunction:
    """A function whose calls block until the test releases them."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.go = anyio.Event()

    async def __call__(self, event: Any, context: Any) -> Any:
        self.seen.append(event["n"])
        await self.go.wait()
        return event

    async def wait_for_calls(self, number: int) -> None:
        with anyio.fail_after(60):
            while len(self.seen) < number:
                await anyio.sleep(0.02)


@pytest.fixture
async def held(
    anyio_backend: str, tmp_path: Path
) -> AsyncIterator[tuple[BlockedFunction, list[str]]]:
    held = BlockedFunction()
    source = tmp_path / "in.jsonl"
    source.write_text("".join(f'{{"n": {n}}}\n' for n in range(40)), encoding="utf-8")
    async with LocalLambda() as local:
        local.function("charge", held, timeout=120)
        words = ["map", "charge", str(source), "--journal", str(tmp_path / "o.run"), "-c", "4"]
        yield held, [*words, "--endpoint-url", local.url]


def summary(folder: Path) -> RunSummary:
    with open_run(folder / "o.run") as recorded:
        return recorded.summary()


@pytest.mark.parametrize(
    ("is_controlling", "options"),
    [(True, ["-o", "out.jsonl"]), (False, ["-o", "-"])],
)
async def test_a_run_whose_terminal_is_closed_lets_what_is_in_flight_end(
    is_controlling: bool,
    options: list[str],
    held: tuple[BlockedFunction, list[str]],
    tmp_path: Path,
) -> None:
    function, words = held
    wrapper = [sys.executable, "-c", ON_A_TERMINAL] if is_controlling else []
    ours, theirs = os.openpty()
    try:
        process = await anyio.open_process(
            [*wrapper, *COMMAND, *words, *options],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=tmp_path,
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    async with process:
        try:
            await function.wait_for_calls(4)
        finally:
            os.close(ours)
        if (
            is_controlling
        ):  # the shell sends it, too, and it is no request to abandon calls in flight
            process.send_signal(signal.SIGHUP)
        function.go.set()
        with anyio.fail_after(60):
            assert await process.wait() == 129
    run = summary(tmp_path)
    assert (run.may_have_run, run.ended) == (0, len(function.seen))


async def test_output_after_ctrl_c_begins_a_new_line(
    held: tuple[BlockedFunction, list[str]], tmp_path: Path
) -> None:
    function, words = held
    ours, theirs = os.openpty()
    command = ["invoke", "charge", '{"n": 1}', *words[-2:]]
    async with await anyio.open_process(
        [sys.executable, "-c", ON_A_TERMINAL, *COMMAND, *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            await function.wait_for_calls(1)
            os.write(ours, b"\x03")
            with anyio.fail_after(60):
                assert await process.wait() == 130
            printed = os.read(ours, 4096)
        finally:
            os.close(ours)
    assert printed.endswith(b"\rinterrupted: the function may have run\r\n"), printed


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_sighup_lets_what_is_in_flight_end_however_often_it_comes(
    processes: str, held: tuple[BlockedFunction, list[str]], tmp_path: Path
) -> None:
    function, words = held
    async with started(*words, "--processes", processes) as process:
        await function.wait_for_calls(4)
        process.send_signal(signal.SIGHUP)
        lines = LineReader(process.stderr)
        while not (await lines.next()).startswith("waiting up to "):
            pass
        process.send_signal(signal.SIGHUP)
        function.go.set()
        await lines.all()
        assert await process.wait() == 129
    run = summary(tmp_path)
    assert (run.succeeded, run.may_have_run) == (len(function.seen), 0)


async def test_a_run_under_nohup_goes_on(
    held: tuple[BlockedFunction, list[str]], tmp_path: Path
) -> None:
    function, words = held
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *COMMAND, *words]
    async with await anyio.open_process(command) as process:
        try:
            await function.wait_for_calls(4)
            process.send_signal(signal.SIGHUP)
        finally:
            function.go.set()
        with anyio.fail_after(60):
            assert await process.wait() == 0
    assert (summary(tmp_path).succeeded, len(function.seen)) == (40, 40)


def test_a_ctrl_c_within_an_exception_group_is_still_an_interrupt() -> None:
    async def main(interrupt: running.Interrupt) -> int:
        raise BaseExceptionGroup("", [KeyboardInterrupt()])

    with pytest.raises(KeyboardInterrupt):
        running.run(main)
