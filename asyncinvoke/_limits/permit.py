"""A permit: the right to one attempt, as a block that ends it, and what each end teaches."""

from types import TracebackType
from typing import Self

from asyncinvoke._limits.dispatch import Dispatcher
from asyncinvoke._limits.gates import Gate
from asyncinvoke._limits.queue import Claim
from asyncinvoke._limits.reasons import LIMIT_OF_REASON
from asyncinvoke._limits.scopes import FunctionKey
from asyncinvoke._model.failure import ThrottleReason, ThrottleScope


class Permit(Claim):
    """The right to one attempt: a block, entered once, that says how the attempt fared.

        async with limiter.permit(key, deadline=deadline) as permit:
            ...
            permit.admitted()

    It is held from entering until it is ended, by one of the methods or by leaving the block,
    whichever comes first; what comes later does nothing. Entering raises `PermitTimeoutError` or
    `LimiterClosedError`, and if it is cancelled, nothing is held.
    """

    __slots__ = ("_dispatcher",)

    def __init__(self, dispatcher: Dispatcher, key: FunctionKey, deadline: float) -> None:
        # Not by `super`, which would cost a call more for each attempt.
        self._dispatcher = dispatcher
        self.key = key
        self.deadline = deadline
        self.is_held = False
        self.waited = 0.0

    async def __aenter__(self) -> Self:
        if not self._dispatcher.take(self):
            await self._dispatcher.wait(self)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.is_held:
            self._dispatcher.give_back(self)

    def ignored(self) -> None:
        """End it: how the attempt fared says nothing about limits. Leaving the block means this."""
        if self.is_held:
            self._dispatcher.give_back(self)

    def admitted(self) -> None:
        """End it: the attempt was admitted, whether the function then failed or not."""
        if not self.is_held:
            return
        dispatcher, gate = self._dispatcher, self.gate
        now = dispatcher.now()
        # Where a limit is not filled and was not, an answer changes nothing.
        limit = gate.concurrency
        if gate.in_flight >= limit.limit or limit.is_in_use or gate.is_timed:
            gate.admitted(now)
        if not gate.reserved:
            account = gate.account
            limit = account.concurrency
            if account.in_flight >= limit.limit or limit.is_in_use or account.is_timed:
                account.admitted(now)
        meter = gate.meter
        if now >= meter.ends_at:
            meter.roll(now, last=dispatcher.number)
        meter = dispatcher.scopes.caller.meter
        if now >= meter.ends_at:
            meter.roll(now, last=dispatcher.number)
        if dispatcher.is_timed or dispatcher.is_short:
            self._answered(now)
        dispatcher.give_back(self)
        if dispatcher.news.pending:
            dispatcher.news.deliver()

    def throttled(self, reason: ThrottleReason) -> None:
        """End it: the attempt was refused, for a reason that names a limit."""
        if not self.is_held:
            return
        dispatcher, gate, hit = self._dispatcher, self.gate, LIMIT_OF_REASON[reason]
        now = dispatcher.now()
        slowed: Gate = gate
        ahead = self.ahead
        if hit.scope is ThrottleScope.ACCOUNT:
            slowed, ahead = gate.account, self.ahead_in_account
        elif hit.scope is ThrottleScope.CALLER:
            slowed = dispatcher.scopes.caller
        gate.meter.take_back(self.number)
        dispatcher.scopes.caller.meter.take_back(self.number)
        slowed.count(reason)
        if dispatcher.scopes.adaptive is not None:
            number, last = self.number, dispatcher.number
            slowed.throttled(reason, number=number, last=last, ahead=ahead, now=now)
            if hit.reserved is not None:
                dispatcher.set_reserved(gate, hit.reserved)
        self._answered(now)
        dispatcher.give_back(self)
        dispatcher.news.deliver()

    def unreachable(self) -> None:
        """End it: the attempt was surely not sent, and no other would be, for nothing answers.

        Everything pauses, for 0.05 s at first and 5 s at most. After each pause a single attempt is
        let through, until one is answered; that ends it for all.
        """
        if not self.is_held:
            return
        dispatcher = self._dispatcher
        dispatcher.uncount(self)
        dispatcher.scopes.caller.unreachable(
            number=self.number, last=dispatcher.number, now=dispatcher.now()
        )
        dispatcher.shared_moved()
        dispatcher.give_back(self)
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
        others = dispatcher.in_flight - self.is_held
        if self.is_held:
            dispatcher.uncount(self)
            dispatcher.scopes.process.out_of_files(others=others, now=dispatcher.now())
            dispatcher.shared_moved()
            dispatcher.give_back(self)
            dispatcher.news.deliver()
        return others > 0

    def _answered(self, now: float) -> None:
        """Learn that the endpoint can be reached, and that there was a file for it."""
        dispatcher = self._dispatcher
        caller, process = dispatcher.scopes.caller, dispatcher.scopes.process
        if caller.pause.seconds:
            caller.reached()
        if process.pause.seconds:
            process.admitted(now)
        else:
            # By time and not by answers: fast functions do not make files come back faster.
            process.tick(now, dispatcher.in_flight)
        dispatcher.shared_moved()
