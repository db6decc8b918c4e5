"""The limiter: grants permits under the limits of functions, accounts, caller and process.

A permit is the right to one attempt, as a block that ends it; each end teaches the limits something.
"""

import logging
import math
from types import TracebackType
from typing import Self

from asyncinvoke._clock import SYSTEM_CLOCK, Clock
from asyncinvoke._limits.books import Books, Claim
from asyncinvoke._limits.dispatch import Dispatcher
from asyncinvoke._limits.events import News
from asyncinvoke._limits.gates import Gate
from asyncinvoke._limits.limit import AdaptiveLimit, Limit, files_limit
from asyncinvoke._limits.scopes import FunctionKey, Scopes
from asyncinvoke._model.failure import LIMIT_OF_REASON, ThrottleReason, ThrottleScope
from asyncinvoke._statistics import ScopeStatistics
from asyncinvoke._telemetry.hooks import Hooks


class Permit(Claim):
    """The right to one attempt: a block, entered once, that says how the attempt fared.

        async with limiter.permit(key, deadline=deadline) as permit:
            ...
            permit.admitted()

    It is held from entering until it is ended, by one of the methods or by leaving the block,
    whichever comes first; what comes later does nothing. Entering raises `PermitTimeoutError` or
    `LimiterClosedError`, and if it is cancelled, nothing is held; nor is it where the owner has
    withdrawn what it waits for.
    """

    __slots__ = ("_dispatcher",)

    def __init__(
        self, dispatcher: Dispatcher, key: FunctionKey, deadline: float, owner: object
    ) -> None:
        self._dispatcher = dispatcher
        self.key = key
        self.deadline = deadline
        self.owner = owner
        self.is_held = False
        self.waited: float = 0.0

    async def __aenter__(self) -> Self:
        if not self._dispatcher.books.take(self):
            await self._dispatcher.wait(self)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.is_held:
            self._give_back()

    def unused(self) -> None:
        """End it: no attempt was made of it."""
        if self.is_held:
            self._dispatcher.books.uncount(self)
            self._give_back()

    def ignored(self) -> None:
        """End it: how the attempt fared says nothing about limits. Leaving the block means this."""
        if self.is_held:
            self._give_back()

    def admitted(self) -> None:
        """End it: the attempt was admitted, whether the function then failed or not."""
        if not self.is_held:
            return
        dispatcher, gate = self._dispatcher, self.gate
        books = dispatcher.books
        try:
            now = books.now()
            # Where a limit is not filled and was not, an answer changes nothing.
            limit = gate.concurrency
            if gate.in_flight >= limit.limit or limit.is_in_use or gate.is_timed:
                gate.admitted(now)
            if not gate.reserved:
                account = gate.account
                limit = account.concurrency
                if account.in_flight >= limit.limit or limit.is_in_use or account.is_timed:
                    account.admitted(now)
            meter, shared_meter = gate.meter, books.scopes.caller.meter
            if now >= meter.ends_at:
                meter.roll(now, last=books.number)
            if now >= shared_meter.ends_at:
                shared_meter.roll(now, last=books.number)
            if books.is_timed or books.is_short:
                self._answered(now)
        finally:
            # As `_give_back`: inlined, which saves a call.
            books.release(self)
            if books.waiting:
                dispatcher.given_back(gate)
        if dispatcher.news.pending:
            dispatcher.news.deliver()

    def throttled(self, reason: ThrottleReason) -> None:
        """End it: the attempt was refused, for a reason that names a limit."""
        if not self.is_held:
            return
        dispatcher, gate = self._dispatcher, self.gate
        books = dispatcher.books
        try:
            now, hit = books.now(), LIMIT_OF_REASON[reason]
            slowed, ahead = self._slowed(hit.scope)
            gate.meter.take_back(self.number)
            books.scopes.caller.meter.take_back(self.number)
            slowed.throttles += 1
            # A fixed limit stays, whatever happens.
            if books.scopes.adaptive is not None:
                number, last = self.number, books.number
                slowed.throttled(reason, number=number, last=last, ahead=ahead, now=now)
                if hit.reserved is not None and hit.reserved != gate.reserved:
                    gate.set_reserved(hit.reserved)
                    if gate.waiting:
                        dispatcher.change_lanes(gate)
            self._answered(now)
        finally:
            self._give_back()
        if dispatcher.news.pending:
            dispatcher.news.deliver()

    def unreachable(self) -> None:
        """End it: the attempt was surely not sent, and no other would be, for nothing answers.

        Everything pauses, for 0.05 s at first and 5 s at most. After each pause a single attempt is
        let through, until one is answered; that ends it for all.
        """
        if not self.is_held:
            return
        dispatcher = self._dispatcher
        books = dispatcher.books
        try:
            books.uncount(self)
            caller = books.scopes.caller
            caller.unreachable(number=self.number, last=books.number, now=books.now())
            books.shared_moved()
        finally:
            self._give_back()
        if dispatcher.news.pending:
            dispatcher.news.deliver()

    def out_of_files(self) -> bool:
        """End it: the attempt was not sent, since this process has no file for a connection.

        From now on at most as many attempts are in flight as are now, without this one.

        Returns:
            Whether there are others, so that one that ends frees a file: ask for another permit, and
            it comes when that is so. If there are none, whatever has the files is not ours, and
            everything pauses, as for a throttle of the very last attempt.
        """
        dispatcher = self._dispatcher
        books = dispatcher.books
        others = books.in_flight - self.is_held
        if not self.is_held:
            return others > 0
        try:
            books.uncount(self)
            books.scopes.process.out_of_files(others=others, now=books.now())
            books.shared_moved()
        finally:
            self._give_back()
        if dispatcher.news.pending:
            dispatcher.news.deliver()
        return others > 0

    def _give_back(self) -> None:
        """Let go of it, and let those go on who can now."""
        dispatcher = self._dispatcher
        dispatcher.books.release(self)
        if dispatcher.books.waiting:
            dispatcher.given_back(self.gate)

    def _slowed(self, scope: ThrottleScope) -> tuple[Gate, int]:
        """Return whose limit was hit, and what was in flight there before."""
        if scope is ThrottleScope.ACCOUNT:
            return self.gate.account, self.ahead_in_account
        if scope is ThrottleScope.CALLER:
            return self._dispatcher.books.scopes.caller, self.ahead
        return self.gate, self.ahead

    def _answered(self, now: float) -> None:
        """Learn that the endpoint can be reached, and that there was a file for it."""
        books = self._dispatcher.books
        caller, process = books.scopes.caller, books.scopes.process
        if caller.pause.seconds:
            caller.reached()
        if process.pause.seconds:
            process.admitted(now)
        else:
            # By time and not by answers: fast functions do not make files come back faster.
            process.tick(now, books.in_flight)
        books.shared_moved()


