"""A process that forks Python programs on demand, so that modules are imported only once.

Each byte on standard input, a socket, asks for one program, by five descriptors that come with it: what is
asked (JSON of the interpreter's arguments, a folder and an environment), the three standard streams, and a
pipe on which first the process id is answered and then how it ended. A program runs as `python` with
these arguments would run it, and has a process, an environment, signals and an end of its own. What it
imports of the package, and of what the package needs, is there already.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

import asyncinvoke

LEFT_OUT = {"__main__", "dask", "part"}
"""Modules that run when they are imported, or that no program needs."""

AHEAD = ["aiobotocore.session", "aiohttp", "anyio._backends._asyncio", "rich.progress", "trio"]
"""Other modules that programs import."""


def serve() -> None:
    """Fork a program for each request, until there are no more."""
    import_everything()
    gc.freeze()
    requests = socket.socket(fileno=os.dup(0))
    asks = requests.fileno()
    woken, waker = os.pipe()
    for descriptor in (woken, waker):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    answers: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asks, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            report_exit_statuses(answers)
        if asks not in ready:
            continue
        byte, descriptors, _, _ = socket.recv_fds(requests, 1, 5)
        if not byte:
            return
        asked, *standard, answer = descriptors
        pid = os.fork()
        if not pid:
            run_as_interpreter(json.loads(read(asked)), standard)
        for descriptor in (asked, *standard):
            os.close(descriptor)
        answers[pid] = answer
        tell(answer, pid)


def import_everything() -> None:
    names = [each.name for each in pkgutil.walk_packages(asyncinvoke.__path__, "asyncinvoke.")]
    for name in [*AHEAD, *names]:
        if LEFT_OUT.isdisjoint(name.split(".")):
            with contextlib.suppress(ImportError):  # an extra that is not installed
                importlib.import_module(name)


def report_exit_statuses(answers: dict[int, int]) -> None:
    """Report the exit status of each program that has ended."""
    while answers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        answer = answers.pop(pid)
        tell(answer, os.waitstatus_to_exitcode(status))
        os.close(answer)


def tell(answer: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # no one waits for it any more
        os.write(answer, b"%d\n" % number)


def read(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


def run_as_interpreter(asked: dict[str, Any], standard: list[int]) -> NoReturn:
    """Run the program in this process as a new interpreter would, and exit."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
    os.closerange(3, 256)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    status = 1
    try:
        run(*asked["arguments"])
        status = 0
    except SystemExit as ended:
        status = exit_status(ended)
    except BaseException:
        traceback.print_exc()
    end(status)


def run(program: str, *arguments: str) -> None:
    """Run a module, after `-m`, or a file."""
    if program == "-m":
        module, *rest = arguments
        sys.path.insert(0, str(Path.cwd()))
        sys.argv = [module, *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(program).resolve().parent))
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")


def exit_status(ended: SystemExit) -> int:
    """Return the interpreter's exit status for it."""
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    sys.stderr.write(f"{ended.code}\n")
    return 1


def end(status: int) -> NoReturn:
    """Finalize as an interpreter does, but without clearing all modules, which takes long."""
    threading._shutdown()  # type: ignore[attr-defined]  # it is not public, and nothing else does it
    atexit._run_exitfuncs()
    gc.collect()  # objects that were left open warn now
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:
        traceback.print_exc()
        status = 120
    os._exit(status)


if __name__ == "__main__":
    serve()
