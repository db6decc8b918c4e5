"""SIGTERM and SIGHUP as exceptions, so that synchronous work cleans up before the process ends."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn


class TerminatedError(BaseException):
    """A signal other than SIGINT ends the process, as `KeyboardInterrupt` does for SIGINT.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextlib.contextmanager
def raised_signals() -> Iterator[None]:
    """Raise `TerminatedError` in the block at a signal that would otherwise kill the process.

    A process that is killed leaves unfinished files, and uploads that cost storage. Signals that are
    handled or ignored already, as under `nohup` or within an event loop, are left as they are.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _: FrameType | None) -> NoReturn:
    raise TerminatedError(number)
