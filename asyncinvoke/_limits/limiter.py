"""The limiter: grants permits under the limits of functions, accounts, caller and process.

A permit allows one attempt; it is a block, and the way it ends is feedback for the limits.
"""

import logging
import math
from types import TracebackType
from typing import Self

from asyncinvoke._clock import SYSTEM_CLOCK, Clock
from asyncinvoke._limits.books import Books, Claim
from asyncinvoke._limits.dispatch import Dispatcher
from asyncinvoke._limits.events import LimitEvents
from asyncinvoke._limits.gates import Gate
from asyncinvoke._limits.limit import AdaptiveLimit, Limit, files_limit
from asyncinvoke._limits.scopes import FunctionKey, Scopes
from asyncinvoke._model.failure import LIMIT_OF_REASON, ThrottleReason, ThrottleScope
from asyncinvoke._statistics import ScopeStatistics
from asyncinvoke._telemetry.hooks import Hooks


class Permit(Claim):
    """The permission for one attempt: a block, entered once, that takes the attempt's result.

        async with limiter.permit(key, deadline=deadline) as permit:
            ...
            permit.admitted()

    It is held from entering the block until it is released, by one of the methods or by leaving the
    block, whichever comes first; later calls have no effect. Entering raises `PermitTimeoutError`
    or `LimiterClosedError`. If entering is cancelled, or the owner withdraws its requests, no
    permit is held.
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
        """Release it: no attempt was made."""
        if self.is_held:
            self._dispatcher.books.uncount(self)
            self._give_back()

    def ignored(self) -> None:
        """Release it: the result says nothing about limits. The default when leaving the block."""
        if self.is_held:
            self._give_back()

    def answered(self) -> None:
        """Release it: the response says nothing about limits, but that the endpoint is reachable."""
        if not self.is_held:
            return
        dispatcher = self._dispatcher
        books = dispatcher.books
        try:
            if books.is_timed or books.is_short:
                self._answered(books.now())
        finally:
            self._give_back()
        if dispatcher.events.pending:
            dispatcher.events.deliver()

    def admitted(self) -> None:
        """Release it: the attempt was admitted, whether or not the function failed."""
        if not self.is_held:
            return
        dispatcher, gate = self._dispatcher, self.gate
        books = dispatcher.books
        try:
            now = books.now()
            # A response changes nothing if the limit cannot rise, or if it is not reached and was
            # not before.
            limit = gate.concurrency
            if gate.is_timed or (
                limit.limit < limit.maximum and (limit.is_in_use or gate.in_flight >= limit.limit)
            ):
                gate.admitted(now)
            if not gate.reserved:
                account = gate.account
                limit = account.concurrency
                if account.is_timed or (
                    limit.limit < limit.maximum
                    and (limit.is_in_use or account.in_flight >= limit.limit)
                ):
                    account.admitted(now)
            meter, shared_meter = gate.meter, books.scopes.caller.meter
            if now >= meter.ends_at:
                meter.roll(now, last=books.number)
            if now >= shared_meter.ends_at:
                shared_meter.roll(now, last=books.number)
            if books.is_timed or books.is_short:
                self._answered(now)
        finally:
            # `_give_back`, inlined to save a call.
            books.release(self)
            if books.waiting:
                dispatcher.given_back(gate)
        if dispatcher.events.pending:
            dispatcher.events.deliver()

    def throttled(self, reason: ThrottleReason) -> None:
        """Release it: the attempt was throttled, for a reason that identifies the limit."""
        if not self.is_held:
            return
        dispatcher, gate = self._dispatcher, self.gate
        books = dispatcher.books
        try:
            now, hit = books.now(), LIMIT_OF_REASON[reason]
            slowed, ahead = self._slowed(hit.scope)
            books.uncount(self, was_sent=True)
            slowed.throttles += 1
            # A fixed limit never changes.
            if books.scopes.adaptive is not None:
                number, last = self.number, books.number
                slowed.throttled(reason, number=number, last=last, ahead=ahead, now=now)
                if hit.reserved is not None and hit.reserved != gate.reserved:
                    books.set_reserved(gate, hit.reserved)
                    if gate.waiting:
                        dispatcher.change_lanes(gate)
            self._answered(now)
        finally:
            self._give_back()
        if dispatcher.events.pending:
            dispatcher.events.deliver()

    def unreachable(self, why: str = "") -> float:
        """Release it: the attempt was not sent, because nothing can be sent.

        All attempts pause, for 0.05 s at first and 5 s at most. After each pause a single attempt
        is sent as a probe; the first response ends the pause for all.

        Args:
            why: What is wrong, if known, such as `https://example.com refuses connections`.

        Returns:
            When the outage began, on the limiter's clock: since then there was no response.
            Infinite if it is over, and this attempt was begun before its end.
        """
        dispatcher = self._dispatcher
        books = dispatcher.books
        caller = books.scopes.caller
        if not self.is_held:
            return caller.pause.began
        try:
            books.uncount(self)
            caller.unreachable(why, number=self.number, last=books.number, now=books.now())
            books.shared_moved()
        finally:
            self._give_back()
        if dispatcher.events.pending:
            dispatcher.events.deliver()
        return caller.pause.began

    def out_of_files(self) -> bool:
        """Release it: the attempt was not sent, because no file descriptor was available.

        The limit is lowered to the number of other attempts currently in flight.

        Returns:
            Whether there are other attempts in flight. If so, one of them frees a descriptor when
            it ends: request another permit, which is granted then. If not, the descriptors are
            used elsewhere, and all attempts pause as if even a single one had been throttled.
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
        if dispatcher.events.pending:
            dispatcher.events.deliver()
        return others > 0

    def _give_back(self) -> None:
        """Release it, and grant permits to waiters that can proceed now."""
        dispatcher = self._dispatcher
        dispatcher.books.release(self)
        if dispatcher.books.waiting:
            dispatcher.given_back(self.gate)

    def _slowed(self, scope: ThrottleScope) -> tuple[Gate, int]:
        """Return the gate whose limit was hit, and how many attempts were in flight there."""
        if scope is ThrottleScope.ACCOUNT:
            # If it was thought to have a reserve, its own attempts were not counted there.
            own = self.ahead if self.gate.reserved else 0
            return self.gate.account, self.ahead_in_account + own
        if scope is ThrottleScope.CALLER:
            return self._dispatcher.books.scopes.caller, self.ahead
        return self.gate, self.ahead

    def _answered(self, now: float) -> None:
        """Record that the endpoint is reachable, and that a file descriptor was available."""
        books = self._dispatcher.books
        caller, process = books.scopes.caller, books.scopes.process
        if caller.pause.seconds:
            caller.reached()
        if process.pause.seconds:
            process.reached()
        # By time, not by responses: fast functions do not free descriptors any faster.
        process.tick(now, books.in_flight)
        books.shared_moved()


