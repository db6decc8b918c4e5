"""The last line of a result: the day, the commit and the duration of the measurement."""

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

CODE = ("asyncinvoke", "benchmarks", ":!benchmarks/results")
"""What a measurement depends on: results that were written a moment ago are no change."""

_LINE = re.compile(
    r"^Measured on (\d{1,2} [A-Z][a-z]+ \d{4}) at commit ([0-9a-f]{7,40})"
    r"( with uncommitted changes)?(?: in ([\d,]+) s)?\.$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """When, and on which commit, a result was measured."""

    day: str
    """Such as `26 November 2026`."""

    commit: str
    """Abbreviated, as git gives it."""

    changed: bool = False
    """Whether code was changed and not committed, so that the commit does not say all."""

    seconds: int | None = None
    """How long it took; `None` if that was not recorded."""

    @classmethod
    def now(cls, root: Path) -> Self:
        """Return the stamp of a measurement that starts now.

        Raises:
            RuntimeError: The directory is not a checkout, or git is missing.
        """
        today = datetime.now(UTC)
        return cls(
            day=f"{today.day} {today:%B %Y}",
            commit=git(root, "rev-parse", "--short=9", "HEAD"),
            changed=bool(git(root, "status", "--porcelain", "--", *CODE)),
        )

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Return the stamp of a result, or `None` if it has none."""
        found = _LINE.search(text)
        if found is None:
            return None
        day, commit, changed, seconds = found.groups()
        return cls(
            day=day,
            commit=commit,
            changed=changed is not None,
            seconds=int(seconds.replace(",", "")) if seconds else None,
        )

    def line(self) -> str:
        """Return the last line of a result."""
        changed = " with uncommitted changes" if self.changed else ""
        seconds = "" if self.seconds is None else f" in {self.seconds:,} s"
        return f"Measured on {self.day} at commit {self.commit}{changed}{seconds}."


def git(root: Path, *words: str) -> str:
    """Return the output of a git command in a checkout.

    Raises:
        RuntimeError: git failed, or is not installed.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"git {words[0]}: {error}") from error
    return done.stdout.strip()
