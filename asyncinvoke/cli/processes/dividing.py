"""One bulk run divided among processes: the settings of each, and the combined status."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from asyncinvoke import Shard
from asyncinvoke._inputs.files import has_one_reader
from asyncinvoke._report.standing import has_changed_since_merge
from asyncinvoke.cli.errors import FAILED, IN_DOUBT, STOPPED, CommandError
from asyncinvoke.cli.map.progress import Counts
from asyncinvoke.cli.map.settings import Bulk
from asyncinvoke.cli.map.summary import FailureGroup, OutcomeCounts, Remaining
from asyncinvoke.cli.runs.parts import even_shares, found_parts
from asyncinvoke.runs import is_begun, open_run


def check(bulk: Bulk, processes: int) -> None:
    """Check that a run can be divided, before anything is begun.

    Raises:
        CommandError: It cannot; the message says what to change.
    """
    if has_one_reader(bulk.source):
        what = "standard input" if bulk.source == "-" else f"the pipe {bulk.source}"
        raise CommandError(
            f"--processes needs an INPUT that every process can read: a file, not {what}"
        )
    if bulk.shard is not None:
        raise CommandError("--processes and --shard exclude each other")
    if bulk.ordered and bulk.journal is None:
        raise CommandError(
            "--ordered needs a --journal with --processes: the outcomes are written when it ends"
        )
    if bulk.ordered and bulk.key is not None:
        raise CommandError(
            "--ordered cannot be combined with --key and --processes: a keyed journal has no positions"
        )
    if bulk.concurrency < processes:
        raise CommandError(
            f"--concurrency {bulk.concurrency} applies to all --processes {processes} together: "
            f"it must be at least {processes}"
        )
    if bulk.journal is not None:
        _check_journals(Path(bulk.journal), processes)


def _check_journals(journal: Path, processes: int) -> None:
    numbers = {of for _, of in found_parts(journal)}
    if numbers - {processes}:
        raise CommandError(
            f"{journal}: it was run with --processes {min(numbers - {processes})}: "
            "continue it with the same number"
        )
    if not numbers and is_begun(str(journal)):
        with open_run(journal):  # what is no journal is refused as that
            pass
        raise CommandError(f"{journal}: it has run as one process: continue it without --processes")


def is_one(journal: str | None) -> bool:
    """Return whether a divided run goes on as one process: its parts lack what it has done since.

    It was redriven, or items were settled in it, once its parts had been merged.
    """
    if journal is None or not is_begun(journal):
        return False
    with open_run(journal) as run:
        return has_changed_since_merge(run.summary())


def part_of(journal: str, shard: Shard) -> str:
    """Return the journal of a part."""
    return f"{journal}.{shard.number}of{shard.of}"


def divided(bulk: Bulk, processes: int) -> list[Bulk]:
    """Return the settings of each process; concurrency and rate are divided among them."""
    shares = even_shares(bulk.concurrency, processes)
    parts = []
    for number in range(1, processes + 1):
        shard = Shard(number, of=processes)
        parts.append(
            replace(
                bulk,
                shard=str(shard),
                concurrency=shares[number - 1],
                rate=None if bulk.rate is None else bulk.rate / processes,
                journal=None if bulk.journal is None else part_of(bulk.journal, shard),
                output="-" if bulk.journal is None else None,
                ordered=False,
                progress="json",
            )
        )
    return parts


def worst(statuses: Iterable[int]) -> int:
    """Return the exit status for all processes.

    Stopped before the end takes precedence over in doubt, which takes precedence over failed. A
    killed process leaves items in doubt. A process that could not start counts as failed, unless
    all have the same status.
    """
    seen = set(statuses)
    if len(seen) == 1 and min(seen) >= 0:
        return seen.pop()
    if STOPPED in seen:
        return STOPPED
    if IN_DOUBT in seen or min(seen) < 0:
        return IN_DOUBT
    return FAILED if seen - {0} else 0


def message(line: bytes) -> Mapping[str, Any] | None:
    """Parse a progress message of a process; return `None` if the line is something else."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


class LastMessages:
    """The last progress message of each process, by its number."""

    def __init__(self) -> None:
        self._last: dict[int, Mapping[str, Any]] = {}
        self._ended: set[int] = set()

    def add(self, number: int, said: Mapping[str, Any]) -> None:
        """Store a message of a process."""
        self._last[number] = said

    def ended(self, number: int) -> None:
        """Note that a process has ended: it has nothing in flight, and no rate."""
        self._ended.add(number)

    def counts(self, elapsed: float, *, processes: int) -> Counts:
        """Return the progress of all processes together."""
        said = self._last.values()
        running = [each for number, each in self._last.items() if number not in self._ended]
        totals = [each.get("total") for each in said]
        is_known = len(totals) == processes and None not in totals
        rate = float(_sum(running, "rate"))
        held = [each["held_back"] for each in running if each.get("held_back")]
        return Counts(
            elapsed=elapsed,
            succeeded=_sum(said, "ok"),
            failed=_sum(said, "failed"),
            in_flight=_sum(running, "in_flight"),
            throttles=_sum(said, "throttles"),
            total=_sum(said, "total") if is_known else None,
            earlier=_sum(said, "earlier"),
            rate=rate,
            pace=rate,
            held_back=held[0] if held and len(held) == len(running) else None,
        )

    def tally(self) -> OutcomeCounts:
        """Return the results of all processes, according to their last messages."""
        return JoinedCounts(self._last.values())

    def left(self, *, processes: int, batch: int = 1) -> Remaining | None:
        """Return what the processes together have left open; `None` if all have finished.

        Args:
            processes: The number of processes.
            batch: The number of lines per invocation.
        """
        said = [self._last.get(number) for number in range(1, processes + 1)]
        parts = [part for each in said if (part := _left(each, batch)) is not None]
        if not parts:
            return None
        return Remaining(
            without_outcome=sum(each.without_outcome for each in parts),
            may_have_run=sum(each.may_have_run for each in parts),
            not_written=sum(each.not_written for each in parts),
            last_line=0 if [each.last_line for each in parts] == [0] * processes else None,
        )


def _left(said: Mapping[str, Any] | None, batch: int) -> Remaining | None:
    """Return what a process has left open, according to its last message."""
    if said is None:
        return Remaining(without_outcome=0, may_have_run=0, last_line=0)
    if "left" not in said:  # it was killed
        in_flight = said["in_flight"] * batch
        return Remaining(without_outcome=in_flight, may_have_run=in_flight, last_line=None)
    return None if said["left"] is None else Remaining(**said["left"])


class JoinedCounts(OutcomeCounts):
    """The sum of the counts in the last messages of processes; latencies cannot be combined."""

    def __init__(self, said: Iterable[Mapping[str, Any]]) -> None:
        super().__init__()
        said = tuple(said)
        self.succeeded: int = _sum(said, "ok")
        self.failed: int = _sum(said, "failed")
        self.in_doubt: int = _sum(said, "may_have_run")
        for each in said:
            for failure in each.get("failures", ()):
                self._join(FailureGroup(**failure))

    def _join(self, more: FailureGroup) -> None:
        group = self._groups.get((more.error, more.code))
        if group is None:
            self._groups[more.error, more.code] = more
            return
        group.count += more.count
        if more.item < group.item:
            group.item, group.line, group.message = more.item, more.line, more.message


def _sum(said: Iterable[Mapping[str, Any]], name: str) -> Any:
    return sum(each.get(name) or 0 for each in said)
