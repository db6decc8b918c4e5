"""How far all processes of a run are: what each has said last, put together."""

from collections.abc import Iterable, Mapping
from typing import Any

from asyncinvoke.cli.progress import Counts
from asyncinvoke.cli.summary import Failures, Tally


class Said:
    """What the processes have said last, each by its number."""

    def __init__(self) -> None:
        self._last: dict[int, Mapping[str, Any]] = {}
        self._ended: set[int] = set()

    def add(self, number: int, said: Mapping[str, Any]) -> None:
        """Take what a process says."""
        self._last[number] = said

    def ended(self, number: int) -> None:
        """Note that a process has ended: nothing of it is in flight, and it has no rate."""
        self._ended.add(number)

    def counts(self, elapsed: float, *, processes: int) -> Counts:
        """Return how far they are together."""
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

    def tally(self) -> Tally:
        """Return what came of all their items, as far as their last words tell."""
        return JoinedTally(self._last.values())


class JoinedTally(Tally):
    """Counts put together from the last words of processes; their latencies cannot be."""

    def __init__(self, said: Iterable[Mapping[str, Any]]) -> None:
        super().__init__()
        said = tuple(said)
        self.succeeded: int = _sum(said, "ok")
        self.failed: int = _sum(said, "failed")
        for each in said:
            for failure in each.get("failures", ()):
                self._join(Failures(**failure))

    def _join(self, more: Failures) -> None:
        group = self._groups.get((more.error, more.code))
        if group is None:
            self._groups[more.error, more.code] = more
            return
        group.count += more.count
        if more.item < group.item:
            group.item, group.line, group.message = more.item, more.line, more.message


def _sum(said: Iterable[Mapping[str, Any]], name: str) -> Any:
    return sum(each.get(name) or 0 for each in said)
