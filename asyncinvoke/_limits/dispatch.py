"""Who gets a permit, and when: takes what is free, waits for what is not, passes on what comes back.

Whenever something opens, everything that may go goes at once, in `_dispatch`. So nobody is waiting
who could have gone, unless time alone has let them; and whoever finds a permit free, and finds that
time has no say in it, takes it from nobody and need not look at those who wait.
"""

import math

from asyncinvoke._clock import Clock
from asyncinvoke._limits.events import News
from asyncinvoke._limits.gates import Gate
from asyncinvoke._limits.queue import Claim, Line, Queue
from asyncinvoke._limits.scopes import AccountGate, FunctionGate, FunctionKey, Scopes
from asyncinvoke._limits.timekeeper import TICK, Timekeeper, Waiter


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


class Dispatcher:
    """Keeps the books of what is in flight.

    Args:
        scopes: The gates.
        clock: Where time comes from.
        news: What there is to tell of gates that moved.
    """

    def __init__(self, scopes: Scopes, *, clock: Clock, news: News) -> None:
        self.scopes = scopes
        self.news = news
        self.now = clock.monotonic
        self.in_flight = 0
        self.number = 0
        """That of the last permit that was granted."""
        self.is_short = False
        """Whether there are fewer files than permits."""
        self.is_timed = False
        """Whether the clock has a say in whether anything may start at all."""
        self._is_closed = False
        self._room = scopes.maximum
        self._queue: Queue[Waiter] = Queue()
        self._timekeeper = Timekeeper(clock, self._act)
        self.waiters = self._timekeeper.waiters

    def take(self, claim: Claim) -> bool:
        """Grant a claim if that is free, and all who asked for the same before have theirs."""
        gate = self.scopes.functions.get(claim.key)
        if gate is None:
            gate = self.scopes.open(claim.key, now=self.now())
        claim.gate = gate
        account = gate.account
        if (
            self.in_flight >= self._room
            or gate.waiting
            or gate.in_flight >= gate.concurrency.limit
            or (account.in_flight >= account.concurrency.limit and not gate.reserved)
        ):
            return False
        now = None
        if self.is_timed or gate.is_timed or account.is_timed:
            now = self.now()
            # Time may have let those go who wait; they go first.
            if self.waiters or self._opens_at(gate, now) > now:
                return False
        if claim.deadline != math.inf and claim.deadline <= self.now():
            return False
        if not gate.in_flight:
            self.scopes.take(gate)
        self._grant(claim, now)
        return True

    async def wait(self, claim: Claim) -> None:
        """Wait for a claim to be granted that is not free.

        Raises:
            PermitTimeoutError: The deadline passes, or it is known that nothing opens before it.
            LimiterClosedError: There are no permits any more.
        """
        self._check_open(claim)
        began = self.now()
        if claim.deadline <= max(began, self._opens_at(claim.gate, began)):
            raise PermitTimeoutError(self.describe(claim.key))
        waiter = Waiter(claim)
        self._join(waiter, began)
        try:
            self._act(began)
            if waiter.is_waiting:
                await self._timekeeper.wait(waiter)
                claim.waited = self.now() - began
        except BaseException:
            if waiter.is_waiting:
                self._give_up(waiter)
            elif claim.is_held:
                self._give_back_unused(claim)
            raise
        finally:
            self._timekeeper.relieve(waiter)
        self._check_open(claim)
        if not claim.is_held:
            raise PermitTimeoutError(self.describe(claim.key))

    def give_back(self, claim: Claim) -> None:
        """End a claim that is held, and let those go who can now."""
        gate = claim.gate
        claim.is_held = False
        self.in_flight -= 1
        gate.in_flight -= 1
        if not gate.reserved:
            gate.account.in_flight -= 1
        if self.waiters:
            self._reconsider(gate, self.now())
        if not gate.in_flight and not gate.waiting:
            self.scopes.shelve(gate)

    def uncount(self, claim: Claim) -> None:
        """Forget that a claim was granted: its attempt was not sent."""
        for gate in (claim.gate, self.scopes.caller):
            gate.meter.take_back(claim.number)
            if gate.rate is not None:
                gate.rate.give_back()

    def set_reserved(self, gate: FunctionGate, reserved: bool) -> None:
        """Learn whether a function has concurrency of its own."""
        if reserved != gate.reserved:
            gate.set_reserved(reserved)
            line = self._queue.line_of(gate)
            if line is not None and line.lane is not None:
                self._queue.line_up(line)

    def shared_moved(self) -> None:
        """Learn that what limits everything has moved: the maximum, the caller or the process."""
        scopes = self.scopes
        files = scopes.process.concurrency.limit
        self.is_short = files < scopes.maximum
        self._room = 0 if self._is_closed else min(files, scopes.maximum)
        self.is_timed = scopes.caller.is_timed or scopes.process.is_timed

    def set_maximum(self, maximum: int) -> None:
        """Change how many may be in flight in all."""
        self.scopes.set_maximum(maximum)
        self.shared_moved()
        self._dispatch(self.now())
        self._timekeeper.appoint()

    def close(self) -> None:
        """Grant nothing any more, and wake up whoever waits."""
        self._is_closed = True
        self.shared_moved()
        for waiter in list(self.waiters):
            self._give_up(waiter)

    def describe(self, key: FunctionKey) -> str | None:
        """Say in a sentence what holds a function's permits back now: what opens last, if any."""
        now = self.now()
        scopes = self.scopes
        held = [scopes.caller.describe(now, 0)]
        if self.is_short or scopes.process.is_timed:
            held.append(scopes.process.describe(now, self.in_flight))
        gate = scopes.functions.get(key)
        if gate is not None:
            if not gate.reserved:
                held.append(gate.account.describe(now, gate.account.in_flight))
            held.append(gate.describe(now, gate.in_flight))
        if self.in_flight >= scopes.maximum:
            held.append((now, f"the limit is {scopes.maximum}"))
        found = [each for each in held if each is not None]
        return max(found, key=lambda each: each[0])[1] if found else None

    def _grant(self, claim: Claim, now: float | None) -> None:
        gate = claim.gate
        account = gate.account
        meter, shared_meter = gate.meter, self.scopes.caller.meter
        if not gate.in_flight:
            # An idle function rolls no meter as it gets answers, so the first attempt does.
            now = self.now() if now is None else now
            if now >= meter.ends_at:
                meter.roll(now, last=self.number)
            if now >= shared_meter.ends_at:
                shared_meter.roll(now, last=self.number)
        self.number = claim.number = self.number + 1
        claim.ahead = gate.in_flight
        claim.ahead_in_account = account.in_flight
        claim.is_held = True
        self.in_flight += 1
        gate.in_flight += 1
        if not gate.reserved:
            account.in_flight += 1
        meter.accepted += 1
        shared_meter.accepted += 1
        if gate.rate is not None:
            gate.rate.take()
        if self.is_timed and now is not None:
            self._start_shared(now)

    def _start_shared(self, now: float) -> None:
        caller = self.scopes.caller
        if caller.rate is not None:
            caller.rate.take()
        if caller.pause.seconds:
            # While nothing answers, one at a time is let through to see whether it is over; the next
            # does not wait for its end, which may be long in coming.
            caller.pause.repeat(now=now)

    def _opens_at(self, gate: FunctionGate, now: float) -> float:
        """Return the time before which nothing of a function may start."""
        scopes = self.scopes
        opens = max(gate.refill(now), scopes.caller.refill(now), scopes.process.refill(now))
        return opens if gate.reserved else max(opens, gate.account.refill(now))

    def _check_open(self, claim: Claim) -> None:
        if self._is_closed:
            if claim.is_held:
                self._give_back_unused(claim)
            raise LimiterClosedError

    def _join(self, waiter: Waiter, now: float) -> None:
        gate = waiter.claim.gate
        if not gate.in_flight and not gate.waiting:
            self.scopes.take(gate)
        line = self._queue.join(gate, waiter)
        self._timekeeper.join(waiter)
        if line is not None:
            self._place(line, now)

    def _give_up(self, waiter: Waiter) -> None:
        gate = waiter.claim.gate
        self._queue.leave(gate, waiter)
        self._timekeeper.end(waiter)
        if not gate.in_flight and not gate.waiting:
            self.scopes.shelve(gate)

    def _give_back_unused(self, claim: Claim) -> None:
        self.uncount(claim)
        self.give_back(claim)

    def _reconsider(self, gate: FunctionGate, now: float) -> None:
        """Let those go who can, now that a function and its account have one less in flight."""
        line = self._queue.line_of(gate)
        if line is not None and line.lane is None:
            self._place(line, now)
        self._reopen(gate.account, now)
        self._dispatch(now)
        self._timekeeper.appoint()

    def _place(self, line: Line[Waiter], now: float) -> None:
        """Let a line wait for its turn or, if its function is closed, for that to open."""
        # While nobody can go, whoever comes has a turn, in the order in which they come.
        opens = line.gate.opens_at(now) if self.in_flight < self._room else now
        if opens <= now:
            self._queue.line_up(line)
        else:
            self._queue.set_aside(line)
            self._alarm(line.gate, opens, now)

    def _reopen(self, account: AccountGate, now: float) -> None:
        if self._queue.is_closed(account):
            opens = account.opens_at(now)
            if opens <= now:
                self._queue.reopen(account)
            else:
                self._alarm(account, opens, now)

    def _alarm(self, gate: Gate, opens: float, now: float) -> None:
        """See to it that a closed gate is looked at when time may have opened it."""
        if opens < math.inf:
            self._timekeeper.set_alarm(gate, opens)
        elif gate.may_grow:
            self._timekeeper.set_alarm(gate, now + TICK)

    def _dispatch(self, now: float) -> None:
        """Grant what can be granted, one to each function in turn."""
        while self.in_flight < self._room:
            if self.is_timed and not self._lets_any_start(now):
                return
            line = self._queue.next_line()
            if line is None:
                return
            gate = line.gate
            if gate.opens_at(now) > now:
                self._place(line, now)
                continue
            if not gate.reserved and gate.account.opens_at(now) > now:
                self._queue.close(gate.account)
                self._reopen(gate.account, now)
                continue
            waiter = line.first
            self._grant(waiter.claim, now)
            self._queue.leave(gate, waiter)
            self._timekeeper.end(waiter)
            if gate.waiting:
                self._place(line, now)
        if self.is_short and self.waiters and not self._is_closed:
            self._alarm(self.scopes.process, math.inf, now)

    def _lets_any_start(self, now: float) -> bool:
        for gate in (self.scopes.caller, self.scopes.process):
            opens = gate.refill(now)
            if opens > now:
                self._timekeeper.set_alarm(gate, opens)
                return False
        return True

    def _act(self, now: float) -> int:
        """Let everything happen that is due; return how many attempts are in flight."""
        for gate in self._timekeeper.due(now):
            self._look_at(gate, now)
        for waiter in self._timekeeper.expired(now):
            self._give_up(waiter)
        self._dispatch(now)
        if self.news.pending:
            self.news.deliver()
        return self.in_flight

    def _look_at(self, gate: Gate, now: float) -> None:
        """Let a gate grow by time, and let those go who wait for it."""
        if isinstance(gate, FunctionGate):
            line = self._queue.line_of(gate)
            if line is None or line.lane is not None:
                return
            # Its account fills up with it, and would hold it back in its place.
            gate.tick(now, gate.in_flight)
            if not gate.reserved:
                gate.account.tick(now, gate.account.in_flight)
            self._place(line, now)
            self._reopen(gate.account, now)
        elif isinstance(gate, AccountGate):
            if self._queue.is_closed(gate):
                gate.tick(now, gate.in_flight)
                self._reopen(gate, now)
        else:
            gate.tick(now, self.in_flight)
            self.shared_moved()
