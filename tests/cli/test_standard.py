"""How a command ends if standard streams are full, closed or unread, or files are too few."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from asyncinvoke.local import LocalLambda

from .processes import COMMAND

pytestmark = pytest.mark.anyio

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")

SAYS_MUCH = ["--help", "--version", "doctor"]


def shell(line: str) -> "subprocess.CompletedProcess[str]":
    command = line.replace("asyncinvoke", f"{sys.executable} -m asyncinvoke")
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )


@needs_full
@pytest.mark.parametrize("words", SAYS_MUCH)
def test_a_full_output_is_one_line_that_names_it(words: str) -> None:
    ended = shell(f"asyncinvoke {words} > /dev/full")
    assert ended.returncode == 1
    assert ended.stderr == (
        "asyncinvoke: error: cannot write standard output: No space left on device\n"
    )


@pytest.mark.parametrize("words", SAYS_MUCH)
def test_an_output_without_a_reader_is_status_141_and_silent(words: str) -> None:
    # The reader has closed before the command starts.
    reads, writes = os.pipe()
    os.close(reads)
    try:
        ended = subprocess.run(
            [*COMMAND, words], stdout=writes, stderr=subprocess.PIPE, check=False, timeout=60
        )
    finally:
        os.close(writes)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("kind", ["full", "closed", "unread"])
async def test_an_error_stream_that_cannot_be_written_changes_nothing(
    kind: str, endpoint: LocalLambda, tmp_path: Path
) -> None:
    # A run must not be aborted because the disk of its log is full.
    (tmp_path / "in.jsonl").write_text("{}\n" * 50)
    words = f"map echo in.jsonl --progress json -o out.jsonl -u {endpoint.url}"
    if kind == "full" and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = f"exec {sys.executable} -m asyncinvoke {words}"
    reads, writes = os.pipe()
    os.close(reads)
    try:
        ended = await anyio.run_process(
            ["sh", "-c", command + {"full": " 2>/dev/full", "closed": " 2>&-"}.get(kind, "")],
            stderr=writes,
            check=False,
            cwd=tmp_path,
        )
    finally:
        os.close(writes)
    assert ended.returncode == 0
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == 50


def test_only_a_fault_of_ours_is_shown_whole_under_dev_mode() -> None:
    for words in (["bogus"], ["map", "echo", "-", "--event", "--dry-run"]):
        ended = subprocess.run(
            [sys.executable, "-X", "dev", "-m", "asyncinvoke", *words],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 2
        assert ended.stderr.startswith("asyncinvoke: error: ")
        assert ended.stderr.count("\n") == 1


def test_a_python_without_one_of_its_modules_is_one_line() -> None:
    """Simulates a Python that was built without SQLite."""
    # Coverage has imported it, if it measures this process too.
    without = "sys.modules |= dict.fromkeys(('sqlite3', '_sqlite3'))"
    program = f"import sys; {without}; import asyncinvoke.cli as c; c.main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, "runs", "show", "a.run"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    printed = "asyncinvoke: error: the installation is incomplete: "
    assert (ended.returncode, ended.stderr[: len(printed)]) == (2, printed)
    assert "sqlite3" in ended.stderr


def test_a_current_directory_that_was_deleted_is_one_line() -> None:
    for words in ("runs show a.run", "map echo - -o out.jsonl", "runs export a.run out.jsonl"):
        ended = shell(f'd=$(mktemp -d); cd "$d"; rmdir "$d"; asyncinvoke {words}')
        printed = "asyncinvoke: error: the current directory was deleted\n"
        assert (ended.returncode, ended.stderr) == (2, printed)


def test_an_output_that_does_not_block_is_waited_for() -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    # Almost full: the rest has to wait for the reader.
    while True:
        try:
            os.write(writes, b"-" * 1000)
        except BlockingIOError:
            break
    with (
        subprocess.Popen(
            [*COMMAND, "map", "--help"], stdout=writes, stderr=subprocess.PIPE
        ) as process,
        os.fdopen(reads, "rb") as reader,
    ):
        os.close(writes)
        text = reader.read()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
    assert text.lstrip(b"-").startswith(b"Usage: ")
    assert text.endswith(b"outcomes.jsonl\n")


@pytest.mark.parametrize("words", ["doctor", "invoke echo", "map echo -"])
def test_too_few_files_for_an_event_loop_are_one_line(words: str) -> None:
    ended = shell(f"ulimit -n 10; asyncinvoke {words}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "asyncinvoke: error: the limit of 10 open files is too low: ulimit -n 1024\n"
    )


def test_too_few_files_for_several_processes_are_one_line_before_one_starts() -> None:
    ended = shell(f"ulimit -n 24; asyncinvoke map echo {__file__} --processes 2")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "asyncinvoke: error: the limit of 24 open files is too low: ulimit -n 1024\n"
    )


def test_too_few_files_beside_inherited_ones_are_one_line() -> None:
    inherited = " ".join(f"{number}</dev/null" for number in range(3, 10))
    ended = shell(f"exec {inherited}; ulimit -n 20; asyncinvoke map echo {__file__}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "asyncinvoke: error: the limit of 20 open files is too low: ulimit -n 1024\n"
    )
