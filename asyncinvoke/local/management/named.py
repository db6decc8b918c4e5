"""What the operations ask of the service, and the function that a request names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from asyncinvoke.local.functions.configuration import FunctionConfig
from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.protocol import answers, names
from asyncinvoke.local.protocol.refusals import ApiError, broken, invalid, not_found


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

    def remove_version(self, name: str, number: str) -> None:
        """Forget a version of a function."""
        ...

    def directories(self) -> set[Path]:
        """Return the directories of the code that can still run, or runs yet."""
        ...

    def reserved(self, name: str) -> int | None:
        """Return a function's reserved concurrency."""
        ...

    def reserve(self, name: str, limit: int | None) -> None:
        """Change a function's reserved concurrency."""
        ...

    def concurrency(self) -> tuple[int, int]:
        """Return the account's concurrency, and what of it is not reserved."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A function that a request names, and the qualifier by which it names it."""

    versions: Versions
    """The function."""
    qualifier: str | None
    """The qualifier, from the name or from the query; None without one."""

    @property
    def config(self) -> FunctionConfig:
        """The configuration that the qualifier means.

        Raises:
            ApiError: There is none.
        """
        config = self.versions.resolve(self.qualifier)
        if config is None:
            raise function_not_found(self.versions.latest.arn, self.qualifier)
        return config


def find(
    registry: Registry, text: str, qualifier: str | None, *, region_name: str, account_id: str
) -> Target:
    """Find the function that a request names.

    Args:
        registry: Where functions are.
        text: The name, ARN or partial ARN of the path.
        qualifier: The `Qualifier` of the query.
        region_name: The endpoint's region.
        account_id: The endpoint's account.

    Raises:
        ApiError: There is no such function, or it cannot be one.
    """
    parsed = names.parse(text)
    faults = names.faults(text, qualifier)
    if faults or parsed is None:
        raise broken(faults)
    if parsed.region not in (None, region_name):
        raise not_found(answers.unreachable(str(parsed.region), region_name))
    if None not in (parsed.qualifier, qualifier) and parsed.qualifier != qualifier:
        raise invalid(answers.QUALIFIERS_DIFFER)
    qualifier = parsed.qualifier or qualifier
    account = parsed.account or account_id
    versions = registry.functions.get(parsed.name) if account == account_id else None
    if versions is None:
        arn = f"arn:aws:lambda:{region_name}:{account}:function:{parsed.name}"
        raise function_not_found(arn, qualifier)
    return Target(versions=versions, qualifier=qualifier)


def function_not_found(arn: str, qualifier: str | None) -> ApiError:
    """There is no such function, or no such version of it."""
    return not_found(f"Function not found: {arn}" + (f":{qualifier}" if qualifier else ""))
