"""`LocalFunction`: the handle on a registered function."""

from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.functions.versions import Versions


class LocalFunction:
    """A handle on a registered function; `LocalLambda.function` makes it.

    Everything may be changed while the endpoint runs, from any thread.
    """

    def __init__(self, versions: Versions, registry: FunctionRegistry) -> None:
        self._versions = versions
        self._registry = registry

    @property
    def name(self) -> str:
        """The name it was registered with."""
        return self._versions.latest.name

    @property
    def arn(self) -> str:
        """The unqualified ARN."""
        return self._versions.latest.arn

    @property
    def reserved_concurrency(self) -> int | None:
        """Executions of its own that may run at once; None shares the account's with the others.

        0 throttles every call. What runs already goes on. All versions share it.

        Raises:
            ValueError: On setting what is not a whole number, or more than the account has left.
        """
        return self._registry.reserved(self.name)

    @reserved_concurrency.setter
    def reserved_concurrency(self, limit: int | None) -> None:
        self._registry.reserve(self.name, limit)

    def publish_version(self) -> str:
        """Publish `$LATEST` as a version with environments of its own; return its number, from "1".

        It shares the handler's code with `$LATEST`. Each call gives a new number, where AWS gives
        the last one again if nothing was changed.
        """
        return self._versions.publish()

    def alias(self, name: str, version: str) -> None:
        """Create an alias, or move it.

        Args:
            name: 1 to 128 letters, digits, hyphens or underscores, not digits only.
            version: What `publish_version` returned, or `$LATEST`.

        Raises:
            ValueError: The name breaks that rule, or there is no such version.
        """
        self._versions.set_alias(name, version)

    def duplicate_events(self, count: int) -> None:
        """Deliver each of the next `count` Events twice, with one request id, as AWS at times does.

        Raises:
            ValueError: `count` is not a whole number, 0 or more.
        """
        self._registry.duplicate_events(self.name, count)

    def __repr__(self) -> str:
        return f"<LocalFunction {self.name!r} reserved_concurrency={self.reserved_concurrency}>"
