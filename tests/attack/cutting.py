"""One exchange that is cut at one place, and whether the invoker reports it correctly."""

import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Literal

from asyncinvoke import Delivery, InvocationError, Invoker, Response
from tests.doubles.counting_server import Act, CountingServer
from tests.doubles.cutting_proxy import Cut, CuttingProxy, Direction, Flow
from tests.doubles.messages import HEAD_END, echo_answer, throttle_answer

from .invokers import invoked, open_invoker

PAYLOAD = {"n": 1}
ANSWERS = {
    "200": Act(sent=echo_answer, name="200"),
    "429": Act(sent=throttle_answer(), name="429"),
}
DIRECTIONS: tuple[Direction, Direction] = ("request", "answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A complete exchange, and the places at which it can be cut."""

    lengths: dict[Direction, int]
    """The number of bytes that passed."""
    record_ends: dict[Direction, list[int]]
    """The ends of TLS records; unused on a plain connection."""
    handshake: int
    """The number of records that the server sends before the client can write; 0 without TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an invoker reported about an exchange that was cut, and what really happened."""

    cut: Cut
    ended: Response | InvocationError
    whole: int
    """The number of requests that the server read completely."""
    begun: int
    """The number of requests of which the server read at least one byte."""
    could_write: bool
    """Whether the client was ever able to write a byte of the request."""
    head_passed: bool
    """Whether the head of an answer reached the client."""

    @property
    def delivery(self) -> Delivery | Literal["response"]:
        """The delivery that was reported, or `response` if there was one."""
        return "response" if isinstance(self.ended, Response) else self.ended.delivery

    def contradictions(self) -> list[str]:
        """Return the statements of the report that contradict what happened."""
        found = {
            f"{len(self.ended.attempts)} attempts": len(self.ended.attempts) != 1,
            f"{self.begun} deliveries": self.begun > 1,
            "not_sent of what arrived whole": self.delivery == "not_sent" and self.whole > 0,
            f"{self.delivery} of what could not be written": (
                self.delivery != "not_sent" and not self.could_write
            ),
            f"{self.delivery} without an answer": (
                self.delivery in ("rejected", "executed", "response") and not self.head_passed
            ),
        }
        return [f"{self.cut}: {lie} ({self.ended!r})" for lie, is_so in found.items() if is_so]


class Cutter:
    """An invoker whose exchanges with a server can be cut."""

    def __init__(
        self, invoker: Invoker, server: CountingServer, proxy: CuttingProxy, exchange: Exchange
    ) -> None:
        self.exchange = exchange
        self._invoker = invoker
        self._server = server
        self._proxy = proxy

    async def cut(self, cut: Cut) -> Report:
        """Exchange once with a cut."""
        connections = len(self._proxy.flows)
        whole, begun = self._server.whole, self._server.begun
        self._proxy.cut = cut
        ended = await invoked(self._invoker, PAYLOAD)
        self._server.settle(self._proxy.connected)
        answers = [flows["answer"] for flows in self._proxy.flows[connections:]]
        handshake = self.exchange.handshake
        if handshake:
            records = [flow.whole_records() for flow in answers]
            could_write = any(count >= handshake for count in records)
            # The content of a record is not visible, but no record of the handshake holds the head.
            head_passed = any(count > handshake for count in records)
        else:
            could_write = True
            head_passed = any(HEAD_END in flow.passed for flow in answers)
        return Report(
            cut=cut,
            ended=ended,
            whole=self._server.whole - whole,
            begun=self._server.begun - begun,
            could_write=could_write,
            head_passed=head_passed,
        )


@contextlib.asynccontextmanager
async def open_cutter(
    answer: str, *, transport: str, tls: ssl.SSLContext | None
) -> AsyncIterator[Cutter]:
    """Open a server, a proxy and an invoker, and measure one complete exchange."""
    with (
        CountingServer(default=ANSWERS[answer], tls=tls) as server,
        CuttingProxy(server.port) as proxy,
    ):
        url = f"http{'' if tls is None else 's'}://127.0.0.1:{proxy.port}"
        async with open_invoker(url, transport=transport) as invoker:
            await invoked(invoker, PAYLOAD)
            exchange = _exchange(proxy.flows[0], -1 if tls is None else tls.num_tickets)
        server.settle(proxy.connected)
        # A new invoker, because this one has a connection that it could reuse.
        async with open_invoker(url, transport=transport) as invoker:
            yield Cutter(invoker, server, proxy, exchange)


def _exchange(flows: dict[Direction, Flow], tickets: int) -> Exchange:
    ends = {direction: flows[direction].record_ends() for direction in DIRECTIONS}
    return Exchange(
        lengths={direction: len(flows[direction].passed) for direction in DIRECTIONS},
        record_ends=ends,
        # The session tickets follow, and one record with the answer.
        handshake=0 if tickets < 0 else len(ends["answer"]) - 1 - tickets,
    )


def plain_cuts(exchange: Exchange, step: int) -> Iterator[Cut]:
    """Yield the cuts of a plain exchange: after every `step` bytes, and around the last ones."""
    for direction in DIRECTIONS:
        length = exchange.lengths[direction]
        for count in sorted({*range(0, length, step), 0, 1, length - 1, length}):
            yield from _both_ways(direction, 0, count)


def tls_cuts(exchange: Exchange, samples: int, *, in_handshake: bool = True) -> Iterator[Cut]:
    """Yield the cuts of a TLS exchange: at the end of each record, and at places inside it.

    Args:
        exchange: The exchange to cut.
        samples: The number of places inside a record.
        in_handshake: Whether to include cuts that end the handshake.
    """
    for direction in DIRECTIONS:
        ends = [0, *exchange.record_ends[direction]]
        first = 0 if in_handshake else {"request": 1, "answer": exchange.handshake}[direction]
        for number, (start, end) in enumerate(itertools.pairwise(ends)):
            # Lengths differ by a byte or two from one handshake to the next.
            inside = max(end - start - 3, 1)
            if number >= first:
                for count in sorted({0, *range(1, inside, max(inside // samples, 1))}):
                    yield from _both_ways(direction, number, count)


def _both_ways(direction: Direction, records: int, count: int) -> Iterator[Cut]:
    for with_reset in (False, True):
        yield Cut(direction=direction, records=records, bytes=count, with_reset=with_reset)
