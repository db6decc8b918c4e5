"""What runs on a worker: its shards, on one long-lived invoker, in a thread with its own event loop."""

import contextlib
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import anyio
from anyio import to_thread
from anyio.from_thread import BlockingPortal

from asyncinvoke._dask.plan import Control, Plan, read_control
from asyncinvoke._engine.journal import Journal
from asyncinvoke._engine.map import MapRun
from asyncinvoke._engine.payloads import is_keyed
from asyncinvoke._engine.shard import Shard
from asyncinvoke._invoker import Invoker
from asyncinvoke._report.standing import UNRECORDED, is_recorded
from asyncinvoke.inputs import read

LOOK_EVERY = 0.5
"""The interval at which a shard polls the control file, in seconds."""

TOGETHER = 5.0
"""The maximum time that a worker's first shard waits for the other workers, in seconds."""

_POLL_EVERY = 0.02


class InvokerThread:
    """The event loop and invoker that all shards of one run share on a worker.

    The worker's own event loop answers the scheduler and must not be blocked. Sharing the invoker
    keeps the limit that its limiter has learned; a new one would start learning again. The loop
    runs in a daemon thread, so the worker process does not wait for it on exit.
    """

    def __init__(self, invoker: Mapping[str, Any]) -> None:
        self._options = invoker
        self._portal: BlockingPortal | None = None
        self._invoker: Invoker | None = None
        self._error: BaseException | None = None
        self._is_ready = threading.Event()
        self._arrival = threading.Lock()
        self._has_arrived = False
        self._thread = threading.Thread(target=self._run, name="asyncinvoke", daemon=True)
        self._thread.start()

    def call(
        self, function: Callable[[Invoker, Plan, int], Awaitable[Any]], plan: Plan, number: int
    ) -> Any:
        """Run an async function on the event loop and wait for its result."""
        self.wait()
        if self._error is not None:
            raise self._error
        assert self._portal is not None  # noqa: S101  # it is ready
        assert self._invoker is not None  # noqa: S101
        return self._portal.call(partial(function, self._invoker, plan, number))

    def arrive(self, plan: Plan) -> None:
        """Wait, once, until every worker is ready to start a shard.

        A worker that starts a second late finds the capacity taken, and it takes a while until the
        limiters share it fairly. Each worker appends a byte to a file that all of them see.
        """
        with self._arrival:
            if self._has_arrived:
                return
            self._has_arrived = True
            until = time.monotonic() + TOGETHER
            with contextlib.suppress(OSError):  # the file is gone, because the run is closed
                descriptor = os.open(plan.token, os.O_WRONLY | os.O_APPEND)
                try:
                    os.write(descriptor, b".")
                finally:
                    os.close(descriptor)
                while os.stat(plan.token).st_size < plan.workers and time.monotonic() < until:
                    time.sleep(_POLL_EVERY)

    def wait(self) -> None:
        """Wait until it is ready or has failed."""
        self._is_ready.wait()

    def close(self) -> None:
        """Close the invoker and stop the event loop."""
        self._is_ready.wait()
        if self._portal is not None:
            self._portal.call(self._portal.stop)
        self._thread.join()

    def _run(self) -> None:
        try:
            anyio.run(self._live)
        except BaseException as error:  # noqa: BLE001  # raised by `call`
            self._error = error
        finally:
            self._is_ready.set()

    async def _live(self) -> None:
        async with Invoker(**self._options) as invoker, BlockingPortal() as portal:
            self._invoker, self._portal = invoker, portal
            self._is_ready.set()
            await portal.sleep_until_stopped()


_threads: dict[str, InvokerThread] = {}
_threads_lock = threading.Lock()


async def prepare(run_id: str, token: str, invoker: Mapping[str, Any]) -> bool:
    """Prepare for the shards of a run; return whether this worker can see its directory."""
    if not await to_thread.run_sync(os.path.exists, token):
        return False
    await to_thread.run_sync(_thread_of(run_id, invoker).wait)
    return True


def run_shard(plan: Plan, number: int) -> None:
    """Run or continue a shard. Called in a thread of a worker."""
    thread = _thread_of(plan.id, plan.invoker)
    thread.arrive(plan)
    thread.call(_shard, plan, number)


def _thread_of(run_id: str, invoker: Mapping[str, Any]) -> InvokerThread:
    with _threads_lock:
        thread = _threads.get(run_id)
        if thread is None:
            thread = _threads[run_id] = InvokerThread(invoker)
    return thread


async def close_thread(run_id: str) -> None:
    """Release the resources that a worker holds for a run."""
    with _threads_lock:
        thread = _threads.pop(run_id, None)
    if thread is not None:
        # This waits for what is in flight, and the worker's event loop must not be blocked.
        await to_thread.run_sync(thread.close)


async def _shard(invoker: Invoker, plan: Plan, number: int) -> None:
    options: Any = dict(plan.options)
    payloads = _opened(plan.source)
    keyed = is_keyed(payloads, options.get("key"))
    async with invoker.map(
        plan.function_name,
        payloads,
        journal=Journal(plan.journal(number), replay=False),
        shard=Shard(number, of=plan.shards),
        concurrency=plan.concurrency,
        **options,
    ) as run:
        async with anyio.create_task_group() as group:
            group.start_soon(_follow_plan, run, plan)
            error: Exception | None = None
            unrecorded = 0
            try:
                async for outcome in run:
                    if not is_recorded(outcome, keyed=keyed):
                        unrecorded += 1
                        run.note(UNRECORDED, unrecorded)
            except Exception as raised:  # noqa: BLE001  # raised below, outside of the group
                error = raised
            group.cancel_scope.cancel()
        if error is not None:
            raise error


async def _follow_plan(run: MapRun, plan: Plan) -> None:
    seen: Control | None = None
    while True:
        control = read_control(plan.control)
        if control is not None and control != seen:
            seen = control
            if control.concurrency is not None:
                run.set_concurrency(control.concurrency)
            if control.stopped:
                run.stop()
            elif control.paused:
                run.pause()
            else:
                run.resume()
        await anyio.sleep(LOOK_EVERY)


def _opened(source: Any) -> Any:
    if isinstance(source, str | os.PathLike):
        return read(source)
    return source() if callable(source) else source
