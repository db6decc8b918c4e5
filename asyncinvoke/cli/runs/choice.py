"""Which items `asyncinvoke runs redrive` runs again: its filters, as a decision on recorded values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from asyncinvoke import Outcome
from asyncinvoke._report.standing import NO_CAUSE, cause_among, key_of
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.runs import RecordedCause, RecordedRun, RunSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The filters of `runs redrive`: one of each kind must match, and all kinds must match."""

    causes: tuple[int, ...] = ()
    errors: tuple[str, ...] = ()
    error_types: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()
    may_have_run: bool = False
    """Whether to run the items that may have run, instead of those known to have failed."""

    @property
    def is_all(self) -> bool:
        """Whether there are no filters."""
        of_causes = self.causes or self.errors or self.error_types or self.codes
        return not (of_causes or self.keys or self.positions)

    def count(self, run: RecordedRun, summary: RunSummary, chosen: Sequence[RecordedCause]) -> int:
        """Return the number of items that run again, of those that have ended or may have run."""
        if self.is_all and self.may_have_run:
            return summary.may_have_run
        if not (self.keys or self.positions):
            return sum(cause.count for cause in chosen)
        states = {"may_have_run"} if self.may_have_run else {"not_run", "failed"}
        numbers = {cause.number for cause in chosen}
        named = chain(
            (run.item(key=key) for key in set(self.keys)),
            (run.item(position=position) for position in set(self.positions)),
        )
        return sum(
            item is not None and item.state in states and (item.cause or NO_CAUSE) in numbers
            for item in named
        )

    def chosen(self, causes: Sequence[RecordedCause]) -> tuple[RecordedCause, ...]:
        """Return the causes that match, ignoring the filters by key and position.

        Raises:
            CommandError: A cause number is unknown, or contradicts `may_have_run`.
        """
        known = {cause.number: cause for cause in causes}
        for number in self.causes:
            cause = known.get(number)
            if cause is None:
                numbers = ", ".join(map(str, sorted(known.keys() - {NO_CAUSE}))) or "none"
                raise CommandError(f"--cause {number}: no such cause; the causes are {numbers}")
            if (cause.delivery == "unknown") != self.may_have_run:
                raise CommandError(
                    f"--cause {number}: its items may have run: check them, and add --may-have-run"
                    if cause.delivery == "unknown"
                    else f"--cause {number}: its items did not run, or reported an error: "
                    "omit --may-have-run"
                )
        return tuple(cause for cause in causes if self._has_cause(cause))

    def matches(self, causes: Sequence[RecordedCause]) -> Callable[[Outcome[Any]], bool]:
        """Return a predicate that selects the recorded outcomes whose items run again."""
        known = {key_of(cause) for cause in causes}
        wanted = {key_of(cause) for cause in self.chosen(causes)}

        def is_chosen(outcome: Outcome[Any]) -> bool:
            if self.keys and outcome.key not in self.keys:
                return False
            if self.positions and outcome.index not in self.positions:
                return False
            return outcome.error is not None and cause_among(outcome.error, known) in wanted

        return is_chosen

    def _has_cause(self, cause: RecordedCause) -> bool:
        return (
            (cause.delivery == "unknown") == self.may_have_run
            and (not self.causes or cause.number in self.causes)
            and (not self.errors or cause.error in self.errors)
            and (not self.error_types or cause.error_type in self.error_types)
            and (not self.codes or cause.code in self.codes)
        )
