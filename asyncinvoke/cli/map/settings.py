"""The settings of a bulk run, as given on the command line and as kept in its journal."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import click

from asyncinvoke import (
    Backoff,
    FunctionError,
    InvalidRequestError,
    Outcome,
    Redrive,
    RetryPolicy,
    Tolerance,
)
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.options import SharedOptions

COMMAND = "command"
"""The name of the note that says how a run was started, so that it can be repeated."""

VERBS = {"RequestResponse": "succeeded", "Event": "accepted", "DryRun": "valid"}
"""What items have done that did not fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """The settings of a bulk run, as the command line gives them."""

    function_name: str
    source: str
    format: str | None
    key: str | None
    payload_template: str | None
    head: int | None
    rate: float | None
    sample_logs: float | None = None
    whole_output: str | None = None
    """What is written when the run has ended, in place of `output`."""
    concurrency: int
    ordered: bool
    invocation_type: str
    tolerance: Tolerance | None
    retries: int | None
    retry_function_errors: bool
    journal: str | None
    grace: float
    output: str | None
    force: bool
    progress: str
    shared: SharedOptions
    batch: int | None = None
    shape: str | None = None
    shard: str | None = None
    redrive: Redrive | Callable[[Outcome[Any]], bool] = field(default=Redrive.NONE)

    @property
    def verb(self) -> str:
        """What items have done that did not fail."""
        return VERBS[self.invocation_type]

    def as_note(self) -> dict[str, object]:
        """Return what it takes to repeat the run, as JSON can hold it."""
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("journal", "force", "progress", "redrive"):
            del kept[name]
        is_local = self.source != "-" and "://" not in self.source
        kept["tolerance"] = shown_tolerance(self.tolerance)
        kept["source_path"] = str(Path(self.source).absolute()) if is_local else self.source
        if self.output not in (None, "-"):
            kept["output"] = str(Path(str(self.output)).absolute())
        return kept

    @classmethod
    def from_note(cls, note: Mapping[str, Any], journal: str) -> "Bulk":
        """Return the settings that a note has kept.

        Raises:
            CommandError: They are of another version.
        """
        kept = {each.name: note[each.name] for each in fields(cls) if each.name in note}
        try:
            kept["tolerance"] = parse_tolerance(kept["tolerance"])
            kept["source"] = note["source_path"]
            kept["shared"] = cast("SharedOptions", dict(kept["shared"]))
            return cls(**kept, journal=journal, force=False, progress="auto")
        except (KeyError, TypeError, ValueError) as error:
            raise CommandError(
                f"{journal}: it does not say how it was started: repeat it with `asyncinvoke map`"
            ) from error


RETRIES = 4
"""As many as `RetryPolicy.batch()` has."""


def retry_policy(retries: int | None, *, function_errors: bool) -> RetryPolicy:
    """Return the policy of a bulk run.

    Args:
        retries: How often a line is tried again after a failure that is no throttle; `None` for
            the usual. What is throttled, or surely was not sent, waits in any case.
        function_errors: Whether lines are tried again whose function raised an error.
    """
    usual = RetryPolicy.batch()
    if retries is None and not function_errors:
        return usual
    backoff = None
    if retries != 0:
        backoff = _up_to(RETRIES if retries is None else retries, like=usual.service)
    return replace(
        usual,
        service=backoff,
        transport=backoff,
        function=_only_raised(backoff) if function_errors else None,
    )


def _up_to(retries: int, *, like: Backoff | None) -> Backoff:
    wait = (lambda _: 1.0) if like is None else like.wait
    return Backoff(wait=wait, stop=lambda state: state.attempt_number > retries)


def _only_raised(backoff: Backoff | None) -> Backoff | None:
    """Leave out what the platform has ended: it ran out of time or memory, and would again."""
    if backoff is None:
        return None
    return replace(
        backoff,
        when=lambda error: not (isinstance(error, FunctionError) and error.by_platform),
    )


def tolerance_option(
    _ctx: click.Context, param: click.Parameter, value: str | None
) -> Tolerance | None:
    """Return what an option says; the callback of those that take a tolerance."""
    try:
        return None if value is None else parse_tolerance(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from None


def parse_tolerance(text: str) -> Tolerance | None:
    """Return the tolerance that a text says.

    Raises:
        ValueError: It says none; the message quotes it.
    """
    if text == "none":
        return None
    share = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    try:
        if share is not None:
            return Tolerance(share=float(share[1]) / 100)
        if re.fullmatch(r"\d{1,18}", text):
            return Tolerance(int(text))
    except InvalidRequestError:
        pass
    raise ValueError(f"{text!r} is neither a number such as 100, a share such as 2%, nor none")


def shown_tolerance(tolerance: Tolerance | None) -> str:
    """Return the text for a tolerance."""
    if tolerance is None:
        return "none"
    if tolerance.share is not None:
        return f"{tolerance.share * 100:.10g}%"
    return str(tolerance.count)
