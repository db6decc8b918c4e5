"""The limiter: hands out permits under the limits of functions, accounts, caller and process."""

import logging
import math

from asyncinvoke._clock import SYSTEM_CLOCK, Clock
from asyncinvoke._limits.books import Books
from asyncinvoke._limits.dispatch import Dispatcher
from asyncinvoke._limits.events import News
from asyncinvoke._limits.limit import AdaptiveLimit, Limit, files_limit
from asyncinvoke._limits.permit import Permit
from asyncinvoke._limits.scopes import FunctionKey, Scopes
from asyncinvoke._statistics import ScopeStatistics
from asyncinvoke._telemetry.hooks import Hooks

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
    """

    def __init__(
        self,
        limit: Limit,
        *,
        clock: Clock = SYSTEM_CLOCK,
        hooks: Hooks | None = None,
        files: tuple[int, int] | None = None,
    ) -> None:
        wanted = limit.maximum if isinstance(limit, AdaptiveLimit) else limit.n
        self._most = None if files is None else files_limit(*files)
        if files is not None and self._bounded(wanted) < wanted:
            _logger.info(
                "at most %d attempts in flight, not %d: this process may have %d files open",
                self._bounded(wanted),
                wanted,
                files[0],
            )
        news = News(Hooks() if hooks is None else hooks)
        scopes = Scopes(limit, maximum=self._bounded(wanted), now=clock.monotonic(), news=news)
        self._books = Books(scopes, now=clock.monotonic)
        self._dispatcher = Dispatcher(self._books, clock=clock, news=news)

    @property
    def limit(self) -> int:
        """The most permits that are ever held at once."""
        return self._books.scopes.maximum

    @limit.setter
    def limit(self, limit: int) -> None:
        self._dispatcher.set_maximum(self._bounded(limit))

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

    def _bounded(self, limit: int) -> int:
        return limit if self._most is None else max(min(limit, self._most), 1)
