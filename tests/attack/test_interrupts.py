"""An error that is no `Exception`, such as Ctrl-C, leaves a map unchanged, wherever raised."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from asyncinvoke import FixedLimit, Invoker, Outcome
from asyncinvoke._engine import run_events, tasks
from asyncinvoke._engine.events import RunEnded, RunSample, RunStarted
from tests.doubles.counting_server import CountingServer

from .invokers import open_invoker

pytestmark = pytest.mark.anyio


class InterruptError(BaseException):
    """Stands for `KeyboardInterrupt`, which asyncio would raise out of the event loop."""


INTERRUPTS = [InterruptError, GeneratorExit]


def raising_at(event: type, interrupt: type[BaseException]) -> Callable[[object], None]:
    left = [interrupt]

    def hook(told: object) -> None:
        if isinstance(told, event) and left:
            raise left.pop()

    return hook


async def of_a_map(invoker: Invoker) -> list[Outcome[Any]]:
    async with invoker.map("f", range(9), concurrency=3) as run:
        return [outcome async for outcome in run]


@pytest.mark.parametrize("interrupt", INTERRUPTS)
@pytest.mark.parametrize("event", [RunStarted, RunSample, RunEnded])
async def test_a_hook_that_is_interrupted_interrupts_the_map_and_leaves_nothing_entered(
    event: type, interrupt: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_events, "SAMPLE_EVERY", 0.0)
    with CountingServer() as server:
        hooks = [raising_at(event, interrupt)]
        async with open_invoker(server.url, hooks=hooks, limit=FixedLimit(3)) as invoker:
            with anyio.CancelScope() as around, pytest.raises(interrupt):
                await of_a_map(invoker)
            assert not around.cancel_called
            # No permit and no cancel scope was left behind.
            with anyio.fail_after(60):
                assert len(await of_a_map(invoker)) == 9
            assert invoker.statistics().in_flight == 0


async def test_a_worker_that_is_interrupted_between_two_items_interrupts_the_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On trio, Ctrl-C is raised in the running task, at any line."""
    left = [InterruptError]

    def interrupted() -> int | None:
        if left:
            raise left.pop()
        return None

    with CountingServer() as server:
        async with open_invoker(server.url, limit=FixedLimit(3)) as invoker:
            monkeypatch.setattr(tasks, "current_task", interrupted)
            with pytest.raises(InterruptError):
                await of_a_map(invoker)
            monkeypatch.undo()
            assert len(await of_a_map(invoker)) == 9
