"""The fixtures for pytest-asyncio: one for each loop scope of a test.

Imported at pytest's start if pytest-asyncio is in use, so it imports nothing else from this package.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Literal

import pytest_asyncio

if TYPE_CHECKING:
    from asyncinvoke._invoker import Invoker


def _opened_in(loop_scope: Literal["function", "class", "module", "package", "session"]) -> Any:
    @pytest_asyncio.fixture(name=f"_asyncinvoke_on_{loop_scope}_loop", loop_scope=loop_scope)
    async def opened(
        _asyncinvoke_opening: "Callable[[], AbstractAsyncContextManager[Invoker]]",
    ) -> "AsyncIterator[Invoker]":
        async with _asyncinvoke_opening() as invoker:
            yield invoker

    return opened


on_function_loop: Any = _opened_in("function")
on_class_loop: Any = _opened_in("class")
on_module_loop: Any = _opened_in("module")
on_package_loop: Any = _opened_in("package")
on_session_loop: Any = _opened_in("session")
