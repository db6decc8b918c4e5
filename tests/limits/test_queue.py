"""The order of waiters, against a model that searches all of them each time."""

import gc
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import AdaptiveLimit
from asyncinvoke._limits.events import LimitEvents
from asyncinvoke._limits.queue import SPARE, Lane, Line, Queue
from asyncinvoke._limits.scopes import AccountGate, FunctionGate, FunctionKey, Scopes
from asyncinvoke._telemetry.hooks import Hooks


def functions(accounts: int, each: int) -> list[FunctionGate]:
    scopes = Scopes(AdaptiveLimit(), maximum=9, now=0.0, events=LimitEvents(Hooks()))
    keys = [FunctionKey(str(a), str(f)) for a in range(accounts) for f in range(each)]
    return [scopes.open(key, now=0.0) for key in keys]


@dataclass
class Model:
    """The lines that wait, in order; the next one is found by a search."""

    turns: list[FunctionGate] = field(default_factory=list)
    waiters: dict[FunctionGate, list[int]] = field(default_factory=dict)
    closed: set[AccountGate] = field(default_factory=set)

    def next(self) -> FunctionGate | None:
        for gate in self.turns:
            if gate.reserved or gate.account not in self.closed:
                return gate
        return None

    def drop(self, gate: FunctionGate) -> None:
        if gate in self.turns:
            self.turns.remove(gate)


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "grant", "aside", "up", "close", "reopen", "reserve"]),
        st.integers(0, 11),
    ),
    max_size=80,
)


@given(moves=MOVES)
def test_the_next_waiter_is_the_one_that_a_full_search_finds(moves: list[tuple[str, int]]) -> None:
    gates = functions(3, 4)
    queue: Queue[int] = Queue()
    model = Model()
    for number, (advance, which) in enumerate(moves):
        gate = gates[which]
        line = queue.line_of(gate)
        assert (line is None) == (not model.waiters.get(gate))
        if advance == "join":
            new = queue.join(gate, number)
            model.waiters.setdefault(gate, []).append(number)
            if new is not None:
                queue.line_up(new)
                model.turns.append(gate)
        elif advance == "leave" and line is not None:
            waiter = model.waiters[gate].pop(which % len(model.waiters[gate]))
            queue.leave(gate, waiter)
            if not model.waiters[gate]:
                model.drop(gate)
        elif advance == "aside" and line is not None:
            queue.set_aside(line)
            model.drop(gate)
        elif advance == "up" and line is not None:
            queue.line_up(line)
            model.drop(gate)
            model.turns.append(gate)
        elif advance == "reserve":
            gate.reserved = not gate.reserved
            if line is not None and line.lane is not None:
                queue.line_up(line)
                model.drop(gate)
                model.turns.append(gate)
        elif advance == "reopen" and queue.is_blocked(gate.account):
            queue.unblock(gate.account)
            model.closed.remove(gate.account)
        elif advance in ("grant", "close"):
            first = queue.next_line()
            if first is not None and advance == "close" and not first.gate.reserved:
                queue.block(first.gate.account)
                model.closed.add(first.gate.account)
            elif first is not None:
                grant(queue, model, first)
        for account in list(model.closed):
            # An account is marked closed only while someone waits for it.
            if not queue.is_blocked(account):
                model.closed.remove(account)
                assert not any(
                    each.account is account and not each.reserved for each in model.turns
                )
        found = queue.next_line()
        assert (None if found is None else found.gate) == model.next()
        assert [each.waiting for each in gates] == [
            len(model.waiters.get(each, ())) for each in gates
        ]


def grant(queue: Queue[int], model: Model, line: Line[int]) -> None:
    gate = line.gate
    waiter = line.first
    assert waiter == model.waiters[gate].pop(0)
    queue.leave(gate, waiter)
    model.drop(gate)
    if model.waiters[gate]:
        queue.line_up(line)
        model.turns.append(gate)


def test_accounts_that_came_and_went_while_no_waiter_was_eligible_leave_nothing_behind() -> None:
    queue: Queue[int] = Queue()
    for number, gate in enumerate(functions(2000, 1)):
        line = queue.join(gate, number)
        assert line is not None
        queue.line_up(line)
        if number:
            queue.leave(gate, number)
    lanes = sum(type(each) is Lane for each in gc.get_objects())
    assert lanes <= 2 * SPARE
