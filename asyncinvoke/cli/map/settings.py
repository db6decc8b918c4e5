"""The settings of a bulk run, as given on the command line and as kept in its journal."""

import os
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
"""The name of the note that records how a run was started, so that it can be repeated."""

VERBS = {"RequestResponse": "succeeded", "Event": "accepted", "DryRun": "valid"}
"""The word for items that did not fail."""


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
    """The output written when the run has ended, in place of `output`."""
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
    changed: str = "refuse"
    """What to do with an item whose payload has changed; a value of `Changed`."""
    redrive: Redrive | Callable[[Outcome[Any]], bool] = field(default=Redrive.NONE)

    @property
    def verb(self) -> str:
        """The word for items that did not fail."""
        return VERBS[self.invocation_type]

    def as_note(self) -> dict[str, object]:
        """Return the settings needed to repeat the run, as JSON values."""
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("journal", "force", "progress", "redrive"):
            del kept[name]
        is_local = self.source != "-" and "://" not in self.source
        kept["tolerance"] = shown_tolerance(self.tolerance)
        kept["source_path"] = (
            str(Path(lasting(self.source)).absolute()) if is_local else self.source
        )
        if self.output not in (None, "-"):
            kept["output"] = str(Path(str(self.output)).absolute())
        return kept

    @classmethod
    def from_note(cls, note: Mapping[str, Any], journal: str) -> "Bulk":
        """Return the settings stored in a note.

        Raises:
            CommandError: Another version wrote the note.
        """
        kept = {each.name: note[each.name] for each in fields(cls) if each.name in note}
        try:
            kept["tolerance"] = parse_tolerance(kept["tolerance"])
            kept["source"] = note["source_path"]
            kept["shared"] = cast("SharedOptions", dict(kept["shared"]))
            return cls(**kept, journal=journal, force=False, progress="auto")
        except (KeyError, TypeError, ValueError) as error:
            raise CommandError(
                f"{journal}: it does not record how it was started: repeat it with `asyncinvoke map`"
            ) from error


RETRIES = 4
"""The same number as in `RetryPolicy.batch()`."""


def retry_policy(retries: int | None, *, function_errors: bool) -> RetryPolicy:
    """Return the policy of a bulk run.

    Args:
        retries: The maximum number of retries of a line that may have run, if it may run again;
            `None` for the default. It does not apply to lines that certainly did not run.
        function_errors: Whether to retry lines whose function raised an error.
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
    """Exclude executions ended by the platform: they would run out of time or memory again."""
    if backoff is None:
        return None
    return replace(
        backoff,
        when=lambda error: not (isinstance(error, FunctionError) and error.by_platform),
    )


def tolerance_option(
    _ctx: click.Context, param: click.Parameter, value: str | None
) -> Tolerance | None:
    """Return the value of an option that takes a tolerance; a click callback."""
    try:
        return None if value is None else parse_tolerance(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from None


def parse_tolerance(text: str) -> Tolerance | None:
    """Return the tolerance that a text stands for.

    Raises:
        ValueError: The text is not a tolerance; the message quotes it.
    """
    if text == "none":
        return None
    share = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", text)
    try:
        if share is not None:
            # Divided by 100 it would be rounded twice, and 0.7 % of 1,000 be less than 7.
            return Tolerance(share=float(f"{share[1]}e-2"))
        if re.fullmatch(r"[0-9]{1,18}", text):
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


def lasting(source: str) -> str:
    """Return a source as other processes can open it: `/dev/stdin` and `/dev/fd/3` are of this one."""
    if not source.startswith("/dev/"):
        return source
    real = os.path.realpath(source)
    return real if Path(real).is_file() else source
