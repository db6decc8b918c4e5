"""What an endpoint may leave behind, and a process that clears it away once the endpoint is gone.

This file is also a program, started without anything of this package: it outlives an endpoint that
was killed, by whatever signal, and then ends what the endpoint has started and deletes its folders.
On its standard input it is told what there is: `+`, `-` and a kind, `p` for processes or `d` for a
directory, then a name. The end of its input is the end of the endpoint.

Processes are known by the name of their log stream, which no two environments share and which all
that a handler starts inherits, in whatever session or group it is.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
from collections.abc import Collection

MARK = b"AWS_LAMBDA_LOG_STREAM_NAME="
"""The variable by which processes are known."""

ROUNDS = 20
"""How often it is looked for processes that came while others were ended."""

LOOK = 1.0
"""Seconds between two looks whether the endpoint is there: a fork of it may hold the pipe open."""


def kill_marked(marks: Collection[str]) -> None:
    """Kill every process that has one of these log streams in its environment."""
    wanted = {mark.encode() for mark in marks}
    for _ in range(ROUNDS):
        if not any([_kill(int(name), wanted) for name in _processes()]):  # noqa: C419  # all of them
            return


def _processes() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:  # not Linux
        return []


def _kill(pid: int, wanted: Collection[bytes]) -> bool:
    if pid == os.getpid() or not _is_marked(pid, wanted):
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # Looked at again: the number may be another process's by now, and the descriptor is not.
        if not _is_marked(pid, wanted):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [], LOOK)  # until it has ended
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_marked(pid: int, wanted: Collection[bytes]) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read()
    except OSError:
        return False
    _, found, rest = (b"\0" + variables).partition(b"\0" + MARK)
    return bool(found) and rest.partition(b"\0")[0] in wanted


def _watch(endpoint: int) -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    there: dict[bytes, set[str]] = {b"p": set(), b"d": set()}
    unread = b""
    while os.getppid() == endpoint:
        if not select.select([0], [], [], LOOK)[0]:
            continue
        read = os.read(0, 65_536)
        if not read:
            break
        *lines, unread = (unread + read).split(b"\n")
        for line in lines:
            names = there[line[1:2]]
            (names.add if line[:1] == b"+" else names.discard)(os.fsdecode(line[2:]))
    if there[b"p"]:
        kill_marked(there[b"p"])
    for directory in there[b"d"]:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _watch(int(sys.argv[1]))
