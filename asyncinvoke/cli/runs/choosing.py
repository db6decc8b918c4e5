"""Which items a redrive runs again: decided on what is recorded of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asyncinvoke import FunctionError, InvocationError, Outcome
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.runs import RecordedCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What `runs redrive` was told; within a kind any will do, and all kinds must agree."""

    causes: tuple[int, ...] = ()
    errors: tuple[str, ...] = ()
    error_types: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()
    may_have_run: bool = False
    """Whether it is what may have run that runs again; else what surely did not, or said so."""

    def chosen(self, causes: Sequence[RecordedCause]) -> tuple[RecordedCause, ...]:
        """Return those causes whose items run again, as far as causes tell.

        Raises:
            CommandError: One was named that the run does not have, or that may have run.
        """
        known = {cause.number: cause for cause in causes}
        for number in self.causes:
            cause = known.get(number)
            if cause is None:
                numbers = ", ".join(map(str, sorted(known))) or "none"
                raise CommandError(f"--cause {number}: there is no such cause; there are {numbers}")
            if (cause.delivery == "unknown") != self.may_have_run:
                raise CommandError(
                    f"--cause {number}: its items may have run: look, and add --may-have-run"
                    if cause.delivery == "unknown"
                    else f"--cause {number}: its items surely did not run, or said that they "
                    "failed: leave --may-have-run out"
                )
        return tuple(cause for cause in causes if self._has_cause(cause))

    def matches(self, causes: Sequence[RecordedCause]) -> Callable[[Outcome[Any]], bool]:
        """Return what says of a recorded outcome whether its item runs again."""
        wanted = {_key(cause) for cause in self.chosen(causes)}

        def is_chosen(outcome: Outcome[Any]) -> bool:
            if self.keys and outcome.key not in self.keys:
                return False
            if self.positions and outcome.index not in self.positions:
                return False
            return _key_of(outcome) in wanted

        return is_chosen

    def _has_cause(self, cause: RecordedCause) -> bool:
        return (
            (cause.delivery == "unknown") == self.may_have_run
            and (not self.causes or cause.number in self.causes)
            and (not self.errors or cause.error in self.errors)
            and (not self.error_types or cause.error_type in self.error_types)
            and (not self.codes or cause.code in self.codes)
        )


def _key(cause: RecordedCause) -> tuple[str | None, ...]:
    return cause.error, cause.code, cause.error_type, cause.delivery, cause.gave_up


def _key_of(outcome: Outcome[Any]) -> tuple[str | None, ...]:
    error = outcome.error
    if not isinstance(error, InvocationError):
        return type(error).__name__, None, None, None, None
    return (
        type(error).__name__,
        None if error.code is None else str(error.code),
        error.error_type if isinstance(error, FunctionError) else None,
        error.delivery.value,
        None if error.gave_up is None else error.gave_up.value,
    )
