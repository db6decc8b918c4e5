"""A process-wide mode that keeps every attempt and skips the waits between them."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from asyncinvoke._clock import clocks_from
from asyncinvoke.testing.clock import InstantClock


class NoWaits:
    """The context manager returned by `no_waits`."""

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
        """The skipped waits of all invokers opened in the block, in seconds.

        These are the waits between attempts, and those of an adaptive limit for its next permit.
        """
        return [seconds for clock in list(self._clocks) for seconds in clock.slept]

    def _new_clock(self) -> InstantClock:
        # One clock per invoker: a wait of one must not advance the deadlines of another.
        clock = InstantClock()
        self._clocks.append(clock)
        return clock


def no_waits() -> NoWaits:
    """Skip the waits of every invoker that is opened in the block.

    For code that opens its own invokers: `with no_waits(): ...`. It applies to the whole process,
    including other threads; blocks can be nested and overlap. An invoker keeps its clock when the
    block ends. Invokers opened before the block, or with an explicit clock, are not affected.

    Only waits are skipped, as described in `InstantClock`; attempts take real time.
    """
    return NoWaits()
