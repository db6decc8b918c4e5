"""Threads for sync handlers: reused, and abandoned if a handler does not return in time.

They are daemon threads. The interpreter waits for the threads of a `ThreadPoolExecutor` at exit, so one
handler that never returns would time out, and then keep its whole test run from ending.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeAlias

from asyncinvoke.local.execution.calling import RaisedError

_Call: TypeAlias = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class Threads:
    """The threads of one endpoint, as many as its peak of concurrent sync handlers."""

    def __init__(self) -> None:
        self._idle: list[_Thread] = []
        self._is_closed = False

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in a thread; on cancellation, abandon it.

        Raises:
            RaisedError: The function raised an exception.
        """
        future = Future[Any]()
        thread = self._idle.pop() if self._idle else self._start()
        thread.calls.put((future, function, args))
        try:
            return await asyncio.wrap_future(future)
        finally:
            del future  # no cycle: the traceback of its exception refers to this frame

    def close(self) -> None:
        """End all idle threads, and wait for them; abandoned ones end once their handler returns."""
        self._is_closed = True
        while self._idle:
            thread = self._idle.pop()
            thread.calls.put(None)
            thread.join()

    def rest(self, thread: "_Thread") -> bool:
        """Receive a thread that waits for its next call; return whether there may be one."""
        self._idle.append(thread)
        return not self._is_closed

    def _start(self) -> "_Thread":
        thread = _Thread(self)
        thread.start()
        return thread


class _Thread(threading.Thread):
    def __init__(self, threads: Threads) -> None:
        super().__init__(name="asyncinvoke-local", daemon=True)
        self.calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads = threads

    def run(self) -> None:
        while self._answer_next():
            pass

    def _answer_next(self) -> bool:
        call = self.calls.get()
        if call is None:
            return False
        future, function, args = call
        if not future.set_running_or_notify_cancel():
            return self._threads.rest(self)
        answer, raised = None, None
        try:
            answer = function(*args)
        except BaseException as error:  # noqa: BLE001  # any exception of a handler is its result
            # Carried, because asyncio replaces some by new ones: a TimeoutError would lose its trace.
            raised = RaisedError(error)
        # First, because the next call may come as soon as this one is answered.
        goes_on = self._threads.rest(self)
        if raised is None:
            future.set_result(answer)
        else:
            future.set_exception(raised)
            del call, future, raised  # no cycle: its traceback refers to this frame
        return goes_on
