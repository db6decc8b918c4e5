"""Calls that wait in third-party code, at their deadline."""

import time
from types import SimpleNamespace

import anyio
import pytest

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._transport.foreign_calls import ForeignCalls
from asyncinvoke._transport.http import timers

pytestmark = pytest.mark.anyio


class Suspended:
    """A clock of a process that is suspended before its first deadline."""

    def __init__(self) -> None:
        self._looks = 0

    def monotonic(self) -> float:
        self._looks += 1
        return time.monotonic() + (5000 if self.is_over else 0)

    @property
    def is_over(self) -> bool:
        return self._looks > 1


@pytest.mark.parametrize("is_answered", [True, False])
async def test_an_answer_that_came_while_the_process_was_suspended_is_read_from_a_library_too(
    monkeypatch: pytest.MonkeyPatch, is_answered: bool
) -> None:
    suspended = Suspended()
    monkeypatch.setattr(timers, "time", SimpleNamespace(monotonic=suspended.monotonic))
    monkeypatch.setattr(timers, "GRACE", 60 if is_answered else 0)

    async def read() -> str:
        while not suspended.is_over:
            await anyio.sleep(0.001)
        for _ in range(9):  # a library reads a long answer in pieces
            await anyio.sleep(0.001)
        if not is_answered:
            await anyio.sleep_forever()
        return "the answer"

    result = await ForeignCalls().wait_for(read(), Progress(time.monotonic() + 0.01))
    assert (result == "the answer") is is_answered
    assert isinstance(result, Failure) is not is_answered
