"""What to do with an item that was read, given its record: a decision on values."""

from dataclasses import dataclass, field
from typing import Any

from asyncinvoke._engine.journal import Changed, Journal, Redrive
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.recording import Prepared
from asyncinvoke._journal.batch import Found, Lost
from asyncinvoke._journal.schema import State
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import FailureKind, TransportFault
from asyncinvoke._model.response import Attempt
from asyncinvoke.errors import GaveUp, InvalidRequestError, TransportError

_DRIVEN = {
    State.NOT_RUN: Redrive.NOT_RUN.value,
    State.FAILED: Redrive.FAILED.value & ~Redrive.NOT_RUN.value,
    State.MAY_HAVE_RUN: Redrive.MAY_HAVE_RUN.value,
}
"""What of a `Redrive` each state that is a failure is driven by."""


@dataclass(slots=True)
class Decided:
    """The decisions about the items of a group."""

    fresh: list[Prepared] = field(default_factory=list)
    """New items, which run."""

    again: list[Prepared] = field(default_factory=list)
    """Items that run again, as another take."""

    repeated: list[Prepared] = field(default_factory=list)
    """Items that may have run when a process died, and run again because they are idempotent."""

    lost: list[tuple[Prepared, Outcome[Any]]] = field(default_factory=list)
    """Items that may have run, and do not run again."""

    replayed: list[Found] = field(default_factory=list)
    """Items that have ended, and whose recorded outcomes are replayed."""

    asked: list[Found] = field(default_factory=list)
    """Items that have failed, and for which the caller decides whether they run again."""

    skipped: list[Prepared] = field(default_factory=list)
    """Items that have ended, and are not replayed."""

    twice: list[tuple[Prepared, Outcome[Any]]] = field(default_factory=list)
    """Items with the key of another item."""

    differing: list[Prepared] = field(default_factory=list)
    """Items that differ from what is recorded."""

    dropped: list[Prepared] = field(default_factory=list)
    """Items that are not sent and have no outcome, because other items differ."""

    outcomes: list[tuple[Prepared, Outcome[Any]]] = field(default_factory=list)
    """What is recorded of those that are `replayed` or `asked` about."""

    def drop_all_but_differing(self, reads: list[Prepared]) -> None:
        """Let none of the group run: the input is another one."""
        kept = {id(prepared) for prepared, _ in self.twice}
        self.dropped = [each for each in reads if id(each) not in kept]
        self.fresh, self.again, self.repeated, self.lost = [], [], [], []
        self.replayed, self.asked, self.skipped = [], [], []


