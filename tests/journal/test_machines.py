"""A run is recorded whatever the machine is called, and whatever it lacks."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from asyncinvoke._journal import host
from asyncinvoke.runs import open_run
from tests.journal.fake_service import FakeService
from tests.journal.killing import ROOT

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # a machine is the same on both loops


async def recorded(path: Path) -> None:
    await FakeService().map(path, range(3))
    with open_run(path) as run:
        assert run.summary().succeeded == 3


@pytest.mark.skipif(sys.platform != "linux", reason="looks in /proc")
async def test_a_mount_whose_name_is_no_valid_text_hides_no_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = os.stat(tmp_path).st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(
        b"81 51 0:0 / /mnt/caf\xe9\r\x85 rw - tmpfs none rw\n"
        b"82 51 %d:%d / /mnt rw - ext5 none rw\n" % (os.major(device), os.minor(device))
    )
    monkeypatch.setattr(host, "_MOUNTS", mounts)
    assert host.file_system(tmp_path) == "ext5"
    await recorded(tmp_path / "orders.run")


async def test_a_host_name_that_is_no_valid_text_is_written_as_far_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: os.fsdecode(b"caf\xe9"))
    await recorded(tmp_path / "orders.run")
    assert host.host_name() == "caf?"


def python(program: str, folder: Path) -> str:
    """Return the last line of a program that runs in a folder."""
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return ended.stdout.splitlines()[-1]


def test_a_python_without_sqlite_has_no_journals_and_says_so(tmp_path: Path) -> None:
    program = """
        import sys
        sys.modules["_sqlite3"] = sys.modules["sqlite3"] = None  # coverage has imported it
        import anyio, asyncinvoke
        from asyncinvoke.testing import FakeLambda

        async def main() -> None:
            async with asyncinvoke.Invoker(transport=FakeLambda()) as invoker:
                try:
                    invoker.map("work", [1], journal="orders.run")
                except asyncinvoke.JournalError as error:
                    print(error)

        anyio.run(main)
    """
    said = python(program, tmp_path)
    assert said.startswith(
        "a journal needs the module sqlite3, which this Python was built without"
    )


def test_a_system_that_cannot_fork_needs_no_care_for_forked_children(tmp_path: Path) -> None:
    # What the standard library has registered by then is its own.
    program = """
        import asyncio, concurrent.futures.thread, logging, os, random, threading
        del os.register_at_fork
        import asyncinvoke.local, asyncinvoke.runs
        print("imported")
    """
    assert python(program, tmp_path) == "imported"
