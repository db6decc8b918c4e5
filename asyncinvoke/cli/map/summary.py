"""The summary of a run: what failed and where, how long requests took, and what is left.

Knows no clock, and renders nothing itself.
"""

import math
from collections import Counter
from dataclasses import asdict, dataclass

from asyncinvoke import AsyncInvokeError, FunctionError, InvocationError, Outcome
from asyncinvoke.cli.errors import one_line
from asyncinvoke.cli.map.progress import Counts, counted

_STEP = math.log(1.02)
"""Buckets are 2 % wide, so that a percentile is off by 1 % at most."""

_LEAST = 1e-6

PERCENTILES = (50, 95, 99)
"""Those that a summary shows."""


class LatencyHistogram:
    """Counts times in buckets that grow with them."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._buckets[math.floor(math.log(max(seconds, _LEAST)) / _STEP)] += 1
        self._longest = max(self._longest, seconds)

    def percentile(self, percent: float) -> float | None:
        """Return the time, in seconds, within which so many percent were; `None` of none."""
        wanted = math.ceil(self._buckets.total() * percent / 100)
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return min(math.exp((bucket + 0.5) * _STEP), self._longest)
        return None

    def as_text(self) -> str | None:
        """Return them as a line; `None` of none."""
        if not self._buckets:
            return None
        parts = [f"p{percent} {_span(self.percentile(percent) or 0)}" for percent in PERCENTILES]
        return ", ".join(parts)

    def as_json(self) -> dict[str, float | None]:
        """Return them in seconds, by name."""
        found = {f"p{percent}": self.percentile(percent) for percent in PERCENTILES}
        return {name: None if value is None else round(value, 6) for name, value in found.items()}


def _span(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.2f} s"


SHOWN = 5
"""How many groups of failures the summary shows."""

_KEPT = 1000
"""The maximum number of groups to distinguish: functions may invent error names."""

_EXAMPLE = 160

NOTHING_READ = "no line was read, and nothing was sent"
"""The message for a signal that came before the first line."""


@dataclass(slots=True)
class FailureGroup:
    """Failed outcomes that have one cause."""

    error: str
    """The name of the error, such as `FunctionError`."""

    code: str | None
    """The AWS error code, or the error type of the function."""

    line: int | None
    """The line of the first one in the input."""

    message: str
    """What that one says."""

    item: int
    """Its position in the input, from 0."""

    count: int = 0
    """How many there are."""


class OutcomeCounts:
    """Counts outcomes, the failed ones by what went wrong."""

    def __init__(self) -> None:
        self.succeeded: int = 0
        self.in_doubt: int = 0
        """Failed outcomes whose function may have run."""
        self.failed: int = 0
        self.latencies: LatencyHistogram = LatencyHistogram()
        """Of the requests that succeeded, without what came before them."""
        self._groups: dict[tuple[str, str | None], FailureGroup] = {}

    @property
    def done(self) -> int:
        """Outcomes so far."""
        return self.succeeded + self.failed

    def add(self, outcome: Outcome, line: int | None = None) -> None:
        """Count an outcome of an item that begins on a line of the input."""
        error = outcome.error
        if error is None:
            self.succeeded += 1
            if outcome.attempts:
                self.latencies.add(outcome.attempts[-1].elapsed)
            return
        self.failed += 1
        if isinstance(error, InvocationError) and error.delivery == "unknown":
            self.in_doubt += 1
        key = (type(error).__name__, _code(error))
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= _KEPT:
                key = (type(error).__name__, "of other kinds")
            example = _example(error, outcome.index, line)
            group = self._groups.setdefault(key, FailureGroup(*key, line, example, outcome.index))
        group.count += 1

    def groups(self) -> list[FailureGroup]:
        """Return the groups, the largest first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What an unfinished run leaves behind."""

    without_outcome: int
    """Lines that were read and have no outcome."""

    may_have_run: int
    """Those of them that have reached the function, or may have."""

    last_line: int | None
    """Number of the last line that was read; 0 if none was, `None` if each process read further or
    less far."""

    not_written: int = 0
    """Outcomes that could not be written."""


def as_text(
    counts: Counts,
    tally: OutcomeCounts,
    left: Remaining | None,
    *,
    verb: str = "succeeded",
    is_recorded: bool = False,
) -> list[str]:
    """Return the lines of the summary.

    Args:
        counts: How far the run is.
        tally: What came of it.
        left: What it leaves behind, if it is not finished.
        verb: What those have done that did not fail: an event is only accepted.
        is_recorded: Whether the run has a journal, which tells what may have run.
    """
    per_second = counts.done / max(counts.elapsed, 1e-9)
    said = [
        f"{counted(counts.done, 'outcome')} in {counts.elapsed:.1f} s ({per_second:,.0f}/s): "
        f"{counts.succeeded:,} {verb}, {counts.failed:,} failed, "
        + counted(counts.throttles, "throttled attempt")
    ]
    if (latency := tally.latencies.as_text()) is not None:
        said[0] += f", {latency}"
    groups = tally.groups()
    for group in groups[:SHOWN]:
        code = f" {group.code}" if group.code else ""
        where = f"item {group.item:,}" if group.line is None else f"line {group.line:,}"
        where = f"such as {where}:"
        said.append(f"  {group.count:,} {group.error}{code}, {where} {group.message}")
    rest = sum(group.count for group in groups[SHOWN:])
    if rest:
        said.append(f"  {rest:,} of {counted(len(groups) - SHOWN, 'other kind')}")
    if tally.in_doubt and not is_recorded:
        said.append(
            f"{tally.in_doubt:,} of the failed may have run: check before you run them again "
            "(jq 'select(.delivery == \"unknown\")')"
        )
    if left is not None:
        said.append(f"unfinished: {_unfinished(left)}")
    return said


def as_json(
    counts: dict[str, object], tally: OutcomeCounts, left: Remaining | None
) -> dict[str, object]:
    """Return the last line of `--progress json`: the counts, and what else the summary says."""
    errors: dict[str, int] = {}
    for group in tally.groups():
        errors[group.error] = errors.get(group.error, 0) + group.count
    return {
        **counts,
        "latency": tally.latencies.as_json(),
        "may_have_run": tally.in_doubt,
        "errors": errors,
        "failures": [asdict(group) for group in tally.groups()[:SHOWN]],
        "left": None if left is None else asdict(left),
    }


def _unfinished(left: Remaining) -> str:
    if left.last_line == 0:
        return NOTHING_READ
    parts = []
    if left.without_outcome:
        parts.append(
            f"{counted(left.without_outcome, 'line')} without an outcome, "
            f"{left.may_have_run:,} of them may have run"
        )
    if left.not_written:
        parts.append(f"{counted(left.not_written, 'outcome')} not written")
    if left.last_line is None:
        parts.append("no further line was sent")
    else:
        parts.append(f"no line after line {left.last_line:,} was sent")
    return "; ".join(parts)


def _code(error: AsyncInvokeError) -> str | None:
    if isinstance(error, FunctionError):
        return error.error_type
    return error.code if isinstance(error, InvocationError) else None


def _example(error: AsyncInvokeError, index: int, line: int | None) -> str:
    text = error.message if isinstance(error, InvocationError) else str(error)
    return one_line(
        text.removeprefix(f"line {line}: ").removeprefix(f"item {index}: "), longest=_EXAMPLE
    )
