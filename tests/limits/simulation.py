"""Many clients on one limit: a discrete-event simulation of the real limit arithmetic.

Each client always has work, or a number of items. It holds as many attempts in flight as
`_limits/concurrency.py` says, and pauses as the pause of `_limits/rate.py` says. The service runs
what fits under its limit and refuses the rest at once. Nothing else is modelled. `python -m
benchmarks.simulate` runs it at scale.
"""

import heapq
import math
import random
from dataclasses import dataclass, field

from asyncinvoke._limits.concurrency import ConcurrencyLimit
from asyncinvoke._limits.limit import INITIAL
from asyncinvoke._limits.rate import Pause

FAIRNESS = 0.9
"""The minimum of Jain's index for fair shares."""

WINDOW = 30
"""The window in seconds over which fairness is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The clients, and the limit that they share."""

    name: str
    clients: int
    limit: int
    seconds: float
    moves: tuple[tuple[float, int], ...] = ()
    """Changes of the limit: pairs of time and limit."""
    joins: float = 0.0
    """The second half of the clients come this many seconds after the first."""
    leaves: float | None = None
    """The first half of the clients leave then."""
    measured: float = 0.5
    """The fraction of the time after which measuring starts."""
    function: float = 1.0
    """The duration of the function in seconds, within a tenth; also the time of a round trip."""
    wire: float = 0.02
    """The network time of a request and its answer in seconds, within a fifth."""
    items: float = math.inf
    """The number of items of each client."""
    initial: int = INITIAL
    """The initial limit of each client."""
    maximum: int | None = None
    """The maximum limit of each client; twice the limit by default."""
    knows: bool = False
    """Whether the clients know the limit and never exceed it."""

    @property
    def begins(self) -> float:
        """The start of the measurement, in seconds."""
        return self.seconds * self.measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The state at one moment."""

    when: float
    limit: int
    running: int
    in_flight: tuple[int, ...]
    """Of each of the first clients."""


@dataclass(slots=True)
class Client:
    """A client with endless work."""

    limit: ConcurrencyLimit
    pause: Pause
    in_flight: int = 0
    number: int = 0
    cut: int = 0
    wakes_at: float = -1.0
    works: bool = False
    left: float = math.inf
    """The number of items that were not sent yet, or were throttled."""
    ticks: bool = False
    done: list[int] = field(default_factory=list)


class Simulation:
    """The events of one scenario."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self._random = random.Random(seed)
        self.limit = scenario.limit
        twice = 2 * max(scenario.limit, *(limit for _, limit in scenario.moves), 1)
        self._most = scenario.maximum or twice
        self.clients = [self._client() for _ in range(scenario.clients)]
        self.running = 0
        self.refused = self.admitted = 0
        self.used = self.offered = 0.0
        self.began = self.ended = 0.0
        """The times of the first client's start and of the last answer."""
        self.samples: list[Sample] = []
        self._events: list[tuple[float, int, str, int, int, int]] = []
        self._order = 0
        seconds = int(scenario.seconds) + 1
        for client in self.clients:
            client.done = [0] * seconds
        half = scenario.clients // 2
        for number in range(scenario.clients):
            # Clients do not start at the same moment.
            late = scenario.joins if number >= half else 0.0
            self._at(late + self._random.random() * scenario.function, "join", number)
            if scenario.leaves is not None and number < half:
                self._at(scenario.leaves, "leave", number)
        for when, limit in scenario.moves:
            self._at(when, "move", limit)
        for tenth in range(10 * int(scenario.seconds)):
            self._at(tenth / 10, "sample", 0)

    def _client(self) -> Client:
        initial, minimum, most = min(self.scenario.initial, self._most), 1, self._most
        if self.scenario.knows:
            initial = minimum = most = self.limit
        limit = ConcurrencyLimit(initial=initial, minimum=minimum, maximum=most)
        return Client(limit, Pause(self._random.random), left=self.scenario.items)

    def _at(self, when: float, what: str, client: int, number: int = 0, ahead: int = 0) -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, what, client, number, ahead))

    def _wire(self) -> float:
        return self.scenario.wire / 2 * self._random.uniform(0.8, 1.2)

    def run(self) -> None:
        """Run the simulation to its end."""
        now = begins = self.scenario.begins
        while self._events and self._events[0][0] < self.scenario.seconds:
            when, _, what, client, number, ahead = heapq.heappop(self._events)
            if when > begins:
                self.used += (when - now) * min(self.running, self.limit)
                self.offered += (when - now) * self.limit
                now = when
            self._happen(when, what, client, number, ahead)

    def _happen(self, now: float, what: str, index: int, number: int, ahead: int) -> None:
        if what == "move":
            self.limit = index
            return
        if what == "sample":
            self._sample(now)
            return
        client = self.clients[index]
        measured = now > self.scenario.begins
        if what == "arrive":
            if self.running < self.limit:
                self.running += 1
                takes = self.scenario.function * self._random.uniform(0.9, 1.1)
                self._at(now + takes, "end", index)
            else:
                self._at(now + self._wire(), "refused", index, number, ahead)
        elif what == "end":
            self.running -= 1
            self._at(now + self._wire(), "answer", index)
        elif what == "answer":
            self.admitted += measured
            client.done[int(now)] += 1
            self.ended = now
            if client.pause.seconds:
                client.pause.succeeded(now=now)
            else:
                client.limit.succeeded(now=now, in_flight=client.in_flight)
            client.in_flight -= 1
            self._send(index, now)
        elif what == "refused":
            self.refused += measured
            client.in_flight -= 1
            client.left += 1
            if number > client.cut:
                client.cut = client.number
                if client.limit.limit <= client.limit.minimum:
                    client.pause.refused(now=now)
                client.limit.throttled(in_flight=ahead)
            self._send(index, now)
        else:
            if what == "tick":
                client.ticks = False
                client.limit.tick(now=now, in_flight=client.in_flight)
            elif what in ("join", "leave"):
                client.works = what == "join"
                self.began = self.began or now
            self._send(index, now)

    def _sample(self, now: float) -> None:
        self.samples.append(
            Sample(
                when=now,
                limit=self.limit,
                running=self.running,
                in_flight=tuple(client.in_flight for client in self.clients[:10]),
            )
        )

    def _send(self, index: int, now: float) -> None:
        client = self.clients[index]
        while client.works and client.left:
            if client.in_flight >= client.limit.limit:
                rises_at = client.limit.rises_at(now)
                if rises_at < math.inf and not client.ticks:
                    client.ticks = True
                    self._at(rises_at, "tick", index)
                return
            if now < client.pause.until:
                if client.wakes_at < client.pause.until:
                    client.wakes_at = client.pause.until
                    self._at(client.wakes_at, "wake", index)
                return
            client.number += 1
            client.left -= 1
            self._at(now + self._wire(), "arrive", index, client.number, client.in_flight)
            client.in_flight += 1

    def utilisation(self) -> float:
        """Return the fraction of the limit that was used."""
        return self.used / self.offered

    def makespan(self) -> float:
        """Return the seconds from the first attempt to the last answer."""
        return self.ended - self.began

    def share(self) -> float:
        """Return the fraction of attempts that were throttled."""
        return self.refused / max(self.refused + self.admitted, 1)

    def fairness(self) -> float:
        """Return Jain's index of the work done by each client that is active at the end."""
        return self._jain(int(self.scenario.begins) + 1, int(self.scenario.seconds))

    def converged(self, window: int = WINDOW) -> float | None:
        """Return the seconds after the last change until a window of this length was fair."""
        changed = max(
            [0.0, self.scenario.joins, self.scenario.leaves or 0.0]
            + [when for when, _ in self.scenario.moves]
        )
        for begin in range(int(changed), int(self.scenario.seconds) - window):
            if self._jain(begin, begin + window) >= FAIRNESS:
                return begin + window - changed
        return None

    def _jain(self, begin: int, end: int) -> float:
        got = [sum(client.done[begin:end]) for client in self.clients if client.works]
        squares = sum(each * each for each in got)
        return sum(got) ** 2 / (len(got) * squares) if squares else 0.0
