"""Which signal is told, and what each of several cancels."""

import os
import signal
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asyncinvoke.cli.running import Interrupt

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there are no such signals"),
]


@pytest.fixture
async def interrupt(anyio_backend: str) -> AsyncIterator[Interrupt]:
    interrupt = Interrupt()
    async with anyio.create_task_group() as group:
        group.start_soon(interrupt.watch)
        await anyio.wait_all_tasks_blocked()
        yield interrupt
        group.cancel_scope.cancel()


async def test_of_two_signals_the_first_is_told(interrupt: Interrupt) -> None:
    has_drained = anyio.Event()
    with interrupt.everything:
        with interrupt.block(drain=has_drained.set, grace=1000):
            os.kill(os.getpid(), signal.SIGINT)
            await has_drained.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep_forever()
        await checkpoint()  # the second has cancelled the block alone
    assert not interrupt.everything.cancelled_caught
    assert interrupt.signal == signal.SIGINT


async def test_a_signal_after_a_block_that_one_has_drained_cancels_the_command(
    interrupt: Interrupt,
) -> None:
    with interrupt.everything:
        has_drained = anyio.Event()
        with interrupt.block(drain=has_drained.set, grace=1000):
            os.kill(os.getpid(), signal.SIGINT)
            await has_drained.wait()
        with interrupt.block():
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep_forever()
        await checkpoint()
    assert interrupt.everything.cancelled_caught
