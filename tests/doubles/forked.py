"""Python programs in separate processes, at the cost of a fork (`forker.py`).

A new interpreter that imports the package takes most of a second of CPU. Where a test is about what a
program does rather than how its process starts, this is the same, but quick.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
from anyio.abc import AsyncResource, ByteReceiveStream, ByteSendStream, Process

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """The exit status of a program, and its output."""

    status: int
    out: str
    err: str


async def run_forked(
    *arguments: str, stdin: bytes = b"", cwd: Path, env: Mapping[str, str] | None = None
) -> Ended:
    """Run `python` with these arguments to its end.

    Args:
        arguments: `-m` and a module, or a file, and what follows.
        stdin: Its standard input; empty by default.
        cwd: Its working directory.
        env: Its environment; that of the test by default.
    """
    said = {"stdout": "", "stderr": ""}

    async def read(name: str, stream: ByteReceiveStream | None) -> None:
        said[name] = await LineReader(stream).all()

    async with await FORKER.start(
        *arguments, stdin=PIPE if stdin else DEVNULL, cwd=cwd, env=env
    ) as program:
        async with anyio.create_task_group() as group:
            group.start_soon(read, "stdout", program.stdout)
            group.start_soon(read, "stderr", program.stderr)
            if program.stdin is not None:
                with contextlib.suppress(anyio.BrokenResourceError):
                    await program.stdin.send(stdin)
                await program.stdin.aclose()
        return Ended(await program.wait(), *said.values())


def forked(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run `python` with these arguments to its end, where the test has no event loop."""

    async def run() -> Ended:
        return await run_forked(*arguments, cwd=cwd, env=env)

    return anyio.run(run)


class LineReader:
    """Reads a process's output line by line."""

    def __init__(self, stream: ByteReceiveStream | None) -> None:
        assert stream is not None
        self._stream = stream
        self._rest = b""

    async def next(self) -> str:
        while b"\n" not in self._rest:
            self._rest += await self._stream.receive()
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    async def all(self) -> str:
        with contextlib.suppress(anyio.EndOfStream):
            while True:
                self._rest += await self._stream.receive()
        return self._rest.decode()


class Pipe(AsyncResource):
    """This process's end of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._is_open = True
        os.set_blocking(descriptor, False)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self.descriptor)

    async def aclose(self) -> None:
        self.close()


class PipeReader(Pipe, ByteReceiveStream):
    async def receive(self, max_bytes: int = 65_536) -> bytes:
        while True:
            try:
                data = os.read(self.descriptor, max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self.descriptor)
            else:
                if not data:
                    raise anyio.EndOfStream
                return data


class PipeWriter(Pipe, ByteSendStream):
    async def send(self, item: bytes) -> None:
        while item:
            try:
                item = item[os.write(self.descriptor, item) :]
            except BlockingIOError:
                await anyio.wait_writable(self.descriptor)
            except BrokenPipeError as error:
                raise anyio.BrokenResourceError from error


class Program(Process):
    """A forked process with the interface of anyio's; made by `Forker.start`.

    Args:
        pid: Its process id.
        answers: Where its exit status is read, once it has ended.
        streams: This process's ends of its standard streams.
    """

    def __init__(self, pid: int, answers: int, streams: Sequence[int | None]) -> None:
        stdin, stdout, stderr = streams
        self._pid = pid
        self._answers = answers
        self._said = b""
        self._status: int | None = None
        self._stdin = None if stdin is None else PipeWriter(stdin)
        self._stdout = None if stdout is None else PipeReader(stdout)
        self._stderr = None if stderr is None else PipeReader(stderr)

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def stdin(self) -> ByteSendStream | None:
        return self._stdin

    @property
    def stdout(self) -> ByteReceiveStream | None:
        return self._stdout

    @property
    def stderr(self) -> ByteReceiveStream | None:
        return self._stderr

    @property
    def returncode(self) -> int | None:
        if self._status is None:
            with contextlib.suppress(BlockingIOError):
                said = os.read(self._answers, 64)
                assert said, "the process that forks has died"
                self._said += said
            if self._said.endswith(b"\n"):
                self._status = int(self._said)
        return self._status

    async def wait(self) -> int:
        while (status := self.returncode) is None:
            await anyio.wait_readable(self._answers)
        return status

    def send_signal(self, signal: int) -> None:
        if self.returncode is None:
            # As in `Popen`: it may have ended before its status was read.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def aclose(self) -> None:
        for stream in (self._stdin, self._stdout, self._stderr):
            if stream is not None:
                stream.close()
        try:
            await self.wait()
        except BaseException:
            self.kill()
            with anyio.CancelScope(shield=True):
                await self.wait()
            raise
        finally:
            os.close(self._answers)


class Forker:
    """Starts programs by forking a process, which is itself started on first use."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def close(self) -> None:
        """End the process that forks."""
        if self._requests is not None and self._process is not None:
            self._requests.close()
            self._process.wait(60)
        self._requests = self._process = None

    async def start(
        self,
        *arguments: str,
        stdin: int = PIPE,
        stdout: int = PIPE,
        stderr: int = PIPE,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Program:
        """Start `python` with these arguments; for `PIPE`, the other end is the program's."""
        asked, ask = os.pipe()
        answered, answer = os.pipe()
        ours: list[int | None] = []
        theirs: list[int] = []
        for given, is_input in ((stdin, True), (stdout, False), (stderr, False)):
            if given == PIPE:
                reader, writer = os.pipe()
                ours.append(writer if is_input else reader)
                theirs.append(reader if is_input else writer)
            else:
                ours.append(None)
                theirs.append(os.open(os.devnull, os.O_RDWR) if given == DEVNULL else os.dup(given))
        request = {
            "arguments": arguments,
            "cwd": str(cwd or Path.cwd()),
            "env": dict(env or os.environ),
        }
        try:
            socket.send_fds(self._forker(), [b"?"], [asked, *theirs, answer])
            with open(ask, "wb") as file:
                file.write(json.dumps(request).encode())
        finally:
            for descriptor in (asked, *theirs, answer):
                os.close(descriptor)
        await anyio.wait_readable(answered)
        pid = b""
        while not pid.endswith(b"\n"):  # the exit status may follow
            byte = os.read(answered, 1)
            assert byte, "the process that forks has died"
            pid += byte
        os.set_blocking(answered, False)
        return Program(int(pid), answered, ours)

    def _forker(self) -> socket.socket:
        if self._requests is None:
            self._requests, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.doubles.forker"],
                    stdin=theirs.fileno(),
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": str(ROOT)},
                )
        return self._requests


FORKER = Forker()
"""Closed at the end of the session, by a fixture."""
