"""Kills processes that run a map, at a request counted by an endpoint, and reads their journals."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asyncinvoke.runs import open_run
from tests.doubles.counting_server import CountingServer
from tests.doubles.messages import Received

ROOT = Path(__file__).parent.parent.parent


AWS = {
    "AWS_ACCESS_KEY_ID": "test-key",
    "AWS_SECRET_ACCESS_KEY": "test-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "no_proxy": "127.0.0.1",
}
"""The environment of every test, for a process that is started earlier."""


class Endpoint:
    """An endpoint that counts the items received, and kills a process at one of them."""

    def __init__(self) -> None:
        self.server = CountingServer()
        self.server.on_request = self._seen
        self.seen: list[int] = []
        self._victim: int | None = None
        self._number: int = signal.SIGKILL
        self._at: int | None = None

    def arm(self, requests: int) -> None:
        """Kill a process when the given number of further requests are read, before the last is answered."""
        with self.server.changed:
            self._at = len(self.seen) + requests

    def aim(self, pid: int, number: int = signal.SIGKILL) -> None:
        """Set the process, and the signal."""
        with self.server.changed:
            self._victim, self._number = pid, number
            self.server.changed.notify_all()

    def settled(self) -> None:
        """Wait until all data sent by a killed process has been read."""
        with self.server.changed:
            gone = self.server.changed.wait_for(lambda: not self.server.connections, 60)
        assert gone, "the connections of a process that was killed are still open"

    def _seen(self, request: Received) -> None:
        with self.server.changed:
            self.seen.append(json.loads(request.body)["item"])
            if self._at is None or len(self.seen) < self._at:
                return
            assert self.server.changed.wait_for(
                lambda: self._victim is not None or self._at is None, 60
            )
            if self._at is not None and self._victim is not None:
                os.kill(self._victim, self._number)
                self._at = self._victim = None


class Mapper:
    """Starts processes that run maps; see `mapper`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.journal.mapper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **AWS, "PYTHONPATH": str(ROOT)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def start(self, **asked: Any) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        pid = self._answer()["pid"]
        assert isinstance(pid, int)
        return pid

    def ended(self) -> int:
        """Wait until the process has ended; return its status."""
        status = self._answer()["status"]
        assert isinstance(status, int)
        return status

    def _answer(self) -> dict[str, int]:
        assert self._process.stdout is not None
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The state of a journal whose process was killed."""

    recorded: set[int]
    unknown: set[int]
    """Items that may have run, according to the journal."""


def inspect_journal(journal: Path) -> Unfinished:
    """Read a journal after the kill, as a user would."""
    if not journal.exists() or not journal.stat().st_size:
        return Unfinished(set(), set())
    with open_run(journal) as recorded:
        return Unfinished(
            {outcome.index for outcome in recorded.outcomes()},
            {item.position for item in recorded.unknown() if item.cause is None},
        )


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    counting = Endpoint()
    with counting.server:
        yield counting
