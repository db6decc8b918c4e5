"""The limiter's bookkeeping: what is in flight, what is idle, and whether one more may start."""

import math
from collections.abc import Callable

from asyncinvoke._limits.gates import Gate
from asyncinvoke._limits.scopes import (
    KEPT_THROTTLED,
    KEPT_UNTHROTTLED,
    FunctionGate,
    FunctionKey,
    Scopes,
)


class Claim:
    """A request for one more attempt in flight: requested, waited for, and held."""

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
    """The gate it counts against; set once it was requested."""
    number: int
    """The number of the permit, from 1; set once it is granted, like the next two."""
    ahead: int
    """The function's attempts in flight at that time."""
    ahead_in_account: int
    """The account's attempts in flight at that time."""

    key: FunctionKey
    """The function."""
    deadline: float
    """The deadline for waiting."""
    owner: object
    """The owner, if any, which may withdraw it."""
    is_held: bool
    """Whether it was granted and not yet released."""
    waited: float
    """How long it waited, in seconds; 0 if it was available."""


class PermitTimeoutError(Exception):
    """No permit was available before the deadline; the engine converts it to the caller's error.

    Args:
        limited: A description of what delayed permits, if anything did.
    """

    def __init__(self, limited: str | None) -> None:
        super().__init__(limited)
        self.limited = limited


class LimiterClosedError(Exception):
    """The limiter was closed and grants no more permits."""


class Books:
    """Counts the attempts in flight for each gate.

    Args:
        scopes: The gates.
        now: Returns the current time.
    """

    def __init__(self, scopes: Scopes, *, now: Callable[[], float]) -> None:
        self.scopes = scopes
        self.now = now
        self.in_flight: int = 0
        self.waiting = 0
        self.number: int = 0
        """The number of the last permit granted."""
        self.room: int = scopes.maximum
        """The upper bound for attempts in flight."""
        self.is_timed: bool = False
        """Whether a pause or a rate can delay all permits."""
        self.is_short: bool = False
        """Whether there are fewer file descriptors than permits."""
        self.is_closed = False

    def take(self, claim: Claim) -> bool:
        """Grant a claim if a permit is available and no earlier waiter is entitled to it.

        Whenever a gate opens, all permits that can be granted are granted immediately. So if a
        permit is available and does not depend on time, no waiter is entitled to it, and the queue
        need not be checked.
        """
        gate = self.scopes.functions.get(claim.key)
        if gate is None:
            gate = self.scopes.open(claim.key, now=self.now())
            self.shelve(gate)
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
            # Waiters may have become eligible with time; they go first.
            if self.waiting or self.refresh(gate, now) > now:
                return False
        if claim.deadline != math.inf and claim.deadline <= self.now():
            return False
        if not gate.in_flight:
            idle = self.scopes.idle  # `unshelve`, inlined to save a call
            del (idle if gate in idle else self.scopes.idle_throttled)[gate]
        self.grant(claim, now)
        return True

    def grant(self, claim: Claim, now: float | None) -> None:
        """Count a claim whose gates are open as in flight; `now` is needed only for timed gates."""
        gate, caller = claim.gate, self.scopes.caller
        account = gate.account
        if not gate.in_flight:
            # An idle function gets no responses to roll its meter, so the first attempt does.
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
                # While the endpoint is unreachable, one attempt at a time is sent as a probe. The
                # next one does not wait for it to end, which may take long.
                caller.pause.repeat(now=now)

    def release(self, claim: Claim) -> None:
        """Uncount a claim. A function with nothing in flight and no waiters becomes idle."""
        gate = claim.gate
        claim.is_held = False
        self.in_flight -= 1
        gate.in_flight -= 1
        if not gate.reserved:
            gate.account.in_flight -= 1
        if not gate.in_flight and not gate.waiting:
            idle = self.scopes.idle
            if gate.throttles or len(idle) >= KEPT_UNTHROTTLED:
                self.shelve(gate)
            else:
                idle[gate] = None  # `shelve`, inlined to save a call

    def unshelve(self, gate: FunctionGate) -> None:
        """Remove a function from the cache of idle ones."""
        idle = self.scopes.idle
        del (idle if gate in idle else self.scopes.idle_throttled)[gate]

    def shelve(self, gate: FunctionGate) -> None:
        """Add a function to the cache of idle ones, and evict another if the cache is full."""
        shelf, kept = self.scopes.idle, KEPT_UNTHROTTLED
        if gate.throttles:
            shelf, kept = self.scopes.idle_throttled, KEPT_THROTTLED
        shelf[gate] = None
        if len(shelf) > kept:
            self.scopes.forget(shelf.popitem(last=False)[0])

    def set_reserved(self, gate: FunctionGate, reserved: bool) -> None:
        """Stop, or resume, counting a function's attempts in flight against its account."""
        gate.reserved = reserved
        gate.account.in_flight += -gate.in_flight if reserved else gate.in_flight

    def uncount(self, claim: Claim, *, was_sent: bool = False) -> None:
        """Undo the count of a claim as accepted: its attempt was refused, or not even sent."""
        number = claim.number
        for gate in (claim.gate, self.scopes.caller):
            meter = gate.meter
            if number >= meter.first:  # nearly always; only an earlier window takes a call
                meter.accepted -= 1
            else:
                meter.uncount(number)
            if gate.rate is not None and not was_sent:
                gate.rate.give_back()

    def refresh(self, gate: FunctionGate, now: float) -> float:
        """Advance the time, and return the earliest time at which the function can start."""
        scopes = self.scopes
        opens = max(gate.refill(now), scopes.caller.refill(now), scopes.process.refill(now))
        return opens if gate.reserved else max(opens, gate.account.refill(now))

    def shared_moved(self) -> None:
        """Update the overall limits after the maximum, the caller or the process has changed."""
        scopes = self.scopes
        files = scopes.process.concurrency.limit
        self.is_short = files < scopes.maximum
        self.room = 0 if self.is_closed else min(files, scopes.maximum)
        self.is_timed = scopes.caller.is_timed or scopes.process.is_timed

    def describe(self, key: FunctionKey) -> str | None:
        """Describe what currently delays a function's permits: the gate that opens last, if any."""
        now, scopes = self.now(), self.scopes
        gate = scopes.functions.get(key)
        gates: list[tuple[Gate, int]] = [(scopes.caller, 0)]
        if self.is_short or scopes.process.is_timed:
            gates.append((scopes.process, self.in_flight))
        if gate is not None:
            if not gate.reserved:
                gates.append((gate.account, gate.account.in_flight))
            gates.append((gate, gate.in_flight))
        # The caller's setting takes precedence over our guesses, and throttles over both.
        held = [(now, False, f"the limit is {scopes.maximum}")] * (self.in_flight >= scopes.maximum)
        for each, in_flight in gates:
            said = each.describe(now, in_flight)
            if said is not None:
                held.append((said[0], each.was_told, said[1]))
        return max(held, key=lambda each: each[:2])[2] if held else None
