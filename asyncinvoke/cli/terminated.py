"""SIGTERM and SIGHUP as exceptions, so that synchronous work cleans up before the process ends."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

NUMBERS = (signal.SIGTERM, signal.SIGHUP)


class TerminatedError(SystemExit):
    """A signal other than SIGINT ends the process, as `KeyboardInterrupt` does for SIGINT.

    Event loops let only `SystemExit` and `KeyboardInterrupt` through.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


@contextlib.contextmanager
def raised_signals() -> Iterator[None]:
    """Raise `TerminatedError` in the block at a signal that would otherwise kill the process.

    A process that is killed leaves unfinished files, and uploads that cost storage. Signals that are
    handled or ignored already, as under `nohup` or within an event loop, are left as they are.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in NUMBERS:
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, raise_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_signal(number: int, _: FrameType | None) -> NoReturn:
    """Raise the exception for a signal; a signal handler.

    A SIGHUP after it has no effect, or it would cut off the cleaning up: when a terminal is closed,
    the system sends one, and the shell another.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise TerminatedError(number)
