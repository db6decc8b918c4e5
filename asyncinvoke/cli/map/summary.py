"""The summary of a run: what failed and where, how long requests took, and what is left.

It uses no clock, and prints nothing itself.
"""

import math
from collections import Counter
from dataclasses import asdict, dataclass

from asyncinvoke import AsyncInvokeError, FunctionError, InvocationError, Outcome
from asyncinvoke.cli.errors import one_line
from asyncinvoke.cli.map.progress import Counts, counted

_STEP = math.log(1.02)
"""Buckets are 2 % wide, so that the error of a percentile is at most 1 %."""

_LEAST = 1e-6

PERCENTILES = (50, 95, 99)
"""The percentiles in the summary."""


class LatencyHistogram:
    """Durations, counted in buckets whose width is proportional to the duration."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self._buckets[math.floor(math.log(max(seconds, _LEAST)) / _STEP)] += 1
        self._longest = max(self._longest, seconds)

    def percentile(self, percent: float) -> float | None:
        """Return a percentile in seconds; `None` if nothing was counted."""
        wanted = math.ceil(self._buckets.total() * percent / 100)
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return min(math.exp((bucket + 0.5) * _STEP), self._longest)
        return None

    def as_text(self) -> str | None:
        """Return the percentiles as text; `None` if nothing was counted."""
        if not self._buckets:
            return None
        parts = [f"p{percent} {_span(self.percentile(percent) or 0)}" for percent in PERCENTILES]
        return ", ".join(parts)

    def as_json(self) -> dict[str, float | None]:
        """Return the percentiles in seconds, by name."""
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
"""The message if a signal arrived before the first line."""


@dataclass(slots=True)
class FailureGroup:
    """Failed outcomes with the same cause."""

    error: str
    """The name of the error, such as `FunctionError`."""

    code: str | None
    """The AWS error code, or the error type of the function."""

    line: int | None
    """The line of the first one in the input, if the input has lines."""

    message: str
    """The message of the first one."""

    item: int
    """The position of the first one in the input, from 0."""

    count: int = 0
    """The number of outcomes."""


class OutcomeCounts:
    """Counts outcomes; failed ones by cause."""

    def __init__(self) -> None:
        self.succeeded: int = 0
        self.in_doubt: int = 0
        """Failed outcomes whose function may have run."""
        self.failed: int = 0
        self.latencies: LatencyHistogram = LatencyHistogram()
        """The durations of successful attempts, without earlier attempts and waits."""
        self._groups: dict[tuple[str, str | None], FailureGroup] = {}

    @property
    def done(self) -> int:
        """Outcomes so far."""
        return self.succeeded + self.failed

    def add(self, outcome: Outcome, line: int | None = None) -> None:
        """Count an outcome, and the line of its item, if it has one."""
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
    """What an unfinished run has left open."""

    without_outcome: int
    """The number of lines that were read and have no outcome."""

    may_have_run: int
    """How many of them may have run."""

    last_line: int | None
    """The number of the last line that was read; 0 if none was, `None` if several processes read."""

    not_written: int = 0
    """The number of outcomes that could not be written."""


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
        counts: The progress of the run.
        tally: Its outcomes.
        left: What it has left open, if it is unfinished.
        verb: The word for items that did not fail; an Event is only `accepted`.
        is_recorded: Whether the run has a journal, which lists the items that may have run.
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
    """Return the last line of `--progress json`: the counts and the rest of the summary."""
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
