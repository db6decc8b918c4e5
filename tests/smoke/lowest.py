"""Prints constraints that pin the package's dependencies to the lowest versions it declares.

`make oldest` runs it. Only direct dependencies are pinned: for transitive ones, pip takes the
newest that fits.
"""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
EXTRAS = ("trio", "cli", "otel")
_NAME_AND_LOWEST = re.compile(r"([\w.-]+)>=([\w.]+)")


def lowest() -> list[str]:
    """Return one constraint for each dependency of the core, and of some of the extras."""
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *(each for extra in EXTRAS for each in extras[extra])]
    found = [_NAME_AND_LOWEST.match(each) for each in declared]
    return [f"{match[1]}=={match[2]}" for match in found if match is not None]


if __name__ == "__main__":
    print("\n".join(lowest()))
