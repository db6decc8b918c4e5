"""Releases what a commit has covered: items to the workers, outcomes to the consumer."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from asyncinvoke._engine.journal import Journal, Redrive
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._engine.recording import MapCallbacks
from asyncinvoke._journal.deciding import Decided
from asyncinvoke._journal.identity import SeenRows
from asyncinvoke._journal.pending import CommitBatch, Pending


class Releaser:
    """Reports to the map what is recorded; on its event loop, and without blocking.

    Args:
        callbacks: The callbacks of the map.
        journal: The journal options: which failed items run again, and whether outcomes are replayed.
        pending: The items of the session.
        seen: The keys of this session, in a run with keys.
        time: Returns the time, in seconds since the epoch.
    """

    def __init__(
        self,
        callbacks: MapCallbacks,
        journal: Journal,
        pending: Pending,
        seen: SeenRows | None,
        *,
        time: Callable[[], float],
    ) -> None:
        self._callbacks = callbacks
        self._journal = journal
        self._pending = pending
        self._seen = seen
        self._time = time

    def release(self, batch: CommitBatch, decided: Decided) -> None:
        """Release what a commit has recorded.

        Args:
            batch: The batch, as it was before the decisions about the items read.
            decided: Those decisions.
        """
        self._release_ended(batch.ended)
        self._release_to_workers(batch, decided)
        callbacks = self._callbacks
        for prepared, sent, is_again in decided.lost:
            if is_again:
                self._run_again(prepared, sent.outcome)
            elif not self._is_redriven(prepared, sent.outcome):
                callbacks.made(prepared.index, sent.outcome)
        # In the order of the input, so that a consumer knows those that it had by the last of them.
        for prepared, outcome in sorted(decided.unnamed, key=lambda each: each[0].index):
            callbacks.made(prepared.index, replace(outcome, started=self._time()))
        self._replay(decided)
        for prepared in decided.skipped:
            callbacks.found(prepared.index, None)
        for prepared in decided.dropped:
            callbacks.dropped(prepared.index)

    def _release_ended(self, ended: list[Prepared]) -> None:
        seen, open_ = self._seen, self._pending.open
        for prepared in ended:
            del open_[prepared.index]
            if seen is not None and prepared.key is not None:
                seen.add(prepared.row)
                seen.open.pop(prepared.key, None)
        if ended:
            self._callbacks.hand_out([prepared.outcome for prepared in ended])

    def _release_to_workers(self, batch: CommitBatch, decided: Decided) -> None:
        for prepared in decided.repeated:
            prepared.is_sent = True  # it already has an intent and a mark
        released = [*decided.fresh, *batch.again, *decided.again, *decided.repeated]
        self._pending.open.update((prepared.index, prepared) for prepared in released)
        self._callbacks.work(released)

    def _replay(self, decided: Decided) -> None:
        replays = self._journal.replay and self._journal.results
        asked = {id(each.prepared) for each in decided.asked}
        for prepared, outcome in decided.outcomes:
            if id(prepared) in asked and self._is_redriven(prepared, outcome):
                continue
            self._callbacks.found(prepared.index, outcome if replays else None)

    def _is_redriven(self, prepared: Prepared, outcome: Outcome[Any]) -> bool:
        """Return whether a failed item runs again, or is dropped because that is not known."""
        redrive = self._journal.redrive
        if isinstance(redrive, Redrive):
            again = Redrive.MAY_HAVE_RUN in redrive  # other states were decided on before
        else:
            try:
                again = redrive(outcome)
            except Exception as error:  # noqa: BLE001  # the caller's function may raise anything
                self._callbacks.dropped(prepared.index)
                self._callbacks.failed(error)
                return True
        if again:
            self._run_again(prepared, outcome)
        return again

    def _run_again(self, prepared: Prepared, outcome: Outcome[Any]) -> None:
        prepared.take = outcome.take + 1
        self._pending.again.append(prepared)
