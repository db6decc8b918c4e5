"""Where sync handlers run: in threads, or in the task that invokes them."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

MAX_THREADS = 10_000
"""How many sync handlers can run at once. Threads are made when needed, so this costs nothing."""


class Calls(Protocol):
    """Calls sync functions."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function and return what it returns."""
        ...


class InTask:
    """Calls them at once, which holds up everything else on the loop."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function."""
        return function(*args)


class Threads:
    """A pool that can be left while a handler that nobody can interrupt still runs."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="asyncinvoke-local")
        self._busy: set[int] = set()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in a thread; on cancellation abandon it there."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._tracked, function, args)

    def close(self) -> None:
        """End all idle threads; wait for that unless one was abandoned in its handler."""
        self._pool.shutdown(wait=not self._busy, cancel_futures=True)

    def _tracked(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        thread = threading.get_ident()
        self._busy.add(thread)
        try:
            return function(*args)
        except StopIteration as error:  # which a future cannot hold: its awaiter would hang
            raise RuntimeError("the handler raised StopIteration") from error
        finally:
            self._busy.discard(thread)
