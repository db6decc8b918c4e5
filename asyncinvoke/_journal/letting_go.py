"""Releases what a commit has covered: items to the workers, outcomes to the consumer."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from asyncinvoke._engine.journal import Journal, Redrive
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.recording import Ends, Prepared
from asyncinvoke._journal.deciding import Decided, Seen


class LettingGo:
    """Reports to the map what is recorded; on its event loop, and without blocking.

    Args:
        ends: What is called of the map.
        journal: Which items that failed are run again, and whether outcomes are replayed.
        seen: The keys of this session, in a run with keys.
        time: Tells the time, in seconds since the epoch.
    """

    def __init__(
        self, ends: Ends, journal: Journal, seen: Seen | None, *, time: Callable[[], float]
    ) -> None:
        self._ends = ends
        self._journal = journal
        self._seen = seen
        self._time = time
        self.open: dict[int, Prepared] = {}
        """Items with an intent and without an outcome, by index."""
        self.again: list[Prepared] = []
        """Items to run as another take that have no intent yet."""

    def ended(self, ended: list[tuple[Prepared, Outcome[Any]]]) -> None:
        """Release the outcomes of items that were sent."""
        seen = self._seen
        for prepared, _ in ended:
            del self.open[prepared.index]
            if seen is not None and prepared.key is not None:
                seen.add(prepared.row)
                seen.open.pop(prepared.key, None)
        if ended:
            self._ends.hand_out((prepared.index, outcome) for prepared, outcome in ended)

    def decided(self, decided: Decided, again: list[Prepared]) -> None:
        """Report the decisions about items that were read to the map.

        Args:
            decided: What was decided about them.
            again: Items of earlier batches that have their intents now.
        """
        ends = self._ends
        for prepared in decided.repeated:
            prepared.is_sent = True  # it has its mark already, and its intent
        for prepared in (*decided.fresh, *again, *decided.again, *decided.repeated):
            self.open[prepared.index] = prepared
            ends.work(prepared)
        for prepared, _, outcome, is_again in decided.lost:
            if self._seen is not None and prepared.key is not None:
                self._seen.open.pop(prepared.key, None)
            if is_again:
                self._drive_again(prepared, outcome)
            elif not self._is_driven_again(prepared, outcome):
                ends.made(prepared.index, outcome)
        for prepared, outcome in decided.twice:
            ends.made(prepared.index, replace(outcome, started=self._time()))
        self._replay(decided)
        for prepared in decided.skipped:
            ends.found(prepared.index, None)
        for prepared in decided.dropped:
            ends.dropped(prepared.index)

    def _replay(self, decided: Decided) -> None:
        replays = self._journal.replay and self._journal.results
        asked = {id(each.prepared) for each in decided.asked}
        for prepared, outcome in decided.outcomes:
            if id(prepared) in asked and self._is_driven_again(prepared, outcome):
                continue
            self._ends.found(prepared.index, outcome if replays else None)

    def _is_driven_again(self, prepared: Prepared, outcome: Outcome[Any]) -> bool:
        """Return whether an item that has failed is run again, or dropped since that is not known."""
        redrive = self._journal.redrive
        if isinstance(redrive, Redrive):
            again = Redrive.MAY_HAVE_RUN in redrive  # of others it was decided before
        else:
            try:
                again = redrive(outcome)
            except Exception as error:  # noqa: BLE001  # it is the caller's
                self._ends.dropped(prepared.index)
                self._ends.failed(error)
                return True
        if again:
            self._drive_again(prepared, outcome)
        return again

    def _drive_again(self, prepared: Prepared, outcome: Outcome[Any]) -> None:
        prepared.take = outcome.take + 1
        self.again.append(prepared)
