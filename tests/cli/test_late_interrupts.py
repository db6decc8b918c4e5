"""Ctrl-C after the work is done ends the command without a traceback."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from asyncinvoke.cli import running
from asyncinvoke.cli.terminated import TerminatedError, raised_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_event_loop_closes_changes_nothing(number: signal.Signals) -> None:
    reached = []

    async def pressed_at_the_end() -> AsyncIterator[None]:
        try:
            yield
        finally:  # the loop closes remaining generators
            os.kill(os.getpid(), number)
            reached.append(True)

    generator = pressed_at_the_end()

    async def main(_: running.Interrupt) -> int:
        await anext(generator)
        return 3

    before = signal.getsignal(number)
    try:
        assert running.run(main) == 3
    except KeyboardInterrupt:  # which would end the tests
        pytest.fail("the loop was interrupted as it closed")
    assert reached == [True]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminatedError)]
)
def test_a_loop_that_does_not_close_is_ended(
    number: signal.Signals, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_CLOSES_WITHIN", -1.0)

    async def pressed_at_the_end() -> AsyncIterator[None]:
        try:
            yield
        finally:
            os.kill(os.getpid(), number)

    generator = pressed_at_the_end()

    async def main(_: running.Interrupt) -> int:
        await anext(generator)
        return 3

    with pytest.raises(raised):
        running.run(main)


LATE = """
import os, signal, sys, threading
from asyncinvoke.cli import main

def press():
    threading.main_thread().join()
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait()  # so that the interpreter waits for this thread

threading.Thread(target=press).start()
sys.argv = ["asyncinvoke", "--version"]
main()
"""


CUT_OFF = """
from asyncinvoke.cli import running

async def generate():
    try:
        yield
    finally:
        raise ValueError("cut off")

generator = generate()

async def main(_):
    await anext(generator)
    return 0

running.run(main)
"""


def test_abandoned_tasks_print_nothing_as_the_event_loop_closes() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CUT_OFF], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_interrupt_while_the_interpreter_exits_shows_no_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.startswith("asyncinvoke ")
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


IMPORTING = """
import os, signal, sys
from asyncinvoke.cli import main

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "asyncinvoke.cli.app":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Finder())
main()
"""

STARTING = """
import os, signal
from asyncinvoke.cli import running
from asyncinvoke.cli.terminated import raised_signals

async def main(_):
    os.kill(os.getpid(), signal.SIGTERM)  # before signals are watched
    return 0

with raised_signals():
    running.run(main)
"""


@pytest.mark.parametrize("program", [IMPORTING, STARTING], ids=["importing", "starting its loop"])
def test_a_command_that_is_terminated_as_it_starts_ends_with_the_documented_status(
    program: str,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (143, "")


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_the_second_hangup_of_a_closed_terminal_does_not_cut_off_the_cleaning_up(
    first: signal.Signals,
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    cleaned = []

    @raised_signals()
    def work() -> None:
        try:
            signal.raise_signal(first)
        finally:
            signal.raise_signal(signal.SIGHUP)
            cleaned.append(True)

    try:
        with pytest.raises(TerminatedError) as raised:
            work()
        assert (raised.value.number, cleaned) == (first, [True])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
