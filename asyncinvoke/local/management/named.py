"""The function that a management request names."""

from collections.abc import Mapping
from dataclasses import dataclass

from asyncinvoke.local import checks
from asyncinvoke.local.functions.configuration import FunctionConfig
from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.management import describe
from asyncinvoke.local.protocol import names, refusals
from asyncinvoke.local.protocol.names import LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFunction:
    """A function, and the qualifier by which a request names it."""

    versions: Versions
    """The function."""
    qualifier: str | None
    """The qualifier, from the name or from the query; None without one."""

    @property
    def config(self) -> FunctionConfig:
        """The configuration that the qualifier means.

        Raises:
            Refusal: There is none.
        """
        config = self.versions.resolve(self.qualifier)
        if config is None:
            raise function_not_found(self.versions.latest.arn, self.qualifier)
        return config

    def check_changeable(self, revision_id: str | None, *, now: float) -> None:
        """Refuse a change of `$LATEST` while it is not ready, or of a revision that it has left.

        Args:
            revision_id: The revision that the caller knows; None if it does not say.
            now: Seconds of the monotonic clock.
        """
        checks.check_changeable(self.versions, now=now)
        self.check_revision(revision_id, now=now)

    def check_revision(self, revision_id: str | None, *, now: float) -> None:
        """Refuse a change of a revision that the function has left."""
        latest = self.versions.latest
        if revision_id not in (None, describe.revision(latest, self.versions, now)):
            raise refusals.changed_meanwhile()

    @property
    def arn(self) -> str:
        """The ARN by which the request names it, with its qualifier if it gives one."""
        arn = self.versions.latest.arn
        return arn if self.qualifier is None else f"{arn}:{self.qualifier}"


def find_function(
    functions: Mapping[str, Versions],
    text: str,
    qualifier: str | None,
    *,
    region_name: str,
    account_id: str,
    is_unqualified: bool = False,
) -> NamedFunction:
    """Return the function that a request names.

    Args:
        functions: Every function, by name.
        text: The name, ARN or partial ARN of the path.
        qualifier: The `Qualifier` of the query.
        region_name: The endpoint's region.
        account_id: The endpoint's account.
        is_unqualified: Whether the operation is for functions only, which then are called `$LATEST`.

    Raises:
        Refusal: There is no such function, or it cannot be one.
    """
    name = checks.check_name(text, names.parse(text), qualifier)
    qualifier = checks.one_qualifier(name, qualifier, region_name=region_name)
    account = name.account or account_id
    versions = functions.get(name.name) if account == account_id else None
    if versions is None:
        arn = f"arn:aws:lambda:{region_name}:{account}:function:{name.name}"
        raise function_not_found(arn, qualifier or (LATEST if is_unqualified else None))
    return NamedFunction(versions=versions, qualifier=qualifier)


def function_not_found(arn: str, qualifier: str | None) -> refusals.Refusal:
    """There is no such function, or no such version of it."""
    return refusals.function_not_found(arn + (f":{qualifier}" if qualifier else ""))