_logger = logging.getLogger("asyncinvoke")


class Limiter:
    """Hands out permits, each held against its function, its account and the whole.

    Within a function they are handed out in the order in which they are asked for. Functions take
    turns, and one that is at its own limit lets the others pass. A permit that is free is taken
    without a switch of tasks.

    Args:
        limit: How many attempts may be in flight.
        clock: Where time comes from.
        hooks: Those who listen to limits that move.
        files: How many files this process may have open, and how many it has, which bounds its
            connections whatever the limit is; `None` if that is not known.
        connections: How many the caller's own client has, which bounds them too.
    """

    def __init__(
        self,
        limit: Limit,
        *,
        clock: Clock = SYSTEM_CLOCK,
        hooks: Hooks | None = None,
        files: tuple[int, int] | None = None,
        connections: int | None = None,
    ) -> None:
        most = limit.maximum if isinstance(limit, AdaptiveLimit) else limit.n
        if connections is not None:
            most = min(most, connections)
        if files is not None and files_limit(*files) < most:
            wanted, most = most, files_limit(*files)
            _logger.info(
                "at most %d attempts in flight, not %d: this process may have %d files open",
                most,
                wanted,
                files[0],
            )
        news = News(Hooks() if hooks is None else hooks)
        scopes = Scopes(limit, maximum=most, now=clock.monotonic(), news=news)
        self._books = Books(scopes, now=clock.monotonic)
        self._dispatcher = Dispatcher(self._books, clock=clock, news=news)

    @property
    def limit(self) -> int:
        """The most permits that are ever held at once."""
        return self._books.scopes.maximum

    @property
    def in_flight(self) -> int:
        """How many permits are held."""
        return self._books.in_flight

    @property
    def waiting(self) -> int:
        """How many wait for a permit."""
        return self._books.waiting

    def permit(
        self, key: FunctionKey, *, deadline: float = math.inf, owner: object = None
    ) -> Permit:
        """Return a permit for a function, to be entered.

        Args:
            key: The function.
            deadline: Until when to wait for it, on the limiter's clock.
            owner: In whose name it is asked for.
        """
        return Permit(self._dispatcher, key, deadline, owner)

    def withdraw(self, owner: object) -> None:
        """Let nobody wait in this owner's name any longer: they enter with a permit not held."""
        self._dispatcher.withdraw(owner)

    def describe(self, key: FunctionKey) -> str | None:
        """Say in a sentence what holds a function's permits back now, if anything does.

        Of several things it is the one that will open last.
        """
        return self._books.describe(key)

    def statistics(self) -> tuple[ScopeStatistics, ...]:
        """Return a snapshot of every scope: the caller, the process, the accounts, the functions."""
        return self._books.scopes.statistics(in_flight=self.in_flight, waiting=self.waiting)

    def close(self) -> None:
        """Hand out no permit any more; whoever waits, or enters, gets `LimiterClosedError`.

        Permits that are held end as ever.
        """
        self._dispatcher.close()

    def __repr__(self) -> str:
        return f"<Limiter {self.in_flight}/{self.limit} in flight, {self.waiting} waiting>"
