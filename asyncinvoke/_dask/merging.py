"""Merges the journals of finished shards while other shards still run, in a separate thread."""

import contextlib
import queue
import threading

from asyncinvoke._dask.plan import Plan
from asyncinvoke._journal.merging import Merging
from asyncinvoke._report.standing import unrecorded_note
from asyncinvoke.errors import JournalError
from asyncinvoke.runs import Merged, open_run

AT_ONCE = 8
"""The number of journals merged at once. The items of shards interleave, so merging one journal at
a time would rewrite every page of the merged journal each time."""


class Merger:
    """Merges the journals of shards as they end, until it is finished or abandoned.

    Args:
        plan: The run.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        # The number of a shard that has ended; then whether to finish or to abandon the merge.
        self._messages: queue.SimpleQueue[int | bool] = queue.SimpleQueue()
        self._merged: Merged | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="asyncinvoke-merge", daemon=True)
        self._thread.start()

    def ended(self, number: int) -> None:
        """Add the journal of a shard that has ended."""
        self._messages.put(number)

    def finish(self) -> Merged:
        """Merge the remaining journals, including those of failed shards; return the result.

        Raises:
            JournalError: A journal cannot be used.
        """
        self._messages.put(True)
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._merged is not None  # noqa: S101  # otherwise there is an error
        return self._merged

    def abandon(self) -> None:
        """Abandon the merge if it is not finished; no merged journal is created."""
        self._messages.put(False)
        self._thread.join()
        if self._merged is None and self._error is None:
            self._error = JournalError("the run was closed before its journals were merged")

    def _work(self) -> None:
        try:
            with Merging(self._plan.merged) as merging:
                waiting, added = set[int](), set[int]()
                while True:
                    message = self._messages.get()
                    if isinstance(message, bool):
                        break
                    waiting.add(message)
                    if len(waiting) == AT_ONCE:
                        self._add(merging, waiting)
                        added |= waiting
                        waiting.clear()
                if message:
                    self._add(merging, {*range(1, self._plan.shards + 1)} - added)
                    self._merged = merging.finish(self._notes())
        except Exception as error:  # noqa: BLE001  # raised by `finish`
            self._error = error

    def _notes(self) -> dict[str, object]:
        """Return the notes of the merged journal: how many items no journal could record."""
        summaries = []
        for number in range(1, self._plan.shards + 1):
            with contextlib.suppress(JournalError), open_run(self._plan.journal(number)) as run:
                summaries.append(run.summary())
        return unrecorded_note(summaries)

    def _add(self, merging: Merging, numbers: set[int]) -> None:
        paths = [self._plan.journal(number) for number in sorted(numbers)]
        existing = [path for path in paths if path.is_file()]
        if existing:
            merging.add(existing)
