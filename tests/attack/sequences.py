"""Random sequences of answers, faults and disconnects, and the invariants of the outcomes."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hypothesis import strategies as st
from tenacity import stop_after_attempt, wait_random_exponential

from asyncinvoke import Backoff, Delivery, FixedLimit, InvocationError, Outcome, RetryPolicy
from tests.doubles.counting_server import (
    ANSWER,
    CLOSE_AFTER,
    HANG_UP,
    JUNK,
    RESET,
    Act,
    CountingServer,
)
from tests.doubles.messages import (
    Received,
    answer,
    echo_answer,
    error_answer,
    function_error_answer,
    throttle_answer,
)

from .invokers import open_invoker

Arrival: TypeAlias = Literal["serve", "close", "reset"]

_BACKOFF = Backoff(wait=wait_random_exponential(max=2), stop=stop_after_attempt(4))
PATIENT = RetryPolicy(
    throttled=_BACKOFF, not_ready=_BACKOFF, service=_BACKOFF, transport=_BACKOFF, rejected=None
)


def _and_another(request: Received) -> bytes:
    return echo_answer(request) + answer(200, b'"of somebody else"')


def _after_interim(request: Received) -> bytes:
    return b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + echo_answer(request)


def _chunked(request: Received) -> bytes:
    pieces = b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in request.body)
    return (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Amz-Executed-Version: 1\r\n\r\n"
        + pieces
        + b"0\r\nX-Trailer: 1\r\n\r\n"
    )


def _says_close(request: Received) -> bytes:
    return answer(200, request.body, {"Connection": "close"})


REFUSALS = [
    Act(sent=throttle_answer(), name="429"),
    Act(sent=throttle_answer(None, {"Retry-After": "1"}), name="429, Retry-After"),
    Act(sent=answer(429, b'"slow down"'), name="429, odd body"),
    Act(sent=throttle_answer(), then="close", name="429, close"),
    Act(sent=error_answer(409, "SnapStartNotReadyException"), name="not ready"),
    Act(sent=error_answer(404, "ResourceNotFoundException"), name="404"),
    Act(sent=answer(307, b"", {"Location": "/elsewhere"}), name="redirect"),
]
"""Acts after which the function has not run."""

MAY_HAVE_RUN = [
    ANSWER,
    CLOSE_AFTER,
    HANG_UP,
    RESET,
    JUNK,
    Act(sent=_and_another, name="answer, and one that nobody asked for"),
    Act(sent=_after_interim, name="1xx, answer"),
    Act(sent=_chunked, name="chunked"),
    Act(sent=_says_close, then="close", name="Connection: close"),
    Act(sent=answer(200, b"01234", length=9), then="close", name="cut short"),
    Act(sent=answer(200, b"01234", length=9), then="reset", name="cut short by a reset"),
    Act(sent=error_answer(500, "ServiceException"), name="500"),
    Act(sent=answer(503, b"<html>"), name="503, HTML"),
    Act(sent=function_error_answer(), name="function error"),
]
"""Acts after which it may have run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What happens to the requests and connections of a map, in order."""

    items: int
    concurrency: int
    idempotent: bool
    acts: list[Act]
    arrivals: list[Arrival]


scenarios = st.builds(
    Scenario,
    items=st.integers(1, 6),
    concurrency=st.integers(1, 3),
    idempotent=st.booleans(),
    acts=st.lists(st.sampled_from([*REFUSALS, *MAY_HAVE_RUN]), max_size=12),
    arrivals=st.lists(st.sampled_from(("serve", "serve", "close", "reset")), max_size=6),
)

KNOWN_DIFFICULT = Scenario(
    items=6,
    concurrency=1,
    idempotent=False,
    acts=[CLOSE_AFTER, ANSWER, CLOSE_AFTER, MAY_HAVE_RUN[5], ANSWER, REFUSALS[2]],
    arrivals=[],
)
"""A scenario that has found a fault."""


class ExecutionCountingServer(CountingServer):
    """A counting server that also counts, for each payload, how often the function may have run."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(default=self._next, arrivals=tuple(scenario.arrivals))
        self._left = list(scenario.acts)
        self.may_have_run: Counter[bytes] = Counter()

    def _next(self, _: Received) -> Act:
        with self.changed:
            act = self._left.pop(0) if self._left else ANSWER

        def sent_and_counted(request: Received) -> bytes:
            if act not in REFUSALS:
                with self.changed:
                    self.may_have_run[request.body] += 1
            return act.sent if isinstance(act.sent, bytes) else act.sent(request)

        return Act(sent=sent_and_counted, then=act.then, name=act.name)


async def check(scenario: Scenario, transport: str) -> None:
    """Run a scenario, and compare the reported outcomes with what happened."""
    with ExecutionCountingServer(scenario) as server:
        async with (
            open_invoker(
                server.url, transport=transport, limit=FixedLimit(scenario.concurrency)
            ) as invoker,
            invoker.map(
                "f",
                range(scenario.items),
                concurrency=scenario.concurrency,
                retry=PATIENT,
                idempotent=scenario.idempotent,
            ) as run,
        ):
            outcomes = [outcome async for outcome in run]
            statistics = invoker.statistics()
    assert sorted(outcome.index for outcome in outcomes) == [*range(scenario.items)]
    assert (statistics.in_flight, statistics.waiting) == (0, 0)
    assert statistics.attempts == sum(len(outcome.attempts) for outcome in outcomes)
    whole = server.bodies()
    for outcome in outcomes:
        body = b"%d" % outcome.index
        _check_history(outcome, scenario)
        sent = sum(attempt.delivery is not Delivery.NOT_SENT for attempt in outcome.attempts)
        assert whole[body] <= sent, f"{whole[body]} deliveries, {sent} attempts: {outcome}"
        if {"close", "reset"}.isdisjoint(scenario.arrivals):
            assert whole[body] == sent, f"{whole[body]} deliveries, {sent} attempts: {outcome}"
        _check_end(outcome, whole[body], server.may_have_run[body], scenario)


def _check_history(outcome: Outcome, scenario: Scenario) -> None:
    attempts = outcome.attempts
    assert [attempt.number for attempt in attempts] == [*range(1, len(attempts) + 1)]
    ambiguous = [
        attempt.number for attempt in attempts if attempt.delivery in (Delivery.UNKNOWN, None)
    ]
    if not scenario.idempotent:
        assert ambiguous in ([], [len(attempts)]), "it was repeated though it may have run"


def _check_end(outcome: Outcome, whole: int, may_have_run: int, scenario: Scenario) -> None:
    if not scenario.idempotent:
        assert may_have_run <= 1, f"it ran {may_have_run} times without leave: {outcome}"
    if outcome.response is not None:
        assert outcome.response.payload == b"%d" % outcome.index, "the answer is another call's"
        assert may_have_run >= 1
        return
    assert isinstance(outcome.error, InvocationError), repr(outcome.error)
    match outcome.error.delivery:
        case Delivery.NOT_SENT:
            assert whole == 0
        case Delivery.REJECTED:
            assert may_have_run == 0
            assert whole > 0
        case Delivery.EXECUTED:
            assert may_have_run > 0
