"""An item of a recorded map, and the marks of its attempts."""

import contextlib
from collections.abc import Sequence
from typing import Any, Protocol

from asyncinvoke._engine.calls import Call
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._model.delivery import Delivery, Phase, Progress
from asyncinvoke._model.response import Attempt
from asyncinvoke.errors import InvalidRequestError, JournalError


class Marks(Protocol):
    """The marks of a run: whether a request with an item may have been sent."""

    def mark(self, row: int) -> None:
        """Record that a request with the item of this row is about to be sent.

        Raises:
            JournalError: It cannot be recorded.
        """
        ...

    def unmark(self, row: int) -> None:
        """Record that the item of this row certainly has not run so far."""
        ...


class AttemptMarks(Protocol):
    """Records of what an execution sends whether it may have run."""

    def begin(self, progress: Progress) -> None:
        """Record that it may have run from now on: an attempt is about to be sent.

        Args:
            progress: The progress of the attempt.

        Raises:
            JournalError: It cannot be recorded. Nothing is sent.
        """
        ...

    def ended(self, *, did_not_run: bool) -> None:
        """Record that the attempt has failed, and whether it certainly did not run."""
        ...

    def cancelled(self) -> None:
        """Record that the execution was cancelled, perhaps between two attempts."""
        ...


class Prepared:
    """An item of a recorded map, encoded and ready to be sent; it has the marks of its own attempts.

    It is marked before its first request, and unmarked if it certainly did not run. So if the process
    dies while a throttled item waits for its next attempt, the item does not count as one that may
    have run. An item in a batch is marked by `BatchMarks`.
    """

    __slots__ = (
        "body",
        "call",
        "digest",
        "error",
        "index",
        "is_marked",
        "is_sent",
        "key",
        "lost",
        "marks",
        "outcome",
        "progress",
        "row",
        "take",
    )

    def __init__(
        self,
        marks: Marks,
        index: int,
        key: str | None,
        call: Call | None,
        body: bytes,
        error: InvalidRequestError | None = None,
    ) -> None:
        self.marks: Marks = marks
        self.index: int = index
        self.key: str | None = key
        self.call: Call | None = call
        self.body: bytes = body
        self.error: InvalidRequestError | None = error
        """Why the item is invalid, if it is."""
        self.digest: bytes | None = None
        """The digest of the request; set by the recorder."""
        self.row: int = -1
        """The row of the item in the journal; set by the recorder."""
        self.take: int = 1
        """How many times the item has been run, including this time."""
        self.lost: Attempt | None = None
        """The attempt of an earlier process that died during it, if there was one."""
        self.is_sent: bool = False
        """Whether the function may already have run."""
        self.is_marked: bool = False
        """Whether the current attempt has marked it."""
        self.progress: Progress
        """The progress of the current attempt."""
        self.outcome: Outcome[Any]
        """How the item has ended; set by the recorder, not before. A pair of item and outcome, for each
        item that waits for a commit, would be one more object that every garbage collection visits."""

    def begin(self, progress: Progress) -> None:
        """Mark the item, for an attempt that is about to be sent."""
        self.progress = progress
        if not self.is_sent:
            self.marks.mark(self.row)
            self.is_sent = self.is_marked = True  # not before: without its mark it is not sent

    def ended(self, *, did_not_run: bool) -> None:
        """Unmark the item if a failed attempt has marked it, and certainly did not run."""
        was_marked, self.is_marked = self.is_marked, False
        if was_marked and did_not_run:
            self.is_sent = False
            self.marks.unmark(self.row)

    def cancelled(self) -> None:
        """Unmark it if the current attempt was cancelled before it was sent.

        A cancellation is raised only at an `await`, where the recorded phase is correct. An
        interrupt may be raised between writing a request and recording that, so it does not justify
        removing a mark. A custom transport may not record any phase.
        """
        if self.is_marked:
            phase = self.progress.phase
            noted = phase is not Phase.NOT_BEGUN
            self.ended(did_not_run=noted and phase.delivery is Delivery.NOT_SENT)


class BatchMarks:
    """The marks of the items of a batch, which are sent together.

    Args:
        items: The items.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Sequence[Prepared]) -> None:
        self._items = items

    def begin(self, progress: Progress) -> None:
        """Mark the items, for an attempt that is about to be sent."""
        try:
            for item in self._items:
                item.begin(progress)
        except BaseException:  # as of a full disk: nothing is sent
            for item in self._items:
                with contextlib.suppress(JournalError):
                    item.ended(did_not_run=True)
            raise

    def ended(self, *, did_not_run: bool) -> None:
        """Unmark the items that a failed attempt has marked, if it certainly did not run."""
        for item in self._items:
            item.ended(did_not_run=did_not_run)

    def cancelled(self) -> None:
        """Unmark them if the current attempt was cancelled before it was sent."""
        for item in self._items:
            item.cancelled()
