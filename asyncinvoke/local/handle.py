"""`LocalFunction`: the handle on a registered function."""

from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.functions.versions import Versions


class LocalFunction:
    """A handle to a registered function, returned by `LocalLambda.function`.

    Everything can be changed while the endpoint is running, from any thread.
    """

    def __init__(self, versions: Versions, registry: FunctionRegistry) -> None:
        self._versions = versions
        self._registry = registry

    @property
    def name(self) -> str:
        """The name of the function."""
        return self._versions.latest.name

    @property
    def arn(self) -> str:
        """The unqualified ARN."""
        return self._versions.latest.arn

    @property
    def reserved_concurrency(self) -> int | None:
        """Concurrent executions reserved for the function; None shares the account's.

        0 throttles every call. Running executions are not affected. All versions share it.

        Raises:
            ValueError: It is set to something other than a whole number, or to more than the account
                has left.
        """
        return self._registry.reserved(self.name)

    @reserved_concurrency.setter
    def reserved_concurrency(self, limit: int | None) -> None:
        self._registry.reserve(self.name, limit)

    def publish_version(self) -> str:
        """Publish `$LATEST` as a version with its own environments; return its number, from "1".

        It shares the handler's code with `$LATEST`. Each call returns a new number, whereas AWS
        returns the previous one if nothing has changed.
        """
        return self._versions.publish()

    def alias(self, name: str, version: str) -> None:
        """Create or move an alias.

        Args:
            name: 1 to 128 letters, digits, hyphens or underscores, not digits only.
            version: A version returned by `publish_version`, or `$LATEST`.

        Raises:
            ValueError: The name is invalid, or the version does not exist.
        """
        self._versions.set_alias(name, version)

    def duplicate_events(self, count: int) -> None:
        """Deliver each of the next `count` Events twice with the same request id, as AWS may do.

        Raises:
            ValueError: `count` is not a whole number, 0 or more.
        """
        self._registry.duplicate_events(self.name, count)

    def __repr__(self) -> str:
        return f"<LocalFunction {self.name!r} reserved_concurrency={self.reserved_concurrency}>"
