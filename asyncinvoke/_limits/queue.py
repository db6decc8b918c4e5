"""The queue for permits: functions take turns; within a function it is first come, first served.

No clock and no I/O: it is told what is blocked, and says who is next.
"""

import heapq
from collections import OrderedDict
from itertools import count
from typing import Generic, TypeVar

from asyncinvoke._limits.scopes import AccountGate, FunctionGate

W = TypeVar("W")

SPARE = 16
"""How many entries of lanes that are empty are not worth clearing away."""


class Line(Generic[W]):
    """Those who wait for one function; there while there is anybody."""

    __slots__ = ("gate", "lane", "ticket", "waiters")

    def __init__(self, gate: FunctionGate) -> None:
        self.gate = gate
        self.waiters: OrderedDict[W, None] = OrderedDict()
        self.lane: Lane[W] | None = None
        """Where it waits for its turn; `None` while it is aside."""
        self.ticket = 0

    @property
    def first(self) -> W:
        """Who has waited for longest."""
        return next(iter(self.waiters))


class Lane(Generic[W]):
    """The lines of one account that want a turn; those of functions with a reserve have their own."""

    __slots__ = ("account", "is_blocked", "is_listed", "lines")

    def __init__(self, account: AccountGate | None) -> None:
        self.account = account
        self.lines: OrderedDict[Line[W], None] = OrderedDict()
        self.is_blocked = False
        self.is_listed = False


class Queue(Generic[W]):
    """All who wait.

    The cost of a grant must not depend on how many functions wait, and not on why they do. A turn is
    a ticket, numbered as it is drawn, and the lowest number is next. Three things keep whoever
    cannot go from being looked at again and again:

    - A line whose own function is blocked is set *aside*. It draws a new ticket when that function
      gets a permit back, or when its time has come, and not before.
    - A line behind an account waits in the *lane* of that account, in the order of tickets. Where the
      account is blocked, the lane is, with all its lines, at the price of one.
    - Open lanes are in a heap, each with a ticket that is at most that of its first line, for first
      lines leave, and later ones have higher numbers. So the lane on top is looked at: if its ticket
      is out of date, it goes back with the right one, and otherwise its first line is next.

    Each step costs O(log lanes), and an account has one lane. Waiters and lines leave from anywhere
    in O(1), as those who give up do; nothing stays behind.
    """

    def __init__(self) -> None:
        self._lines: dict[FunctionGate, Line[W]] = {}
        self._lanes: dict[AccountGate | None, Lane[W]] = {}
        self._turns: list[tuple[int, Lane[W]]] = []
        self._tickets = count(1)

    def join(self, gate: FunctionGate, waiter: W) -> Line[W] | None:
        """Add a waiter; return its line if that is new, and so has no place yet."""
        line = self._lines.get(gate)
        is_new = line is None
        if line is None:
            line = self._lines[gate] = Line(gate)
        line.waiters[waiter] = None
        gate.waiting += 1
        return line if is_new else None

    def leave(self, gate: FunctionGate, waiter: W) -> None:
        """Remove a waiter, and its line if that is empty now."""
        line = self._lines[gate]
        del line.waiters[waiter]
        gate.waiting -= 1
        if not line.waiters:
            self.set_aside(line)
            del self._lines[gate]

    def line_of(self, gate: FunctionGate) -> Line[W] | None:
        """Return the line of a function, if anybody waits for it."""
        return self._lines.get(gate)

    def line_up(self, line: Line[W]) -> None:
        """Draw a new ticket for a line, behind all others."""
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
        """Take a line out of the order of turns."""
        lane = line.lane
        if lane is not None:
            line.lane = None
            del lane.lines[line]
            if not lane.lines:
                del self._lanes[lane.account]

    def block(self, account: AccountGate) -> None:
        """Let the lines of an account wait together."""
        self._lanes[account].is_blocked = True

    def is_blocked(self, account: AccountGate) -> bool:
        """Whether lines wait for an account that is blocked."""
        lane = self._lanes.get(account)
        return lane is not None and lane.is_blocked

    def unblock(self, account: AccountGate) -> None:
        """Let the lines of an account take turns again, with the tickets that they have."""
        lane = self._lanes[account]
        lane.is_blocked = False
        self._list(lane)

    def next_line(self) -> Line[W] | None:
        """Return the line whose turn it is."""
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
            # Lanes that have become empty since: nothing else takes them out while nobody is next.
            self._turns[:] = [each for each in self._turns if each[1].lines]
            heapq.heapify(self._turns)
        lane.is_listed = True
        heapq.heappush(self._turns, (next(iter(lane.lines)).ticket, lane))
