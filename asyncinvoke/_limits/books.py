"""The limiter's bookkeeping: what is reserved, what is in flight, and whether one more may start."""

import math
from collections.abc import Callable

from asyncinvoke._limits.gates import Gate
from asyncinvoke._limits.scopes import FunctionGate, FunctionKey, Scopes


class Claim:
    """What is asked for, waited for and held: one attempt more in flight."""

    __slots__ = (
        "ahead",
        "ahead_in_account",
        "deadline",
        "gate",
        "is_held",
        "key",
        "number",
        "owner",
        "waited",
    )

    gate: FunctionGate
    """What it counts against; there once it was asked for."""
    number: int
    """Which permit it is, counted from 1; there once it is granted, as the next two are."""
    ahead: int
    """What was in flight of the function then."""
    ahead_in_account: int
    """What was in flight of the account then."""

    key: FunctionKey
    """The function."""
    deadline: float
    """Until when it is waited for."""
    owner: object
    """In whose name it is asked for, if that matters: who may withdraw it."""
    is_held: bool
    """Whether it is granted, and has not ended."""
    waited: float
    """How many seconds it took to get; 0 if it was free."""


class PermitTimeoutError(Exception):
    """No permit could be had before the deadline; the engine makes the caller's error of it.

    Args:
        limited: What held permits back, in a sentence, if anything did.
    """

    def __init__(self, limited: str | None) -> None:
        super().__init__(limited)
        self.limited = limited


class LimiterClosedError(Exception):
    """There are no permits any more: the limiter was closed."""


class Books:
    """Counts what is in flight against each gate.

    Args:
        scopes: The gates.
        now: Tells the time.
    """

    def __init__(self, scopes: Scopes, *, now: Callable[[], float]) -> None:
        self.scopes = scopes
        self.now = now
        self.in_flight: int = 0
        self.waiting = 0
        self.number: int = 0
        """That of the last permit that was granted."""
        self.room: int = scopes.maximum
        """What is in flight has to stay below it."""
        self.is_timed: bool = False
        """Whether a pause or a rate can delay every permit, whoever asks."""
        self.is_short: bool = False
        """Whether there are fewer files than permits."""
        self.is_closed = False

    def take(self, claim: Claim) -> bool:
        """Grant a claim if that is free, and all who asked for the same before have theirs.

        Everything that may go when something opens goes at once. So whoever finds a permit free, and
        finds that time has no say in it, takes it from nobody and need not look at those who wait.
        """
        gate = self.scopes.functions.get(claim.key)
        if gate is None:
            gate = self.scopes.open(claim.key, now=self.now())
        claim.gate = gate
        account = gate.account
        if (
            self.in_flight >= self.room
            or gate.waiting
            or gate.in_flight >= gate.concurrency.limit
            or (account.in_flight >= account.concurrency.limit and not gate.reserved)
        ):
            return False
        now = None
        if self.is_timed or gate.is_timed or account.is_timed:
            now = self.now()
            # Time may have let those go who wait; they go first.
            if self.waiting or self.refresh(gate, now) > now:
                return False
        if claim.deadline != math.inf and claim.deadline <= self.now():
            return False
        if not gate.in_flight:
            self.scopes.take(gate)
        self.grant(claim, now)
        return True

    def grant(self, claim: Claim, now: float | None) -> None:
        """Count a claim as in flight, whose gates are open; `now` may be left out if none is timed."""
        gate, caller = claim.gate, self.scopes.caller
        account = gate.account
        if not gate.in_flight:
            # An idle function rolls no meter as it gets answers, so the first attempt does.
            now = self.now() if now is None else now
            if now >= gate.meter.ends_at:
                gate.meter.roll(now, last=self.number)
            if now >= caller.meter.ends_at:
                caller.meter.roll(now, last=self.number)
        self.number = claim.number = self.number + 1
        claim.ahead = gate.in_flight
        claim.ahead_in_account = account.in_flight
        claim.is_held = True
        self.in_flight += 1
        gate.in_flight += 1
        if not gate.reserved:
            account.in_flight += 1
        gate.meter.accepted += 1
        caller.meter.accepted += 1
        if gate.rate is not None:
            gate.rate.take()
        if caller.is_timed and now is not None:
            if caller.rate is not None:
                caller.rate.take()
            if caller.pause.seconds:
                # While nothing answers, one at a time is let through to see whether that is over; the
                # next does not wait for its end, which may be long in coming.
                caller.pause.repeat(now=now)

    def release(self, claim: Claim) -> None:
        """Count a claim no more. A function with nothing in flight, and nobody waiting, is idle."""
        gate = claim.gate
        claim.is_held = False
        self.in_flight -= 1
        gate.in_flight -= 1
        if not gate.reserved:
            gate.account.in_flight -= 1
        if not gate.in_flight and not gate.waiting:
            self.scopes.shelve(gate)

    def uncount(self, claim: Claim) -> None:
        """Forget that a claim was granted: its attempt was not sent."""
        for gate in (claim.gate, self.scopes.caller):
            gate.meter.take_back(claim.number)
            if gate.rate is not None:
                gate.rate.give_back()

    def refresh(self, gate: FunctionGate, now: float) -> float:
        """Let time pass, and return before when nothing of a function starts, whatever ends."""
        scopes = self.scopes
        opens = max(gate.refill(now), scopes.caller.refill(now), scopes.process.refill(now))
        return opens if gate.reserved else max(opens, gate.account.refill(now))

    def shared_moved(self) -> None:
        """Learn that what limits everything has moved: the maximum, the caller or the process."""
        scopes = self.scopes
        files = scopes.process.concurrency.limit
        self.is_short = files < scopes.maximum
        self.room = 0 if self.is_closed else min(files, scopes.maximum)
        self.is_timed = scopes.caller.is_timed or scopes.process.is_timed

    def describe(self, key: FunctionKey) -> str | None:
        """Say in a sentence what holds a function's permits back now: what opens last, if any."""
        now, scopes = self.now(), self.scopes
        gate = scopes.functions.get(key)
        gates: list[tuple[Gate, int]] = [(scopes.caller, 0)]
        if self.is_short or scopes.process.is_timed:
            gates.append((scopes.process, self.in_flight))
        if gate is not None:
            if not gate.reserved:
                gates.append((gate.account, gate.account.in_flight))
            gates.append((gate, gate.in_flight))
        # What the caller has set comes before a guess of ours, and after what a throttle has told.
        held = [(now, False, f"the limit is {scopes.maximum}")] * (self.in_flight >= scopes.maximum)
        for each, in_flight in gates:
            said = each.describe(now, in_flight)
            if said is not None:
                held.append((said[0], each.was_told, said[1]))
        return max(held, key=lambda each: each[:2])[2] if held else None
