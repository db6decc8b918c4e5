"""Says which published figures are older than the code that they measure: `python -m benchmarks.stale`.

A figure is as old as the last change of its file in `benchmarks/results`; those of the README and the
pages are taken from there. It needs git and a checkout with its history. Exits with 1 if anything is old.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

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
    "fanout": CALLS,
    "memory": CALLS,
    "overhead": CALLS,
    "overhead_matrix": CALLS,
    "payload_size": CALLS,
    "served": ("asyncinvoke/local",),
    "simulate_moving": ("asyncinvoke/_limits",),
    "simulate_newcomer": ("asyncinvoke/_limits",),
    "startup": ("asyncinvoke/__init__.py", "asyncinvoke/_names.py", "asyncinvoke/cli"),
    "throttled": (*CALLS, "asyncinvoke/local"),
}
"""The code that each result is about; what is not listed is about all of the package."""

SHOWN = {
    "README.md": ("overhead_matrix", "throttled"),
    "docs/limits.md": ("simulate_moving", "simulate_newcomer", "throttled"),
}
"""The results that pages show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """How a result stands to its code."""

    name: str
    """The result."""

    measured: str
    """The day of its last change; empty if it was never committed."""

    changes: int
    """How many commits have changed the code since."""

    newest: str
    """The day of the last of them; empty if there are none."""


def age(root: Path, result: Path, code: tuple[str, ...]) -> Age:
    """Find out how old a result is.

    Args:
        root: The checkout.
        result: The result's file.
        code: What it is about.
    """
    commit, _, day = _git(root, "log", "-1", "--format=%H %cs", "--", str(result)).partition(" ")
    since = _git(root, "log", "--format=%cs", f"{commit}..HEAD", "--", *code) if commit else ""
    days = since.splitlines()
    return Age(name=result.stem, measured=day, changes=len(days), newest=days[0] if days else "")


def ages(root: Path) -> list[Age]:
    """Return the age of each result of a checkout."""
    folder = root / "benchmarks" / "results"
    newest = {
        path.stem: path for path in sorted(folder.glob("*")) if path.suffix in (".md", ".svg")
    }
    return [age(root, path, MEASURED.get(name, ("asyncinvoke",))) for name, path in newest.items()]


def show(found: list[Age]) -> str:
    """Return a line for each result, the old ones marked, and which pages show them."""
    lines = []
    for each in found:
        if each.changes:
            commits = f"{each.changes} commit{'s' if each.changes > 1 else ''}"
            said = f"old: {commits} to its code since, the last on {each.newest}"
        else:
            said = "up to date"
        pages = [page for page, names in SHOWN.items() if each.name in names]
        shown = f" (in {', '.join(pages)})" if pages else ""
        lines.append(f"{each.name:<18} {each.measured or 'never':<11} {said}{shown}")
    return "\n".join(lines)


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def main() -> int:
    """Show the ages; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stale", description=__doc__)
    parser.parse_args()
    found = ages(ROOT)
    print(show(found))
    return 1 if any(each.changes for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
