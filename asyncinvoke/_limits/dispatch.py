"""The dispatcher: who waits for a permit, and who gets the next free one."""

import math

from asyncinvoke._clock import Clock
from asyncinvoke._limits.books import Books, Claim, LimiterClosedError, PermitTimeoutError
from asyncinvoke._limits.events import News
from asyncinvoke._limits.gates import Gate
from asyncinvoke._limits.queue import Line, Queue
from asyncinvoke._limits.scopes import AccountGate, FunctionGate
from asyncinvoke._limits.timekeeper import TICK, Timekeeper, Waiter


class Dispatcher:
    """Lets whoever waits go as soon as that is possible.

    Whenever something opens, `_dispatch` lets everything go that may. So nobody is waiting who could
    have gone, unless time alone has let them; that is the timekeeper's to find out.

    Args:
        books: What is in flight.
        clock: Where time comes from.
        news: What there is to tell of limits that moved.
    """

    def __init__(self, books: Books, *, clock: Clock, news: News) -> None:
        self.books = books
        self.news = news
        self._queue: Queue[Waiter] = Queue()
        self._timekeeper = Timekeeper(clock, self._act)

    async def wait(self, claim: Claim) -> None:
        """Wait for a claim to be granted that is not free.

        Raises:
            PermitTimeoutError: The deadline passes, or it is known that nothing opens before it.
            LimiterClosedError: There are no permits any more.
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
        """Let those go who can, now that a function has given one back; somebody waits."""
        now = self.books.now()
        line = self._queue.line_of(gate)
        if line is not None and line.lane is None:
            self._place(line, now)
        self._unblock(gate.account, now)
        self._dispatch(now)
        self._timekeeper.appoint()

    def change_lanes(self, gate: FunctionGate) -> None:
        """Let those wait elsewhere whose function counts against its account now, or no longer."""
        line = self._queue.line_of(gate)
        if line is not None and line.lane is not None:
            self._queue.line_up(line)

    def close(self) -> None:
        """Grant nothing any more, and wake up whoever waits."""
        self.books.is_closed = True
        self.books.shared_moved()
        for waiter in list(self._timekeeper.waiters):
            self._give_up(waiter)

    def withdraw(self, owner: object) -> None:
        """Wake up those who wait in the name of an owner, with nothing."""
        for waiter in [each for each in self._timekeeper.waiters if each.claim.owner is owner]:
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
            self.books.scopes.take(gate)
        self.books.waiting += 1
        line = self._queue.join(gate, waiter)
        self._timekeeper.join(waiter)
        if line is not None:
            self._place(line, now)

    def _leave(self, waiter: Waiter) -> None:
        self.books.waiting -= 1
        self._queue.leave(waiter.claim.gate, waiter)
        self._timekeeper.end(waiter)

    def _give_up(self, waiter: Waiter) -> None:
        gate = waiter.claim.gate
        self._leave(waiter)
        if not gate.in_flight and not gate.waiting:
            self.books.scopes.shelve(gate)

    def _place(self, line: Line[Waiter], now: float) -> None:
        """Let a line wait for its turn or, if its function is blocked, for that to end."""
        # While nobody can go, whoever comes has a turn, in the order in which they come.
        is_full = self.books.in_flight >= self.books.room
        opens = now if is_full else line.gate.refresh(now)
        if opens <= now:
            self._queue.line_up(line)
        else:
            self._queue.set_aside(line)
            self._alarm(line.gate, opens, now)

    def _unblock(self, account: AccountGate, now: float) -> None:
        """Let the lines of a blocked account take turns again if it is open."""
        if self._queue.is_blocked(account):
            opens = account.refresh(now)
            if opens <= now:
                self._queue.unblock(account)
            else:
                self._alarm(account, opens, now)

    def _alarm(self, gate: Gate, opens: float, now: float) -> None:
        """See to it that a blocked gate is looked at when time may have opened it."""
        if opens < math.inf:
            self._timekeeper.set_alarm(gate, opens)
        elif gate.may_grow:
            self._timekeeper.set_alarm(gate, now + TICK)

    def _dispatch(self, now: float) -> None:
        """Grant what can be granted, one to each function in turn."""
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
        """Let everything happen that is due; return how many attempts are in flight."""
        for gate in self._timekeeper.due(now):
            self._look_at(gate, now)
        for waiter in self._timekeeper.expired(now):
            waiter.limited = self.books.describe(waiter.claim.key)
            self._give_up(waiter)
        self._dispatch(now)
        if self.news.pending:
            self.news.deliver()
        return self.books.in_flight

    def _look_at(self, gate: Gate, now: float) -> None:
        """Let a gate grow by time, and let those go who wait for it."""
        if isinstance(gate, FunctionGate):
            line = self._queue.line_of(gate)
            if line is None or line.lane is not None:
                return
            gate.tick(now, gate.in_flight)
            if not gate.reserved:
                # It fills up together with its function, and would hold that back in its place.
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