_logger = logging.getLogger("asyncinvoke")


class Limiter:
    """Grants permits, each counted against its function, its account and the overall limit.

    Permits of one function are granted in the order of the requests. Functions take turns, and one
    that is at its own limit does not block the others. An available permit is granted without a
    task switch.

    Args:
        limit: The limit on attempts in flight.
        clock: The source of time.
        hooks: The hooks for limit changes.
        files: The maximum number of open files of this process and the current number, which bound
            its connections; `None` if unknown.
        connections: The pool size that the caller's client or config sets, an additional bound.
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
        events = LimitEvents(Hooks() if hooks is None else hooks)
        scopes = Scopes(limit, maximum=most, now=clock.monotonic(), events=events)
        self._books = Books(scopes, now=clock.monotonic)
        self._dispatcher = Dispatcher(self._books, clock=clock, events=events)

    @property
    def limit(self) -> int:
        """The maximum number of permits held at once."""
        return self._books.scopes.maximum

    @property
    def in_flight(self) -> int:
        """The number of permits held."""
        return self._books.in_flight

    @property
    def waiting(self) -> int:
        """The number of requests waiting for a permit."""
        return self._books.waiting

    def permit(
        self, key: FunctionKey, *, deadline: float = math.inf, owner: object = None
    ) -> Permit:
        """Return a permit for a function, as a context manager.

        Args:
            key: The function.
            deadline: When to stop waiting for it, on the limiter's clock.
            owner: The owner on whose behalf it is requested.
        """
        # Not a `partial` of the class, which takes longer than this call.
        return Permit(self._dispatcher, key, deadline, owner)

    def withdraw(self, owner: object) -> None:
        """Withdraw an owner's waiting requests: they return without holding a permit."""
        self._dispatcher.withdraw(owner)

    def describe(self, key: FunctionKey) -> str | None:
        """Describe what currently delays a function's permits, if anything does.

        If there are several reasons, it is the one that will last longest.
        """
        return self._books.describe(key)

    def statistics(self) -> tuple[ScopeStatistics, ...]:
        """Return a snapshot of every scope: the caller, the process, the accounts, the functions."""
        return self._books.scopes.statistics(in_flight=self.in_flight, waiting=self.waiting)

    def close(self) -> None:
        """Grant no more permits; current and future requests raise `LimiterClosedError`.

        Permits that are held are released as usual.
        """
        self._dispatcher.close()

    def __repr__(self) -> str:
        return f"<Limiter {self.in_flight}/{self.limit} in flight, {self.waiting} waiting>"
