"""The registry of functions, and its changes from any thread."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from asyncinvoke.local.functions.configuration import FunctionConfig, Source
from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.limits import Admission
from asyncinvoke.local.numbers import whole_number


class Running(Protocol):
    """The part that runs functions while the endpoint is serving."""

    def retire_outdated(self, now: float) -> None:
        """Retire the environments of configurations that an update has replaced by `now`."""
        ...

    def retire(self, name: str, version: str | None = None) -> None:
        """End the environments of a version, or of a whole function, after their current invocation."""
        ...

    def retired_directories(self) -> set[Path]:
        """Return the code directories of retired environments that are still running."""
        ...


class FunctionRegistry:
    """The functions of one endpoint.

    Args:
        admission: The keeper of reserved concurrency.
        on_new: Called with the name of each newly registered function.
    """

    def __init__(self, admission: Admission, *, on_new: Callable[[str], None]) -> None:
        self.running: Running | None = None
        """The part that runs them; None while the endpoint is not serving."""
        self._admission = admission
        self._on_new = on_new
        self._functions: dict[str, Versions] = {}
        self.functions: Mapping[str, Versions] = MappingProxyType(self._functions)
        """All functions, by name."""
        self._duplicates: Counter[str] = Counter()

    def register(self, config: FunctionConfig, reserved_concurrency: int | None) -> Versions:
        """Register a function.

        Raises:
            ValueError: The name is taken, or the account has too little concurrency left.
        """
        if config.name in self._functions:
            raise ValueError(f"function {config.name!r} is registered already")
        self._admission.reserve(config.name, reserved_concurrency)
        self._on_new(config.name)
        self._functions[config.name] = Versions(config)
        return self._functions[config.name]

    def update(self, config: FunctionConfig, until: float) -> None:
        """Replace the configuration of `$LATEST`; running executions are not affected.

        Args:
            config: The new configuration.
            until: The time at which the update is complete, in seconds of the monotonic clock.
        """
        self._functions[config.name].update(config, until)

    def remove(self, name: str) -> None:
        """Remove a function; running executions finish."""
        del self._functions[name]
        self._admission.reserve(name, None)
        self._retire(name)

    def remove_version(self, name: str, number: str) -> None:
        """Remove a version; running executions finish."""
        self._functions[name].remove_version(number)
        self._retire(name, number)

    def directories(self, now: float) -> set[Path]:
        """Return the directories of all code that is running or can still be run.

        Args:
            now: The time in seconds of the monotonic clock.
        """
        functions = list(self._functions.values())
        configs = [config for versions in functions for config in versions.published]
        configs += filter(None, (versions.replaced(now) for versions in functions))
        handlers = (config.handler for config in configs)
        sources = [handler for handler in handlers if isinstance(handler, Source)]
        found = {folder for source in sources for folder in (source.directory, *source.layers)}
        if self.running is not None:
            self.running.retire_outdated(now)
        return found if self.running is None else found | self.running.retired_directories()

    def concurrency(self) -> tuple[int, int]:
        """Return the account's concurrency, and the unreserved part of it."""
        return self._admission.account_concurrency, self._admission.unreserved

    def reserved(self, name: str) -> int | None:
        """Return a function's reserved concurrency."""
        return self._admission.reserved(name)

    def reserve(self, name: str, limit: int | None) -> None:
        """Change a function's reserved concurrency.

        Raises:
            ValueError: It is not a whole number, or exceeds what the account has left.
        """
        self._admission.reserve(name, limit)

    def duplicate_events(self, name: str, count: int) -> None:
        """Deliver a function's next Events twice.

        Raises:
            ValueError: `count` is not a whole number, 0 or more.
        """
        self._duplicates[name] = whole_number("count", count)

    def take_deliveries(self, name: str) -> int:
        """Return how many times to deliver the next Event of a function: 1, or 2 for a duplicate."""
        if not self._duplicates[name]:
            return 1
        self._duplicates[name] -= 1
        return 2

    def _retire(self, name: str, version: str | None = None) -> None:
        if self.running is not None:
            self.running.retire(name, version)
