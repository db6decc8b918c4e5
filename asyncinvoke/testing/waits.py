"""A process-wide mode that keeps every attempt and skips the waits between them."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from asyncinvoke._clock import clocks_from
from asyncinvoke.testing.clock import InstantClock


class NoWaits:
    """The block that `no_waits` gives."""

    def __init__(self) -> None:
        self._clocks: list[InstantClock] = []
        self._blocks: list[AbstractContextManager[None]] = []

    def __enter__(self) -> Self:
        block = clocks_from(self._new_clock)
        block.__enter__()
        self._blocks.append(block)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._blocks.pop().__exit__(exc_type, exc, traceback)

    @property
    def slept(self) -> list[float]:
        """The waits so far of all invokers that were opened in the block, in seconds.

        Those between attempts, and those of a limit that moves for its next permit.
        """
        return [seconds for clock in list(self._clocks) for seconds in clock.slept]

    def _new_clock(self) -> InstantClock:
        # One for each invoker: a wait of one must not bring the deadlines of another nearer.
        clock = InstantClock()
        self._clocks.append(clock)
        return clock


def no_waits() -> NoWaits:
    """Skip the waits of every invoker that is opened in the block, wherever the code opens it.

    For code that makes its own invokers: `with no_waits(): ...`. It holds for the whole process,
    other threads included; blocks may be nested and overlap. An invoker keeps its clock when the
    block ends, one that was open before keeps its waits, and one that is given a clock uses that.

    What is skipped are waits alone, as `InstantClock` says: attempts take the time that they take.
    """
    return NoWaits()
