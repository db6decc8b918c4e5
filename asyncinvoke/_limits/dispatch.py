"""The dispatcher: who waits for a permit, and who gets the next free one."""

import math

from asyncinvoke._clock import Clock
from asyncinvoke._limits.books import Books, Claim, LimiterClosedError, PermitTimeoutError
from asyncinvoke._limits.events import LimitEvents
from asyncinvoke._limits.gates import Gate
from asyncinvoke._limits.queue import Line, Queue
from asyncinvoke._limits.scopes import AccountGate, FunctionGate
from asyncinvoke._limits.timekeeper import TICK, Timekeeper, Waiter


class Dispatcher:
    """Grants permits to waiters as soon as possible.

    Whenever a gate opens, `_dispatch` grants everything it can. So no waiter is left that could
    proceed, except through the passage of time alone, which the timekeeper watches.

    Args:
        books: The bookkeeping of attempts in flight.
        clock: The source of time.
        events: The queue of limit events.
    """

    def __init__(self, books: Books, *, clock: Clock, events: LimitEvents) -> None:
        self.books = books
        self.events = events
        self._queue: Queue[Waiter] = Queue()
        # Found without looking at all waiters: of many maps, each is paused and stopped on its own.
        self._owned: dict[object, dict[Waiter, None]] = {}
        self._timekeeper = Timekeeper(clock, self._act)

    async def wait(self, claim: Claim) -> None:
        """Wait until a claim is granted.

        Raises:
            PermitTimeoutError: The deadline passes, or cannot be met.
            LimiterClosedError: The limiter was closed.
        """
        began = self.books.now()
        self._check_hope(claim, began)
        waiter = Waiter(claim)
        self._join(waiter, began)
        try:
            self._act(began)
            if waiter.is_waiting:
                await self._timekeeper.wait(waiter)
                claim.waited = self.books.now() - began
        except BaseException:
            if waiter.is_waiting:
                self._give_up(waiter)
            self._give_back_unused(claim)
            raise
        finally:
            self._timekeeper.relieve(waiter)
        if self.books.is_closed:
            self._give_back_unused(claim)
            raise LimiterClosedError
        if not claim.is_held and not waiter.is_withdrawn:
            raise PermitTimeoutError(waiter.limited)

    def given_back(self, gate: FunctionGate) -> None:
        """Grant what is possible after a permit of a function was released; there are waiters."""
        now = self.books.now()
        line = self._queue.line_of(gate)
        if line is not None and line.lane is None:
            self._place(line, now)
        self._unblock(gate.account, now)
        self._dispatch(now)
        self._timekeeper.appoint()

    def change_lanes(self, gate: FunctionGate) -> None:
        """Move the line of a function that starts or stops counting against its account."""
        line = self._queue.line_of(gate)
        if line is not None and line.lane is not None:
            self._queue.line_up(line)

    def close(self) -> None:
        """Stop granting permits, and wake all waiters."""
        self.books.is_closed = True
        self.books.shared_moved()
        for waiter in list(self._timekeeper.waiters):
            self._give_up(waiter)

    def withdraw(self, owner: object) -> None:
        """Wake the waiters of an owner without granting them a permit."""
        for waiter in list(self._owned.get(owner, ())):
            waiter.is_withdrawn = True
            self._give_up(waiter)

    def _check_hope(self, claim: Claim, now: float) -> None:
        if self.books.is_closed:
            raise LimiterClosedError
        if claim.deadline <= max(now, self.books.refresh(claim.gate, now)):
            raise PermitTimeoutError(self.books.describe(claim.key))

    def _give_back_unused(self, claim: Claim) -> None:
        if claim.is_held:
            self.books.uncount(claim)
            self.books.release(claim)
            if self.books.waiting:
                self.given_back(claim.gate)

    def _join(self, waiter: Waiter, now: float) -> None:
        gate = waiter.claim.gate
        if not gate.in_flight and not gate.waiting:
            self.books.unshelve(gate)
        self.books.waiting += 1
        line = self._queue.join(gate, waiter)
        self._timekeeper.join(waiter)
        owner = waiter.claim.owner
        if owner is not None:
            self._owned.setdefault(owner, {})[waiter] = None
        if line is not None:
            self._place(line, now)

    def _leave(self, waiter: Waiter) -> None:
        self.books.waiting -= 1
        self._queue.leave(waiter.claim.gate, waiter)
        self._timekeeper.end(waiter)
        owned = self._owned.get(waiter.claim.owner)
        if owned is not None:
            del owned[waiter]
            if not owned:
                del self._owned[waiter.claim.owner]

    def _give_up(self, waiter: Waiter) -> None:
        gate = waiter.claim.gate
        self._leave(waiter)
        if not gate.in_flight and not gate.waiting:
            self.books.shelve(gate)

    def _place(self, line: Line[Waiter], now: float) -> None:
        """Queue a line for its turn or, if its function is blocked, set it aside."""
        # While the overall limit is reached, new lines are queued in order of arrival.
        is_full = self.books.in_flight >= self.books.room
        opens = now if is_full else line.gate.refresh(now)
        if opens <= now:
            self._queue.line_up(line)
        else:
            self._queue.set_aside(line)
            self._alarm(line.gate, opens, now)

    def _unblock(self, account: AccountGate, now: float) -> None:
        """Unblock the lane of an account if the account is open."""
        if self._queue.is_blocked(account):
            opens = account.refresh(now)
            if opens <= now:
                self._queue.unblock(account)
            else:
                self._alarm(account, opens, now)

    def _alarm(self, gate: Gate, opens: float, now: float) -> None:
        """Set an alarm for the time at which a blocked gate may open."""
        if opens < math.inf:
            self._timekeeper.set_alarm(gate, opens)
        elif gate.may_grow:
            self._timekeeper.set_alarm(gate, now + TICK)

    def _dispatch(self, now: float) -> None:
        """Grant all permits that can be granted, one per function in turn."""
        books, queue = self.books, self._queue
        while books.in_flight < books.room:
            if books.is_timed and not self._lets_any_start(now):
                return
            line = queue.next_line()
            if line is None:
                return
            gate = line.gate
            if gate.refresh(now) > now:
                self._place(line, now)
            elif not gate.reserved and gate.account.refresh(now) > now:
                queue.block(gate.account)
                self._unblock(gate.account, now)
            else:
                waiter = line.first
                books.grant(waiter.claim, now)
                self._leave(waiter)
                if gate.waiting:
                    self._place(line, now)
        if books.is_short and books.waiting:
            self._alarm(books.scopes.process, math.inf, now)

    def _lets_any_start(self, now: float) -> bool:
        for gate in (self.books.scopes.caller, self.books.scopes.process):
            opens = gate.refill(now)
            if opens > now:
                self._timekeeper.set_alarm(gate, opens)
                return False
        return True

    def _act(self, now: float) -> int:
        """Process everything that is due; return the number of attempts in flight."""
        for gate in self._timekeeper.due(now):
            self._look_at(gate, now)
        for waiter in self._timekeeper.expired(now):
            waiter.limited = self.books.describe(waiter.claim.key)
            self._give_up(waiter)
        self._dispatch(now)
        if self.events.pending:
            self.events.deliver()
        return self.books.in_flight

    def _look_at(self, gate: Gate, now: float) -> None:
        """Let a gate grow with time, and release the waiters behind it."""
        if isinstance(gate, FunctionGate):
            line = self._queue.line_of(gate)
            if line is None or line.lane is not None:
                return
            gate.tick(now, gate.in_flight)
            if not gate.reserved:
                # The account is as full as its function, and would become the bottleneck.
                gate.account.tick(now, gate.account.in_flight)
                self._unblock(gate.account, now)
            self._place(line, now)
        elif isinstance(gate, AccountGate):
            if self._queue.is_blocked(gate):
                gate.tick(now, gate.in_flight)
                self._unblock(gate, now)
        else:
            gate.tick(now, self.books.in_flight)
            self.books.shared_moved()
