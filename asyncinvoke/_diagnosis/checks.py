"""The result of a diagnosis: one check per subject, with advice where something is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class CheckStatus(StrEnum):
    """The result of a check."""

    OK = "ok"
    """No problem was found."""

    NOTE = "note"
    """It works, but there is something worth knowing."""

    WRONG = "wrong"
    """A problem that makes all or most invocations fail."""

    SKIPPED = "skipped"
    """Not checked, because an earlier check failed or it was not requested."""


OK, NOTE, WRONG, SKIPPED = CheckStatus

RENEW = "renew them: `aws sso login`, `aws sts assume-role`, or whatever has given them"
"""The advice on credentials that have expired, seen before a request or by the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of a diagnosis. It contains no key, token or payload."""

    name: str
    """The name of the check, such as `region`."""

    status: CheckStatus
    """The result."""

    found: str
    """What was found and where it comes from, in one line."""

    advice: str | None = None
    """What to do about it; `None` if there is nothing to do."""

    facts: Mapping[str, object] = field(default_factory=dict)
    """The same in machine-readable form: names and plain values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The result of `diagnose`, from the machine up to the function."""

    checks: tuple[Check, ...]
    """The checks, each after those that it depends on."""

    @property
    def ok(self) -> bool:
        """Whether no check has the status `wrong`."""
        return all(check.status is not CheckStatus.WRONG for check in self.checks)

    def __getitem__(self, name: str) -> Check:
        """Return the check of that name.

        Raises:
            KeyError: There is no such check.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def as_dict(self) -> dict[str, object]:
        """Return the diagnosis as plain values, ready for `json.dumps`."""
        return {
            "ok": self.ok,
            "checks": [
                {
                    "name": check.name,
                    "status": check.status.value,
                    "found": check.found,
                    "advice": check.advice,
                    "facts": dict(check.facts),
                }
                for check in self.checks
            ],
        }

    def __str__(self) -> str:
        """Return one line per check, and one more for each piece of advice."""
        lines = []
        for check in self.checks:
            lines.append(f"{check.status.value:<8}{check.name}: {check.found}")
            if check.advice is not None:
                lines.append(f"{'':<8}-> {check.advice}")
        return "\n".join(lines)


def check_of(
    name: str,
    status: CheckStatus,
    found: str,
    advice: str | None,
    facts: Mapping[str, object],
) -> Check:
    """Return a check with its result."""
    return Check(name=name, status=status, found=found, advice=advice, facts=dict(facts))


def skipped(name: str, why: str) -> Check:
    """Return a check that was skipped."""
    return check_of(name, SKIPPED, why, None, {})


def span(seconds: float) -> str:
    """Return a duration in its largest unit of which there are at least two."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"
