"""Calls the hooks: each gets every event, and none can affect a call."""

import inspect
import logging
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from asyncinvoke._request.payload import check_plain
from asyncinvoke._statistics import InvokerStatistics
from asyncinvoke.errors import ConfigurationError

_logger = logging.getLogger("asyncinvoke")


class Instrument:
    """A hook of ours that is told more than events: when an invoker comes and goes.

    It is a base, not a protocol, so that no object of a caller's is taken for one by its names.
    """

    def __call__(self, event: object) -> object:
        """Take an event, as any hook does."""

    @property
    def listens(self) -> bool:
        """Whether anything becomes of what it is told now."""
        return True

    def opened(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """An invoker is open; its statistics may be asked for until it is closed."""

    def closed(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """That invoker is closed; this is the last time that it may be asked."""

    def handed_over(self, execution: object) -> None:
        """A stream is open: from now on the caller's own code runs in its block."""


class Hooks:
    """Tells events to hooks, in the order of the hooks.

    What a hook raises goes no further. It is logged once for each hook: by the exception's type and
    place, not by its text, which may quote the payload of a response that the hook has seen. What is
    no `Exception`, such as `KeyboardInterrupt`, goes through.

    Args:
        hooks: Plain functions of one argument.
    """

    __slots__ = ("_always", "_hooks", "_logged", "tell")

    tell: Callable[[object], None]
    """Gives an event to each hook."""

    def __init__(self, hooks: Iterable[Callable[[Any], object]] = ()) -> None:
        self._hooks = tuple(hooks)
        self._always = any(not isinstance(hook, Instrument) for hook in self._hooks)
        self._logged: set[int] = set()
        # Told four times for each call, so one hook, as there is mostly, is called without a loop.
        self.tell = self._tell_all if len(self._hooks) != 1 else self._teller(self._hooks[0])

    def __bool__(self) -> bool:
        return bool(self._hooks)

    @property
    def listen(self) -> bool:
        """Whether anybody is there to be told of an execution that begins now."""
        if self._always:
            return True
        return any(hook.listens for hook in self._hooks if isinstance(hook, Instrument))

    def opened(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """Tell the instruments of an invoker that opens."""
        self._instruments(lambda each: each.opened(statistics))

    def closed(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """Tell the instruments of an invoker that has closed."""
        self._instruments(lambda each: each.closed(statistics))

    def handed_over(self, execution: object) -> None:
        """Tell the instruments that a stream's block begins."""
        self._instruments(lambda each: each.handed_over(execution))

    def _tell_all(self, event: object) -> None:
        for hook in self._hooks:
            try:
                if (said := hook(event)) is not None:
                    self._check_plain(hook, said)
            except Exception as error:  # noqa: BLE001  # somebody else's code
                self._log(hook, error)

    def _teller(self, hook: Callable[[Any], object]) -> Callable[[object], None]:
        def tell(event: object) -> None:
            try:
                if (said := hook(event)) is not None:
                    self._check_plain(hook, said)
            except Exception as error:  # noqa: BLE001  # somebody else's code
                self._log(hook, error)

        return tell

    def _instruments(self, tell: Callable[[Instrument], None]) -> None:
        for hook in self._hooks:
            if isinstance(hook, Instrument):
                try:
                    tell(hook)
                except Exception as error:  # noqa: BLE001  # it stands on somebody else's code
                    self._log(hook, error)

    def _check_plain(self, hook: object, said: object) -> None:
        """Say of a hook that what it gives would have to be awaited: a lambda around an `async def`."""
        if not inspect.isawaitable(said):
            return
        if inspect.iscoroutine(said):
            said.close()  # or Python would complain that nobody awaited it
        if id(hook) not in self._logged:
            self._logged.add(id(hook))
            _logger.error(
                "a hook gave a %s: %s; it is called, not awaited, and must be a plain function; "
                "it will not be said again",
                type(said).__name__,
                _name(hook),
            )

    def _log(self, hook: object, error: Exception) -> None:
        if id(hook) in self._logged:
            return
        self._logged.add(id(hook))
        *_, last = traceback.extract_tb(error.__traceback__)
        _logger.error(
            "a hook raised: %s, %s at %s:%s; it will not be said again",
            _name(hook),
            type(error).__name__,
            last.filename,
            last.lineno,
        )


def _name(hook: object) -> str:
    return getattr(hook, "__qualname__", None) or type(hook).__qualname__


def checked_hooks(hooks: Iterable[Callable[[Any], object]]) -> Hooks:
    """Return hooks that can be called.

    Raises:
        ConfigurationError: There is no list of them, or one is no plain function.
    """
    if not isinstance(hooks, Iterable):
        raise ConfigurationError(
            f"hooks must be a list of functions, not {type(hooks).__name__}: hooks=[...]"
        )
    given = tuple(hooks)
    for hook in given:
        if isinstance(hook, type) and issubclass(hook, Instrument):
            raise ConfigurationError(f"hook {hook.__name__} is a class: {hook.__name__}()")
        check_plain("hook", hook)
    return Hooks(given)
