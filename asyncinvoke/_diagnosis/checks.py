"""The result of a diagnosis: one check per subject, with advice where something is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class CheckStatus(StrEnum):
    """How a check came out."""

    OK = "ok"
    """As it should be."""

    NOTE = "note"
    """It works, and there is something to know."""

    WRONG = "wrong"
    """It keeps invocations from working, or most of them."""

    SKIPPED = "skipped"
    """Not looked at, because something before it is wrong, or nothing was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One subject of a diagnosis. It holds no key, no token and no payload."""

    name: str
    """The subject, such as `region`."""

    status: CheckStatus
    """How it came out."""

    found: str
    """What was found, and where it comes from, in a line."""

    advice: str | None = None
    """What to do about it; `None` where there is nothing to do."""

    facts: Mapping[str, object] = field(default_factory=dict)
    """The same for programs: names and plain values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What `diagnose` has found, from the machine up to the function."""

    checks: tuple[Check, ...]
    """One for each subject, in the order in which one needs the other."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.status is not CheckStatus.WRONG for check in self.checks)

    def __getitem__(self, name: str) -> Check:
        """Return the check of that name.

        Raises:
            KeyError: There is none.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def as_dict(self) -> dict[str, object]:
        """Return all of it as plain values, ready for `json.dumps`."""
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
        """Return one line for each check, and one more for each advice."""
        lines = []
        for check in self.checks:
            lines.append(f"{check.status.value:<8}{check.name}: {check.found}")
            if check.advice is not None:
                lines.append(f"{'':<8}-> {check.advice}")
        return "\n".join(lines)
