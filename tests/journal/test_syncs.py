"""What is on disk before a request is sent and before an outcome is yielded, as the kernel sees it.

A process runs a map under `strace`, and marks by a write when it sends an item and when its loop
receives the outcome. Data in SQLite's WAL counts once a sync of the WAL has returned.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from asyncinvoke._journal.schema import DIGEST
from tests.journal.killing import ROOT
from tests.journal.test_unusable_journals import ENVIRONMENT

ITEMS = 48

CODE = """
import os, sys, uuid
import anyio
from asyncinvoke import Invoker
from asyncinvoke._model.response import Reply

class Echo:
    async def send(self, parameters, payload, progress):
        os.write(1, b"sent " + payload)
        return Reply(status_code=200, payload=b"", executed_version="1",
                     request_id=str(uuid.UUID(int=2**127 + int(payload))))
    async def open(self, *_):
        raise NotImplementedError

async def main():
    async with (
        Invoker(transport=Echo(), limit=4) as invoker,
        invoker.map("work", range(int(sys.argv[2])), journal=sys.argv[1], concurrency=4) as run,
    ):
        async for outcome in run:
            os.write(1, b"handed out %d" % outcome.index)

anyio.run(main)
"""


class Call(NamedTuple):
    """A system call that has returned."""

    name: str
    file: str
    data: bytes


def calls(trace: str) -> Iterator[Call]:
    """Yield the calls in the order in which they returned; interrupted ones are joined."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        thread, _, message = line.partition(" ")
        message = message.strip()
        if message.endswith("<unfinished ...>"):
            begun[thread] = message.removesuffix("<unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", message)
        if resumed:
            message = begun.pop(thread) + resumed[1]
        found = re.match(r'(\w+)\(\d+<([^>]*)>(?:, "([^"]*)")?.*= \d+$', message)
        if found:
            yield Call(found[1], found[2], bytes.fromhex((found[3] or "").replace("\\x", "")))


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("syncs")
    words = ["strace", "-f", "-y", "-xx", "-s", "100000", "-o", str(folder / "trace")]
    words += ["-e", "trace=fsync,fdatasync,write,pwrite64"]
    done = subprocess.run(
        [*words, sys.executable, "-c", CODE, str(folder / "orders.run"), str(ITEMS)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=100,
    )
    if done.returncode and "ptrace" in done.stderr:
        pytest.skip("no process may be traced here")
    assert (done.returncode, done.stderr) == (0, "")
    return list(calls((folder / "trace").read_text("utf-8")))


def walk(trace: list[Call]) -> Iterator[tuple[str, bytes, int]]:
    """Yield each mark of the process, with the WAL on disk by then, and the number of syncs."""
    written = synced = b""
    syncs = 0
    for call in trace:
        name = re.sub(r"\\x([0-9a-f]{2})", lambda each: chr(int(each[1], 16)), call.file)
        if name.endswith("-wal") and call.name == "pwrite64":
            written += call.data
        elif name.endswith("-wal") and call.name in ("fsync", "fdatasync"):
            synced, syncs = written, syncs + 1
        elif call.name == "write" and call.data.startswith((b"sent ", b"handed out ")):
            yield call.data.decode(), synced, syncs


def test_nothing_is_sent_before_its_intent_is_synced(trace: list[Call]) -> None:
    sent = 0
    for message, synced, syncs in walk(trace):
        if message.startswith("sent "):
            digest = hashlib.sha256(message.removeprefix("sent ").encode()).digest()[:DIGEST]
            assert digest in synced, message
            # One each for the beginning of the session, its notes, and the intent.
            assert syncs >= 3
            sent += 1
    assert sent == ITEMS


def test_no_outcome_is_yielded_before_it_is_synced(trace: list[Call]) -> None:
    handed_out = 0
    for message, synced, _ in walk(trace):
        if message.startswith("handed out "):
            number = int(message.removeprefix("handed out "))
            assert (2**127 + number).to_bytes(16, "big") in synced, message
            handed_out += 1
    assert handed_out == ITEMS


def test_a_sync_is_shared_by_many_items(trace: list[Call]) -> None:
    syncs = [syncs for _, _, syncs in walk(trace)][-1]
    # At most one for the intents and one for the outcomes of each group of four, and the first ones.
    assert 4 <= syncs <= 2 * ITEMS / 4 + 6
