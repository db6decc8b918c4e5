"""What to do with an item that was read, given its record: a decision on values."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple

from asyncinvoke._engine.frames import without_frames
from asyncinvoke._engine.journal import Changed, Journal, Redrive
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.recording import Prepared
from asyncinvoke._journal.flights import Flight
from asyncinvoke._journal.in_doubt import lost_attempt, lost_outcome
from asyncinvoke._journal.schema import State
from asyncinvoke.errors import AsyncInvokeError, InvalidRequestError

_REDRIVEN = {
    State.NOT_RUN: Redrive.NOT_RUN.value,
    State.FAILED: Redrive.FAILED.value & ~Redrive.NOT_RUN.value,
    State.MAY_HAVE_RUN: Redrive.MAY_HAVE_RUN.value,
}
"""The bits of a `Redrive` that run items of this state again; other states are not failures."""


class Found(NamedTuple):
    """What is recorded of an item that was read and has ended."""

    prepared: Prepared
    digest: bytes | None
    state: State
    take: int


class Doubt(NamedTuple):
    """An item that may have run when a process died, and whose payload may have changed since."""

    prepared: Prepared
    """The item as it is now."""

    sent: Prepared
    """The item as it was sent, which is what is recorded, with its outcome."""

    is_again: bool
    """Whether it runs as another take, because its payload has changed."""


@dataclass(slots=True)
class Decided:
    """The decisions about the items of a group."""

    fresh: list[Prepared] = field(default_factory=list)
    """New items, which run."""

    again: list[Prepared] = field(default_factory=list)
    """Items that run again, as another take."""

    repeated: list[Prepared] = field(default_factory=list)
    """Items that may have run when a process died, and run again because they are idempotent."""

    lost: list[Doubt] = field(default_factory=list)
    """Items that may have run, and are recorded as such."""

    replayed: list[Found] = field(default_factory=list)
    """Items that have ended; their recorded outcomes are replayed."""

    asked: list[Found] = field(default_factory=list)
    """Failed items; the caller's function decides whether they run again."""

    skipped: list[Prepared] = field(default_factory=list)
    """Items that have ended and are not replayed."""

    unnamed: list[tuple[Prepared, Outcome[Any]]] = field(default_factory=list)
    """Items without a valid key, or with the key of another item."""

    differing: list[Prepared] = field(default_factory=list)
    """Items that differ from what is recorded."""

    dropped: list[Prepared] = field(default_factory=list)
    """Items that are not sent and have no outcome, because other items differ."""

    outcomes: list[tuple[Prepared, Outcome[Any]]] = field(default_factory=list)
    """The recorded outcomes of the items in `replayed` and `asked`."""

    @property
    def size(self) -> int:
        """The size of the results in `outcomes`, in bytes."""
        responses = (
            outcome.response or getattr(outcome.error, "response", None)
            for _, outcome in self.outcomes
        )
        return sum(len(each.payload) for each in responses if each is not None)

    def drop_all_but_differing(self, reads: list[Prepared]) -> None:
        """Drop the other items of the group: the input is not that of the run."""
        kept = {id(prepared) for prepared, _ in self.unnamed}
        self.dropped = [each for each in reads if id(each) not in kept]
        self.fresh, self.again, self.repeated, self.lost = [], [], [], []
        self.replayed, self.asked, self.skipped = [], [], []


