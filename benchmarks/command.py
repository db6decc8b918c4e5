"""The shared command line of the benchmarks: `python -m benchmarks.NAME [--json] [numbers]`."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A measurement, and how to show its result."""

    name: str
    """The module's name."""

    description: str
    """The module's docstring."""

    numbers: Mapping[str, tuple[int, str]]
    """Its options: a default and a sentence for each."""

    measure: Callable[[argparse.Namespace], dict[str, Any]]
    """Measures, and returns what JSON can hold."""

    show: Callable[[dict[str, Any]], str]
    """Returns what was measured as Markdown."""

    plot: Callable[[dict[str, Any], Path], None] | None = None
    """Draws it into a file."""

    add_options: Callable[[argparse.ArgumentParser], None] | None = None
    """Adds options that are no numbers."""

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Parse the command line, measure, and print the result."""
        options = self.options(arguments)
        try:
            found = self.measure(options)
        except RuntimeError as error:
            sys.exit(f"{self.name}: {error}")
        print(json.dumps(found, indent=2) if options.json else self.show(found))

    def options(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parse a command line; an empty one returns the defaults."""
        parser = argparse.ArgumentParser(
            prog=f"python -m benchmarks.{self.name}", description=self.description.split("\n\n")[0]
        )
        parser.add_argument("--json", action="store_true", help="print JSON, not tables")
        for name, (default, sentence) in self.numbers.items():
            parser.add_argument(
                f"--{name}", type=_number, default=default, help=f"{sentence} (default: {default})"
            )
        if self.add_options is not None:
            self.add_options(parser)
        return parser.parse_args(arguments)


def add_only(parser: argparse.ArgumentParser) -> None:
    """Add the option that selects the entries that contain a text."""
    parser.add_argument("--only", default="", metavar="TEXT", help="what contains this, no more")


def containing(only: str, names: Iterable[str]) -> list[str]:
    """Return the names that contain a text.

    Raises:
        RuntimeError: No name contains it.
    """
    names = list(names)
    found = [name for name in names if only in name]
    if not found:
        raise RuntimeError(f"nothing contains {only!r}: there are {'; '.join(names)}")
    return found


def _number(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return number
