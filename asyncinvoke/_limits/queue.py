"""The queue for permits: functions take turns; within a function it is first come, first served.

It uses no clock and does no I/O: its caller says what is blocked, and it returns who is next.
"""

import heapq
from collections import OrderedDict
from itertools import count
from typing import Generic, TypeVar

from asyncinvoke._limits.scopes import AccountGate, FunctionGate

W = TypeVar("W")

SPARE = 16
"""How many entries of empty lanes are tolerated before they are removed."""


class Line(Generic[W]):
    """The waiters of one function; exists while there are any."""

    __slots__ = ("gate", "lane", "ticket", "waiters")

    def __init__(self, gate: FunctionGate) -> None:
        self.gate = gate
        self.waiters: OrderedDict[W, None] = OrderedDict()
        self.lane: Lane[W] | None = None
        """The lane in which it waits for its turn; `None` while it is set aside."""
        self.ticket = 0

    @property
    def first(self) -> W:
        """The waiter that has waited longest."""
        return next(iter(self.waiters))


class Lane(Generic[W]):
    """The active lines of one account; functions with reserved concurrency share another lane."""

    __slots__ = ("account", "is_blocked", "is_listed", "lines")

    def __init__(self, account: AccountGate | None) -> None:
        self.account = account
        self.lines: OrderedDict[Line[W], None] = OrderedDict()
        self.is_blocked = False
        self.is_listed = False


class Queue(Generic[W]):
    """All waiters.

    The cost of a grant must depend neither on how many functions are waiting nor on why. A turn is
    a ticket with an increasing number, and the lowest number is next. Three mechanisms avoid
    checking blocked waiters repeatedly:

    - A line whose own function is blocked is set *aside*. It gets a new ticket only when a permit
      of that function is released, or when a pause or rate allows it.
    - A line that counts against an account waits in the *lane* of that account, in ticket order. If
      the account is blocked, the lane is blocked as a whole, at the cost of a single line.
    - Open lanes are kept in a heap, each with a ticket no greater than that of its first line,
      since first lines leave and later lines have higher numbers. If the ticket of the top lane is
      stale, the lane is pushed back with the current one; otherwise its first line is next.

    Each step is O(log lanes), with one lane per account. Waiters and lines can leave from any
    position in O(1), without leaving anything behind.
    """

    def __init__(self) -> None:
        self._lines: dict[FunctionGate, Line[W]] = {}
        self._lanes: dict[AccountGate | None, Lane[W]] = {}
        self._turns: list[tuple[int, Lane[W]]] = []
        self._tickets = count(1)

    def join(self, gate: FunctionGate, waiter: W) -> Line[W] | None:
        """Add a waiter; return its line if it is new and still has to be placed."""
        line = self._lines.get(gate)
        is_new = line is None
        if line is None:
            line = self._lines[gate] = Line(gate)
        line.waiters[waiter] = None
        gate.waiting += 1
        return line if is_new else None

    def leave(self, gate: FunctionGate, waiter: W) -> None:
        """Remove a waiter, and its line if it is now empty."""
        line = self._lines[gate]
        del line.waiters[waiter]
        gate.waiting -= 1
        if not line.waiters:
            self.set_aside(line)
            del self._lines[gate]

    def line_of(self, gate: FunctionGate) -> Line[W] | None:
        """Return the line of a function, if it has waiters."""
        return self._lines.get(gate)

    def line_up(self, line: Line[W]) -> None:
        """Give a line a new ticket, behind all others."""
        account = None if line.gate.reserved else line.gate.account
        lane = self._lanes.get(account)
        if lane is None:
            lane = self._lanes[account] = Lane(account)
        if line.lane is not lane:
            self.set_aside(line)
            line.lane = lane
            lane.lines[line] = None
        else:
            lane.lines.move_to_end(line)
        line.ticket = next(self._tickets)
        if not lane.is_blocked:
            self._list(lane)

    def set_aside(self, line: Line[W]) -> None:
        """Remove a line from its lane."""
        lane = line.lane
        if lane is not None:
            line.lane = None
            del lane.lines[line]
            if not lane.lines:
                del self._lanes[lane.account]

    def block(self, account: AccountGate) -> None:
        """Block the lane of an account."""
        self._lanes[account].is_blocked = True

    def is_blocked(self, account: AccountGate) -> bool:
        """Return whether the lane of an account is blocked."""
        lane = self._lanes.get(account)
        return lane is not None and lane.is_blocked

    def unblock(self, account: AccountGate) -> None:
        """Unblock the lane of an account; its lines keep their tickets."""
        lane = self._lanes[account]
        lane.is_blocked = False
        self._list(lane)

    def next_line(self) -> Line[W] | None:
        """Return the line that is next."""
        turns = self._turns
        while turns:
            ticket, lane = turns[0]
            if lane.is_blocked or not lane.lines:
                heapq.heappop(turns)
                lane.is_listed = False
                continue
            line = next(iter(lane.lines))
            if line.ticket == ticket:
                return line
            heapq.heapreplace(turns, (line.ticket, lane))
        return None

    def _list(self, lane: Lane[W]) -> None:
        if lane.is_listed:
            return
        if len(self._turns) > 2 * len(self._lanes) + SPARE:
            # Remove lanes that have become empty; nothing else does while no line is next.
            self._turns[:] = [each for each in self._turns if each[1].lines]
            heapq.heapify(self._turns)
        lane.is_listed = True
        heapq.heappush(self._turns, (next(iter(lane.lines)).ticket, lane))
