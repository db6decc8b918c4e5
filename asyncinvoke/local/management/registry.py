"""What the operations ask of the service, and the function that a request names."""

from collections.abc import Mapping
from typing import Protocol

from asyncinvoke.local import names
from asyncinvoke.local.functions import FunctionConfig
from asyncinvoke.local.management.problems import not_found
from asyncinvoke.local.versions import Versions


class Registry(Protocol):
    """Knows the functions, and lets them be changed."""

    @property
    def functions(self) -> Mapping[str, Versions]:
        """Every function that is known, by name."""
        ...

    def register(self, config: FunctionConfig, reserved_concurrency: int | None) -> Versions:
        """Make a function known."""
        ...

    def update(self, config: FunctionConfig) -> None:
        """Change `$LATEST`."""
        ...

    def remove(self, name: str) -> None:
        """Forget a function."""
        ...

    def reserved(self, name: str) -> int | None:
        """Give a function's reserved concurrency."""
        ...

    def reserve(self, name: str, limit: int | None) -> None:
        """Change a function's reserved concurrency."""
        ...

    def concurrency(self) -> tuple[int, int]:
        """Give the account's concurrency, and what of it is not reserved."""
        ...


class Target:
    """A function that a request names, and the qualifier by which it names it."""

    def __init__(self, registry: Registry, text: str, qualifier: str | None, arn: str) -> None:
        """Find it.

        Args:
            registry: Where functions are.
            text: The name, ARN or partial ARN of the path.
            qualifier: The `Qualifier` of the query.
            arn: How the ARNs of this endpoint begin.

        Raises:
            ApiError: There is no such function.
        """
        parsed = names.parse(text)
        name = parsed.name if parsed else text
        self.qualifier = qualifier or (parsed and parsed.qualifier) or None
        versions = registry.functions.get(name)
        if versions is None:
            raise not_found(f"Function not found: {arn}{name}")
        self.versions = versions

    @property
    def config(self) -> FunctionConfig:
        """The configuration that the qualifier means.

        Raises:
            ApiError: There is none.
        """
        config = self.versions.resolve(self.qualifier)
        if config is None:
            raise not_found(f"Function not found: {self.versions.latest.arn}:{self.qualifier}")
        return config
