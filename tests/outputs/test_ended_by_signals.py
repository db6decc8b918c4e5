"""A process that is stopped while it writes an output leaves no temporary file behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from asyncinvoke import Invoker
from asyncinvoke._outputs import files
from asyncinvoke._outputs.parts import PART
from asyncinvoke.testing import FakeLambda
from tests.journal.killing import ROOT

PROGRAM = """
import os, signal, sys
from asyncinvoke.cli import main
from asyncinvoke.cli.map import whole_output
from asyncinvoke.cli.runs import export

def lines(run):
    for _ in range(3):
        yield os.urandom(400_000).hex().encode()
    os.kill(os.getpid(), number)
    yield b""

export.outcome_lines = lines
number = int(sys.argv.pop())
signal.signal(signal.SIGHUP, signal.SIG_DFL)
main()
"""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "a.run"

    async def run_nothing() -> None:
        async with (
            Invoker(transport=FakeLambda()) as invoker,
            invoker.map("work", [], journal=path) as run,
        ):
            async for _ in run:
                pass

    anyio.run(run_nothing)
    return path


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def end(journal: Path, folder: Path, number: signal.Signals, target: str = "out.gz") -> int:
    """Export a journal in a process that receives a signal during the export; return its status."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "runs", "export", str(journal), target, str(int(number))],
        cwd=folder,
        env=environment(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_an_export_and_leaves_nothing_of_it(
    journal: Path, tmp_path: Path, number: signal.Signals
) -> None:
    assert end(journal, tmp_path, number) == 128 + number
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes_with_the_next_one(journal: Path, tmp_path: Path) -> None:
    assert end(journal, tmp_path, signal.SIGKILL) == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(PART)
    names = (".out.gz.part", f".other.gz.{'0' * 32}.part", f".out.gz.{'0' * 32}", "0" * 32)
    others = [tmp_path / name for name in names]
    for other in others:
        other.write_bytes(b"somebody else's")
    target = tmp_path / "out.gz"
    with files.written(str(target), {}, None) as file:
        file.write(b"first")
        # A concurrent process does not remove the temporary file that is being written.
        with files.written(str(target), {}, None) as second:
            second.write(b"second")
    assert sorted(tmp_path.iterdir()) == sorted([target, *others])
    assert target.read_bytes() == b"first"
