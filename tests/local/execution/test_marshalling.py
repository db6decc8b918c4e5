"""Answers as JSON, against the marshaller of AWS's own runtime."""

import importlib
import math
from decimal import Decimal
from typing import Any, NamedTuple
from unittest.mock import Mock

import pytest

from asyncinvoke.local.execution.marshalling import marshal

to_json = importlib.import_module("awslambdaric.lambda_runtime_marshaller").to_json

CIRCULAR: list[Any] = [Decimal(1)]
CIRCULAR.append(CIRCULAR)
NUMBERS = ["1.50", "0", "-0", "1E+5", "1E-400", "12345678901234567890.123", "NaN", "-NaN", "sNaN"]


class Point(NamedTuple):
    x: Any
    y: Any


class Numbers(tuple[int, ...]):
    """A tuple without names."""


class Row:
    def __repr__(self) -> str:
        return "Row()"

    def _asdict(self) -> dict[Any, Any]:
        return {b"id": Decimal("1.50"), "at": Point(1, 2)}


class Record(dict[str, Any]):
    def _asdict(self) -> dict[str, Any]:
        return {"record": dict(self)}


class Listed(tuple[int, ...]):
    def _asdict(self) -> list[int]:
        return [*self]


@pytest.mark.parametrize(
    "answer",
    [
        *map(Decimal, NUMBERS),
        Decimal("Infinity"),
        {"Items": [{"n": Decimal(number), "text": f"{number}"} for number in NUMBERS], "Count": 9},
        ["0", Decimal(1), '"0"', Decimal(2)],
        (1, 1.5, None, True, 'a\\"\n', {1: 2, None: 3, 1.5: 4}),
        [math.inf, math.nan],
        10**400,
        [b"inner", {"a": b"e"}, b'a"\n'],
        Point(1, Decimal("2.0")),
        {"at": [Point(b"x", Point(None, (1, Numbers([2]))))], b"key": {b"inner": 1}},
        [Row(), {1: Row()}],
        Record(at=1),
    ],
    ids=repr,
)
def test_an_answer_is_encoded_as_the_runtime_encodes_it(answer: Any) -> None:
    assert marshal(answer).decode() == to_json(answer)


@pytest.mark.parametrize(
    "answer",
    [
        *({1, 2}, object, [1j], bytearray(b"1"), b"\xff", b"\xed\xa0\x80"),
        *({Decimal(1): 1}, {(1, 2): 1}, {b"\xff": 1}, Point(1, {2})),
        *(CIRCULAR, {"a": CIRCULAR}, Point),
        *(pytest.param(Mock(), id="Mock()"), Listed([1])),
    ],
    ids=repr,
)
def test_what_the_runtime_refuses_is_refused_with_its_message(answer: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as of_the_runtime:
        to_json([answer])
    with pytest.raises((TypeError, ValueError)) as refused:
        marshal([answer])
    assert str(refused.value) == str(of_the_runtime.value)