class SeenRows:
    """The rows of the items read in this session, to detect duplicate keys."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self.open: dict[str, int] = {}
        """The rows of the keys in progress, and of those left in doubt by a process that died."""

    def __contains__(self, row: int) -> bool:
        byte, bit = divmod(row, 8)
        return byte < len(self._bits) and bool(self._bits[byte] >> bit & 1)

    def add(self, row: int) -> None:
        """Add the row of an item."""
        byte, bit = divmod(row, 8)
        if byte >= len(self._bits):
            self._bits.extend(bytes(max(4096, byte + 1 - len(self._bits))))
        self._bits[byte] |= 1 << bit

    def add_all(self, first: int, count: int) -> None:
        """Add `count` consecutive rows."""
        until = first + count
        whole = range(-(-first // 8), until // 8)  # bytes all of whose bits are set
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


class _Action(Enum):
    """What becomes of an item that has ended in an earlier session."""

    AGAIN = auto()
    DIFFERS = auto()
    ASKED = auto()
    REPLAYED = auto()
    SKIPPED = auto()


def decide_found(
    found: list[Found], journal: Journal, seen: SeenRows | None, into: Decided
) -> None:
    """Decide about items that have ended; `seen` is given in a run with keys."""
    for each in found:
        prepared = each.prepared
        if seen is not None:
            if prepared.row in seen:
                into.unnamed.append((prepared, _twice(prepared, prepared.row)))
                continue
            seen.add(prepared.row)
        action = _action_for(each, journal, keyed=seen is not None)
        if action is _Action.AGAIN:
            prepared.take = each.take + 1
            into.again.append(prepared)
        elif action is _Action.DIFFERS:
            into.differing.append(prepared)
        elif action is _Action.ASKED:
            into.asked.append(each)
        elif action is _Action.REPLAYED:
            into.replayed.append(each)
        else:
            into.skipped.append(prepared)


def _action_for(each: Found, journal: Journal, *, keyed: bool) -> _Action:
    """Return what becomes of an item, given its record and its digest now."""
    if each.digest != each.prepared.digest:
        if each.digest is None:  # it could not be sent then, so it certainly did not run
            return _Action.AGAIN
        if not keyed or journal.changed is Changed.REFUSE:
            return _Action.DIFFERS
        if journal.changed is Changed.AGAIN:
            return _Action.AGAIN
    redrive, bits = journal.redrive, _REDRIVEN.get(each.state, 0)
    if bits and not isinstance(redrive, Redrive):
        return _Action.ASKED
    if isinstance(redrive, Redrive) and bits & redrive.value:
        return _Action.AGAIN
    return _Action.REPLAYED if journal.replay and journal.results else _Action.SKIPPED


def decide_fresh(
    fresh: list[Prepared],
    lost: dict[int | str, Flight],
    journal: Journal,
    seen: SeenRows | None,
    into: Decided,
) -> None:
    """Decide about items that have not ended; those in `lost` may have run."""
    if seen is None and not lost:  # as in nearly all groups of a run without keys
        into.fresh += fresh
        return
    for prepared in fresh:
        name = prepared.index if seen is None else prepared.key
        if name is None:
            assert prepared.error is not None  # noqa: S101  # it has no key because of that
            into.unnamed.append((prepared, _unnamed(prepared, without_frames(prepared.error))))
            continue
        if seen is not None:
            assert isinstance(name, str)  # noqa: S101  # it is the key
            if name in seen.open:
                into.unnamed.append((prepared, _twice(prepared, seen.open[name])))
                continue
        left = lost.get(name)
        if left is None:
            into.fresh.append(prepared)
            if seen is not None and prepared.key is not None:
                seen.open[prepared.key] = prepared.index
            continue
        if _decide_lost(prepared, left, journal, seen, into):
            del lost[name]


def _decide_lost(
    prepared: Prepared, left: Flight, journal: Journal, seen: SeenRows | None, into: Decided
) -> bool:
    """Decide about an item that may have run; return whether it goes on: one that differs does not."""
    prepared.row, prepared.take = left.row, left.take
    changed = left.digest != prepared.digest
    if changed and (seen is None or journal.changed is Changed.REFUSE):
        into.differing.append(prepared)
        return False
    if seen is not None:
        seen.add(left.row)
        seen.open[str(prepared.key)] = left.row
    if not changed and prepared.call is not None and prepared.call.repeatable:
        prepared.lost = lost_attempt(left)
        into.repeated.append(prepared)
    else:
        into.lost.append(_doubt(prepared, left, journal))
    return True


def _doubt(prepared: Prepared, left: Flight, journal: Journal) -> Doubt:
    """Return what becomes of an item that may have run and is not simply repeated."""
    outcome = lost_outcome(prepared, left)
    if left.digest == prepared.digest:
        prepared.outcome = outcome
        return Doubt(prepared, prepared, is_again=False)
    # Not the item that may have run: its intent, and its record, would be those of another payload.
    sent = Prepared(prepared.index, prepared.key, None, b"")
    sent.digest, sent.row, sent.take, sent.outcome = left.digest, left.row, left.take, outcome
    return Doubt(prepared, sent, is_again=journal.changed is Changed.AGAIN)


def _twice(prepared: Prepared, row: int) -> Outcome[Any]:
    error = InvalidRequestError(f"key {prepared.key!r} is that of item {row}")
    return _unnamed(prepared, error, take=0)


def _unnamed(prepared: Prepared, error: AsyncInvokeError, *, take: int = 1) -> Outcome[Any]:
    return Outcome(
        index=prepared.index, key=prepared.key, error=error, started=0.0, elapsed=0.0, take=take
    )
