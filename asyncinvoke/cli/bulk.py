"""The settings of a bulk run, as the command line gives them and as its journal keeps them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from asyncinvoke import Outcome, Redrive, Tolerance
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.options import SharedOptions
from asyncinvoke.cli.tolerance import parse_tolerance, shown_tolerance

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
