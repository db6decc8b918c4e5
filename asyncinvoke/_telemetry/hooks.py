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
    """A hook that is also notified of the life cycle of invokers and streams.

    It is a base class, not a protocol, so that no user object matches it by accident.
    """

    def __call__(self, event: object) -> object:
        """Handle an event, like any hook."""

    @property
    def listens(self) -> bool:
        """Whether events currently have any effect."""
        return True

    def opened(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """Handle an invoker that opens; `statistics` can be called until it is closed."""

    def closed(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """Handle an invoker that has closed; this is the last chance to call `statistics`."""

    def handed_over(self, execution: object) -> None:
        """Handle a stream that opens: from now on the caller's own code runs in its block."""


class Hooks:
    """Calls the hooks with each event, in order.

    An exception raised by a hook does not propagate. It is logged once per hook, with its type and
    location but not its message, which may quote the payload of a response. An exception that is
    not an `Exception`, such as `KeyboardInterrupt`, does propagate.

    Args:
        hooks: Plain functions of one argument.
    """

    __slots__ = ("_always", "_hooks", "_logged", "emit")

    emit: Callable[[object], None]
    """Calls each hook with an event."""

    def __init__(self, hooks: Iterable[Callable[[Any], object]] = ()) -> None:
        self._hooks = tuple(hooks)
        self._always = any(not isinstance(hook, Instrument) for hook in self._hooks)
        self._logged: set[int] = set()
        # With four events per call, a single hook, the usual case, is called without a loop.
        self.emit = self._emit_to_all if len(self._hooks) != 1 else self._emitter_to(self._hooks[0])

    def __bool__(self) -> bool:
        return bool(self._hooks)

    @property
    def listen(self) -> bool:
        """Whether any hook wants the events of an execution that starts now."""
        if self._always:
            return True
        return any(hook.listens for hook in self._hooks if isinstance(hook, Instrument))

    def opened(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """Notify the instruments of an invoker that opens."""
        self._instruments(lambda each: each.opened(statistics))

    def closed(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """Notify the instruments of an invoker that has closed."""
        self._instruments(lambda each: each.closed(statistics))

    def handed_over(self, execution: object) -> None:
        """Notify the instruments that a stream's block begins."""
        self._instruments(lambda each: each.handed_over(execution))

    def _emit_to_all(self, event: object) -> None:
        for hook in self._hooks:
            try:
                if (result := hook(event)) is not None:
                    self._check_plain(hook, result)
            except Exception as error:  # noqa: BLE001  # somebody else's code
                self._log(hook, error)

    def _emitter_to(self, hook: Callable[[Any], object]) -> Callable[[object], None]:
        def emit(event: object) -> None:
            try:
                if (result := hook(event)) is not None:
                    self._check_plain(hook, result)
            except Exception as error:  # noqa: BLE001  # somebody else's code
                self._log(hook, error)

        return emit

    def _instruments(self, notify: Callable[[Instrument], None]) -> None:
        for hook in self._hooks:
            if isinstance(hook, Instrument):
                try:
                    notify(hook)
                except Exception as error:  # noqa: BLE001  # it relies on foreign code
                    self._log(hook, error)

    def _check_plain(self, hook: object, result: object) -> None:
        """Log an error if a hook returned an awaitable, such as a lambda around an `async def`."""
        if not inspect.isawaitable(result):
            return
        if inspect.iscoroutine(result):
            result.close()  # avoids the warning about a coroutine that was never awaited
        if id(hook) not in self._logged:
            self._logged.add(id(hook))
            _logger.error(
                "a hook gave a %s: %s; it is called, not awaited, and must be a plain function; "
                "it will not be said again",
                type(result).__name__,
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
    """Validate the hooks.

    Raises:
        ConfigurationError: They are not a list, one of them is not a plain function, or there are
            two `Instrument`s.
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
    instruments = [type(hook).__name__ for hook in given if isinstance(hook, Instrument)]
    if len(instruments) > 1:
        raise ConfigurationError(
            f"hooks has {' and '.join(instruments)}: each call would be counted twice; for two "
            "backends, give the provider of one hook two exporters"
        )
    return Hooks(given)
