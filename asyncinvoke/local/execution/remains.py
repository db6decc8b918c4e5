"""The guardian process, which removes what an endpoint leaves behind when it is killed.

This file is also a program that imports nothing from this package. It outlives an endpoint killed by
any signal, and then kills the processes that the endpoint has started and deletes its directories. It
reads them from standard input, one per line: `+` or `-`, a kind, `p` for processes or `d` for a
directory, and a name. The endpoint has ended when it says `end`, or the input ends.

Processes are identified by the name of their log stream, which is unique to an environment and
inherited by everything that a handler starts, in any session or process group.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Collection

MARK = b"AWS_LAMBDA_LOG_STREAM_NAME="
"""The environment variable that identifies processes."""

END = b"end"
"""The line by which the endpoint says that it has ended."""

ROUNDS = 20
"""The maximum number of passes, to find processes started during the previous one."""

CHECK_INTERVAL = 1.0
"""Seconds between two checks of the endpoint's pid: a fork of it may keep the pipe open."""


def kill_marked(marks: Collection[str]) -> None:
    """Kill all processes that have one of these log streams in their environment."""
    wanted = {mark.encode() for mark in marks}
    for _ in range(ROUNDS):
        if not any([_kill(int(name), wanted) for name in _processes()]):  # noqa: C419  # kill all, not only the first
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
        # Check again: the pid may have been reused before the descriptor was opened.
        if not _is_marked(pid, wanted):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        _is_readable(descriptor, CHECK_INTERVAL)  # wait for its end
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_readable(descriptor: int, seconds: float) -> bool:
    """Wait until a descriptor is readable; return whether it is."""
    poll = select.poll()  # `select.select` takes no descriptor above 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _is_marked(pid: int, wanted: Collection[bytes]) -> bool:
    until = time.monotonic() + CHECK_INTERVAL
    try:
        while not (variables := _read(f"/proc/{pid}/environ")):
            if not _is_loading(pid):
                variables = _read(f"/proc/{pid}/environ")  # it was loading before
                break
            if time.monotonic() > until:
                break
            time.sleep(0.001)
    except OSError:
        return False
    _, found, rest = (b"\0" + variables).partition(b"\0" + MARK)
    return bool(found) and rest.partition(b"\0")[0] in wanted


def _is_loading(pid: int) -> bool:
    """Return whether a process is within `exec`: it has its program, but not yet its environment.

    Whoever started it goes on already. A process of the kernel has no program.
    """
    os.readlink(f"/proc/{pid}/exe")
    _, _, fields = _read(f"/proc/{pid}/stat").rpartition(b")")  # the name may have blanks
    return fields.split()[_ENV_START] == b"0"


_ENV_START = 47
"""The index of `env_start` in `/proc/PID/stat`, counted after the name."""


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _watch(endpoint: int) -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    there: dict[bytes, set[str]] = {b"p": set(), b"d": set()}
    unread = b""
    while True:
        # Asked before reading: whatever the endpoint wrote before its end is in the pipe then.
        has_ended = os.getppid() != endpoint
        if not _is_readable(0, 0 if has_ended else CHECK_INTERVAL):
            if has_ended:
                break
            continue
        read = os.read(0, 65_536)
        if not read:
            break
        *lines, unread = (unread + read).split(b"\n")
        for line in lines:
            if line != END:
                names = there[line[1:2]]
                (names.add if line[:1] == b"+" else names.discard)(os.fsdecode(line[2:]))
        if END in lines:
            break
    if there[b"p"]:
        kill_marked(there[b"p"])
    for directory in there[b"d"]:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _watch(int(sys.argv[1]))
