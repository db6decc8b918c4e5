"""Lists published figures that are older than the code that they measure: `python -m benchmarks.stale`.

A result was measured on the commit in its last line or, without one, on the commit of its last change.
Every figure of a page comes from a result. Needs git and a checkout with its history. Exits with 1 if a
result is old, or if a page shows figures without a result.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stamp import Stamp, git

ROOT = Path(__file__).parent.parent

CALLS = (
    "asyncinvoke/_engine",
    "asyncinvoke/_invoker.py",
    "asyncinvoke/_limits",
    "asyncinvoke/_model",
    "asyncinvoke/_request",
    "asyncinvoke/_retries",
    "asyncinvoke/_transport",
)
"""What a call passes through."""

MEASURED = {
    "ceilings": (*CALLS, "asyncinvoke/local"),
    "dask_workers": (*CALLS, "asyncinvoke/_dask", "asyncinvoke/_journal"),
    "fanout": CALLS,
    "inputs": ("asyncinvoke/_inputs", "asyncinvoke/inputs.py"),
    "journal": (*CALLS, "asyncinvoke/_journal"),
    "memory": CALLS,
    "overhead": CALLS,
    "overhead_matrix": CALLS,
    "payload_size": CALLS,
    "processes": (*CALLS, "asyncinvoke/_inputs", "asyncinvoke/cli"),
    "served": ("asyncinvoke/local",),
    "simulate": ("asyncinvoke/_limits",),
    "startup": ("asyncinvoke/__init__.py", "asyncinvoke/_names.py", "asyncinvoke/cli"),
    "streams": CALLS,
    "telemetry": (*CALLS, "asyncinvoke/_otel", "asyncinvoke/_telemetry"),
    "throttled": (*CALLS, "asyncinvoke/local"),
}
"""The code that each result is about; what is not listed is about all of the package."""

SHOWN = {
    "README.md": ("overhead_matrix", "throttled"),
    "docs/comparison.md": ("overhead", "overhead_matrix", "throttled"),
    "docs/faq.md": ("overhead_matrix",),
    "docs/features.md": ("overhead_matrix",),
    "docs/index.md": ("overhead_matrix",),
    "docs/inputs.md": ("inputs",),
    "docs/limits.md": ("ceilings", "simulate", "throttled"),
    "docs/runs.md": ("journal",),
    "docs/scaling.md": (
        "dask_workers",
        "inputs",
        "journal",
        "overhead_matrix",
        "processes",
        "simulate",
    ),
    "docs/telemetry.md": ("telemetry",),
}
"""The results that pages show, in tables or in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """The age of a result relative to its code."""

    name: str
    """The result."""

    measured: str
    """The day it was measured on; empty if that is not known."""

    changes: int
    """How many commits have changed the code since."""

    newest: str
    """The day of the last of them; empty if there are none."""

    why: str = ""
    """Why it is old whatever has changed since: it is not there, or its code was not committed."""

    @property
    def old(self) -> bool:
        """Whether the result has to be measured again."""
        return bool(self.changes or self.why)


def age(root: Path, result: Path, code: tuple[str, ...]) -> Age:
    """Return the age of a result.

    Args:
        root: The checkout.
        result: The file of the result.
        code: The paths that it measures.
    """
    stamp = Stamp.of(result.read_text("utf-8"))
    why = ""
    if stamp is None:
        commit, _, day = git(root, "log", "-1", "--format=%H %cs", "--", str(result)).partition(" ")
    else:
        commit, day = stamp.commit, stamp.day
        if stamp.changed:
            why = "measured on code that was not committed"
        elif not _is_known(root, commit):
            commit, why = "", f"commit {commit} is not in this history"
    since = git(root, "log", "--format=%cs", f"{commit}..HEAD", "--", *code) if commit else ""
    days = since.splitlines()
    return Age(
        name=result.stem,
        measured=day,
        changes=len(days),
        newest=days[0] if days else "",
        why=why,
    )


def _is_known(root: Path, commit: str) -> bool:
    try:
        git(root, "merge-base", "--is-ancestor", commit, "HEAD")
    except RuntimeError:
        return False
    return True


def ages(root: Path) -> list[Age]:
    """Return the age of each result of a checkout."""
    found = sorted((root / "benchmarks" / "results").glob("*.md"))
    return [age(root, path, MEASURED.get(path.stem, ("asyncinvoke",))) for path in found]


def missing(found: list[Age]) -> list[Age]:
    """Return the results that pages show but that do not exist."""
    there = {each.name for each in found}
    names = sorted({name for names in SHOWN.values() for name in names} - there)
    return [Age(name=name, measured="", changes=0, newest="", why="no result") for name in names]


def show(found: list[Age]) -> str:
    """Return a line per result, with old ones marked, and the pages that show them."""
    lines = []
    for each in found:
        if each.why:
            said = f"old: {each.why}"
        elif each.changes:
            commits = f"{each.changes} commit{'s' if each.changes > 1 else ''}"
            said = f"old: {commits} to its code since, the last on {each.newest}"
        else:
            said = "up to date"
        pages = [page for page, names in SHOWN.items() if each.name in names]
        shown = f" (in {', '.join(pages)})" if pages else ""
        lines.append(f"{each.name:<16} {each.measured or 'never':<17} {said}{shown}")
    return "\n".join(lines)


def report() -> str:
    """Return the lines for this checkout."""
    found = ages(ROOT)
    return show([*found, *missing(found)])


def main() -> int:
    """Print the ages; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stale", description=__doc__)
    parser.parse_args()
    found = ages(ROOT)
    found += missing(found)
    print(show(found))
    return 1 if any(each.old for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
