"""The strategies of a `Backoff`: how each is called, and which are refused before they are used."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

from tenacity import RetryCallState
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from asyncinvoke._request.payload import is_awaited

Wait: TypeAlias = Callable[[RetryCallState], float]
"""A tenacity wait strategy, such as `tenacity.wait_exponential(max=20)`."""

Stop: TypeAlias = Callable[[RetryCallState], bool]
"""A tenacity stop strategy, such as `tenacity.stop_after_attempt(3)`."""

_OF_TENACITY: tuple[type, ...] = (wait_base, stop_base, retry_base)

_WANTED: dict[str, tuple[str, type | None]] = {
    "wait": ("such as tenacity.wait_fixed(1)", wait_base),
    "stop": ("such as tenacity.stop_after_attempt(3)", stop_base),
    "when": ("such as lambda error: error.status_code == 503", None),
}
"""For each strategy an example, and which of tenacity's objects it may be."""


def flaw_of(name: str, strategy: object) -> str | None:
    """Return why a strategy cannot be used; `None` if no reason is known.

    What is refused here would be called without an error and count as true: a class makes an
    object, a wait gives a number, and a combined `async def` a coroutine.

    Args:
        name: `wait`, `stop` or `when`.
        strategy: The value.
    """
    example, kind = _WANTED[name]
    wanted = f"must be a plain callable, {example}"
    if not callable(strategy):
        return wanted
    for part in _with_parts(strategy):
        if is_awaited(part):
            return f"{wanted}: it is called, not awaited"
        if kind is None and part is not strategy:  # of `when`: classes of exceptions, for example
            continue
        made = part.func if isinstance(part, partial) else part
        if isinstance(made, type):
            return f"{wanted}, not the class {made.__name__} itself"
        if isinstance(part, _OF_TENACITY) and not (kind and isinstance(part, kind)):
            return wanted
    return None


def _with_parts(strategy: object) -> Iterator[object]:
    """Yield a strategy and, if it is one of tenacity's, whatever it combines."""
    yield strategy
    if isinstance(strategy, _OF_TENACITY) and type(strategy).__module__.startswith("tenacity."):
        for value in vars(strategy).values():
            for part in value if isinstance(value, tuple) else (value,):
                yield from _with_parts(part)