class Seen:
    """The rows that the items of this session have, so that a key which comes twice is known."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self.open: dict[str, int] = {}
        """The rows of keys that are under way."""

    def __contains__(self, row: int) -> bool:
        byte, bit = divmod(row, 8)
        return byte < len(self._bits) and bool(self._bits[byte] >> bit & 1)

    def add(self, row: int) -> None:
        """Note that an item of this session has this row."""
        byte, bit = divmod(row, 8)
        if byte >= len(self._bits):
            self._bits.extend(bytes(max(4096, byte + 1 - len(self._bits))))
        self._bits[byte] |= 1 << bit

    def add_all(self, first: int, count: int) -> None:
        """Note that items of this session have so many rows from here on."""
        until = first + count
        whole = range(-(-first // 8), until // 8)  # bytes, all of whose rows are among them
        if len(whole) == 0:
            for row in range(first, until):
                self.add(row)
            return
        for row in (*range(first, whole.start * 8), *range(whole.stop * 8, until)):
            self.add(row)
        if whole.stop > len(self._bits):
            self._bits.extend(bytes(max(4096, whole.stop - len(self._bits))))
        self._bits[whole.start : whole.stop] = b"\xff" * len(whole)

    def count(self) -> int:
        """Return how many rows there are."""
        return int.from_bytes(self._bits, "big").bit_count()


def decide_found(found: list[Found], journal: Journal, seen: Seen | None, into: Decided) -> None:
    """Decide about items of which an earlier take is recorded."""
    replays = journal.replay and journal.results
    for each in found:
        prepared = each.prepared
        if seen is not None:
            if prepared.row in seen:
                into.twice.append((prepared, _twice(prepared, prepared.row)))
                continue
            seen.add(prepared.row)
        if each.digest != prepared.digest:
            if each.digest is None:  # it could not be sent then, and surely did not run
                prepared.take = each.take + 1
                into.again.append(prepared)
                continue
            if seen is None or journal.changed is Changed.REFUSE:
                into.differing.append(prepared)
                continue
            if journal.changed is Changed.AGAIN:
                prepared.take = each.take + 1
                into.again.append(prepared)
                continue
        failed = each.state in _DRIVEN
        if failed and not isinstance(journal.redrive, Redrive):
            into.asked.append(each)
        elif (
            failed
            and isinstance(journal.redrive, Redrive)
            and _DRIVEN[each.state] & journal.redrive.value
        ):
            prepared.take = each.take + 1
            into.again.append(prepared)
        elif replays:
            into.replayed.append(each)
        else:
            into.skipped.append(prepared)


def decide_fresh(
    fresh: list[Prepared],
    lost: dict[int | str, Lost],
    journal: Journal,
    seen: Seen | None,
    into: Decided,
) -> None:
    """Decide about items that have not ended: those that may have run are in `lost`."""
    for prepared in fresh:
        name = prepared.index if seen is None else prepared.key
        assert name is not None  # noqa: S101  # in a run with keys each item here has one
        if seen is not None:
            assert isinstance(name, str)  # noqa: S101  # it is the key
            if name in seen.open:
                into.twice.append((prepared, _twice(prepared, seen.open[name])))
                continue
        left = lost.get(name)
        if left is None:
            into.fresh.append(prepared)
            if seen is not None and prepared.key is not None:
                seen.open[prepared.key] = prepared.index
            continue
        prepared.row, prepared.take = left.row, left.take
        changed = left.digest != prepared.digest
        if changed and (seen is None or journal.changed is Changed.REFUSE):
            into.differing.append(prepared)
            continue
        if seen is not None:
            seen.add(left.row)
            seen.open[str(name)] = left.row
        repeatable = prepared.call is not None and prepared.call.repeatable
        if repeatable or (changed and journal.changed is Changed.AGAIN):
            prepared.lost = _lost_attempt(left)
            into.repeated.append(prepared)
        else:
            into.lost.append((prepared, lost_outcome(prepared, left)))
        del lost[name]


def lost_outcome(prepared: Prepared, left: Lost) -> Outcome[Any]:
    """Return the outcome of an item that may have run when its process died, and is not run again."""
    return _in_doubt(
        prepared,
        "its process died while it was under way",
        TransportFault.PROCESS_LOST,
        GaveUp.DELIVERY_UNKNOWN,
        left.started,
    )


def left_outcome(prepared: Prepared, started: float) -> Outcome[Any]:
    """Return the outcome of an item that was sent, and left when the block of the map was."""
    return _in_doubt(
        prepared, "the map's block was left", TransportFault.CLOSED, GaveUp.CLOSED, started
    )


def _in_doubt(
    prepared: Prepared, message: str, fault: TransportFault, gave_up: GaveUp, started: float
) -> Outcome[Any]:
    attempt = Attempt(
        number=1,
        started=started,
        elapsed=0.0,
        kind=FailureKind.TRANSPORT,
        delivery=Delivery.UNKNOWN,
        code=fault.value,
    )
    target = None if prepared.call is None else prepared.call.parameters.target
    error = TransportError(
        message,
        function_name="" if target is None else target.function_name,
        qualifier=None if target is None else target.qualifier,
        code=fault.value,
        delivery=Delivery.UNKNOWN,
        attempts=(attempt,),
        gave_up=gave_up,
    )
    return Outcome(
        index=prepared.index,
        key=prepared.key,
        error=error,
        attempts=(attempt,),
        started=started,
        elapsed=0.0,
        take=prepared.take,
    )


def _lost_attempt(left: Lost) -> Attempt:
    return Attempt(
        number=1,
        started=left.started,
        elapsed=0.0,
        kind=FailureKind.TRANSPORT,
        delivery=Delivery.UNKNOWN,
        code=TransportFault.PROCESS_LOST.value,
    )


def _twice(prepared: Prepared, row: int) -> Outcome[Any]:
    error = InvalidRequestError(f"key {prepared.key!r} is that of item {row}")
    return Outcome(
        index=prepared.index, key=prepared.key, error=error, started=0.0, elapsed=0.0, take=0
    )
