"""REPORT lines of sampled items: requested, parsed, and added up to estimate the cost of a run."""

import contextlib
import re
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

import click

from asyncinvoke import LogType, Outcome
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map.source import ItemSource
from asyncinvoke.cli.values import as_number
from asyncinvoke.inputs import Item

_REPORT = re.compile(
    r"^REPORT RequestId: .*?\bBilled Duration: (\d+) ms\s+Memory Size: (\d+) MB\b"
    r"(?P<rest>[^\r\n]*)",
    re.MULTILINE,
)


class SampledItem(Item):
    """An item whose response includes the tail of the log."""

    __slots__ = ()

    if not TYPE_CHECKING:  # type checkers see the fields of `Request`
        log_type = LogType.TAIL
        has_options = True


class Sampled:
    """An input of which some items request the log.

    Args:
        source: The input.
        share: The share of these items, from 0 to 1. Their positions decide which they are.
    """

    def __init__(self, source: ItemSource, share: float) -> None:
        self._source = source
        self._share = share

    async def items(self) -> AsyncGenerator[Item, None]:
        """Yield the items."""
        async with contextlib.aclosing(self._source.items()) as items:
            async for item in items:
                yield (
                    item.as_one_of(SampledItem) if is_sampled(item.position, self._share) else item
                )

    async def count(self) -> int | None:
        """Return the number of items, if known without reading them."""
        return await self._source.count()


def is_sampled(position: int, share: float) -> bool:
    """Return whether an item is sampled: the sample is evenly spread, 1 % is one in each hundred."""
    return int(position * share) != int((position - 1) * share) or position == 0


class ReportSums:
    """The sums over REPORT lines, continued from a note in the journal.

    Args:
        note: The note of earlier sessions, if any.
    """

    def __init__(self, note: object = None) -> None:
        found: Mapping[str, Any] = note if isinstance(note, Mapping) else {}
        self._sums = {name: found.get(name, 0) for name in _SUMS}
        self._memory: set[int] = {int(each) for each in found.get("memory_mb", ())}

    def add(self, outcome: Outcome[Any]) -> bool:
        """Add the REPORT line of an outcome; return whether it has one."""
        response = outcome.response or getattr(outcome.error, "response", None)
        found = None if response is None else _REPORT.search(response.log_result or "")
        if found is None:
            return False
        billed, memory = int(found[1]), int(found[2])
        gb_s = billed / 1000 * memory / 1024
        for name, value in zip(_SUMS, (1, gb_s, gb_s * gb_s, billed), strict=False):
            self._sums[name] += value
        self._sums["inits"] += "Init Duration" in found["rest"]
        self._memory.add(memory)
        return True

    def as_note(self) -> dict[str, object]:
        """Return the sums as JSON values."""
        return {**self._sums, "memory_mb": sorted(self._memory)}


_SUMS = ("count", "gb_s", "gb_s_squared", "billed_ms", "inits")


def check_sampling(*, journal: str | None, batch: int | None, has_log: bool) -> None:
    """Check the options that `--sample-logs` requires or excludes.

    Raises:
        CommandError: There is no journal, or the log is not that of one item.
    """
    if journal is None:
        raise CommandError("--sample-logs needs --journal, where the log data is kept")
    if batch is not None:
        raise CommandError("--sample-logs and --batch exclude each other")
    if not has_log:
        raise CommandError(
            "--sample-logs cannot be combined with --event or --dry-run: they return no log"
        )


def share_option(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> float | None:
    """Parse a share such as `1%` or `0.01`; a click callback."""
    if text is None:
        return None
    digits, percent, rest = text.strip().partition("%")
    try:
        share = as_number(digits) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if rest or not 0 < share <= 1:
        raise click.BadParameter(f"{text!r} must be a percentage such as 1%, above 0, at most 100%")
    return share
