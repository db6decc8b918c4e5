"""Functions, their versions and their aliases: publish, create, get, list, update, delete."""

import time
from collections.abc import Mapping
from typing import Any

from asyncinvoke.local.functions.configuration import FunctionConfig
from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.functions.versions import Alias, Versions
from asyncinvoke.local.management import describe, shapes
from asyncinvoke.local.management.request import (
    Members,
    NamedFunction,
    function_not_found,
    page,
    version_key,
)
from asyncinvoke.local.protocol import names, refusals
from asyncinvoke.local.protocol.names import LATEST


def get_function(registry: FunctionRegistry, function: NamedFunction) -> dict[str, Any]:
    """`GetFunction`."""
    answer: dict[str, Any] = {
        "Configuration": get_function_configuration(function),
        "Code": {"RepositoryType": "S3"},
    }
    reserved = registry.reserved(function.versions.name)
    if reserved is not None:
        answer["Concurrency"] = {"ReservedConcurrentExecutions": reserved}
    if function.versions.tags:
        answer["Tags"] = dict(function.versions.tags)
    return answer


def get_function_configuration(function: NamedFunction) -> dict[str, Any]:
    """`GetFunctionConfiguration`."""
    config = function.config
    return described(config, function.versions, qualified=function.qualifier is not None)


def list_functions(registry: FunctionRegistry, query: Mapping[str, str]) -> dict[str, Any]:
    """`ListFunctions`."""
    function_version = query.get("FunctionVersion")
    if function_version is not None:
        wrong = names.not_one_of(function_version, "functionVersion", ("ALL",))
        if wrong:
            raise refusals.violated(wrong)
    all_versions = function_version == "ALL"
    found = (
        (
            f"{versions.name}:{version_key(config)}",
            described(config, versions, all_versions, listed=True),
        )
        for versions in [*registry.functions.values()]
        for config in (versions.published if all_versions else (versions.latest,))
    )
    return page("Functions", found, query)


def delete_function(registry: FunctionRegistry, function: NamedFunction) -> None:
    """`DeleteFunction`, of the whole function or one version."""
    versions, version = function.versions, function.qualifier
    if version is None:
        registry.remove(versions.name)
        return
    if version == LATEST:
        raise refusals.invalid("$LATEST version cannot be deleted without deleting the function.")
    if not version.isdecimal():
        raise refusals.invalid("Deletion of aliases is not currently supported.")
    aliases = versions.aliases_of(version)
    if aliases:
        raise refusals.conflict(
            "Unable to delete version because the following aliases reference it: "
            f"[{', '.join(aliases)}]"
        )
    registry.remove_version(versions.name, version)


def described(
    config: FunctionConfig, versions: Versions, qualified: bool = False, *, listed: bool = False
) -> dict[str, Any]:
    """Return the current `FunctionConfiguration` of a version."""
    return describe.configuration(
        config,
        versions,
        now=time.monotonic(),
        qualified=qualified or config.version != LATEST,
        listed=listed,
    )


def publish(function: NamedFunction, members: Members) -> dict[str, Any]:
    """`PublishVersion`, which returns the last version if nothing has changed since."""
    versions, now = function.versions, time.monotonic()
    deployed = versions.latest.deployment
    function.check_changeable(members.text("RevisionId"), now=now)
    expected = members.text("CodeSha256")
    if expected and expected != deployed.code_sha256:
        raise refusals.invalid(
            f"CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST "
            f"({deployed.code_sha256}). Please try again with the CodeSHA256 in $LATEST."
        )
    config = versions.resolve(versions.publish_changes(members.text("Description")))
    assert config is not None  # noqa: S101  # it was just published
    return describe.configuration(config, versions, now=now, qualified=True)


def list_versions(function: NamedFunction, query: Mapping[str, str]) -> dict[str, Any]:
    """`ListVersionsByFunction`."""
    versions, now = function.versions, time.monotonic()
    found = (
        (
            version_key(config),
            describe.configuration(config, versions, now=now, qualified=True, listed=True),
        )
        for config in versions.published
    )
    return page("Versions", found, query)


def create_alias(function: NamedFunction, members: Members) -> dict[str, Any]:
    """`CreateAlias`."""
    name, version = members.text("Name"), members.text("FunctionVersion")
    if name is None or version is None:
        raise refusals.violated(names.missing(name=name, functionVersion=version))
    if name in function.versions.aliases:
        raise refusals.conflict(f"Alias already exists: {function.versions.latest.arn}:{name}")
    return _set_alias(function, name, version, members.text("Description") or "", members)


def update_alias(function: NamedFunction, name: str, members: Members) -> dict[str, Any]:
    """`UpdateAlias`."""
    current = function.versions.aliases.get(name)
    if current is None:
        raise refusals.not_found(f"Alias not found: {function.versions.latest.arn}:{name}")
    if members.text("RevisionId") not in (None, current.revision_id):
        raise refusals.changed_meanwhile()
    version, description = members.text("FunctionVersion"), members.text("Description")
    return _set_alias(
        function,
        name,
        current.version if version is None else version,
        current.description if description is None else description,
        members,
        weights=current.weights,
    )


def get_alias(function: NamedFunction, name: str) -> dict[str, Any]:
    """`GetAlias`."""
    return describe.alias(function.versions.latest.arn, name, _alias(function, name))


def list_aliases(function: NamedFunction, query: Mapping[str, str]) -> dict[str, Any]:
    """`ListAliases`, of all versions or of one."""
    arn, version = function.versions.latest.arn, query.get("FunctionVersion")
    shapes.check(query, {"FunctionVersion": shapes.VERSION})
    found = (
        (name, describe.alias(arn, name, alias))
        for name, alias in function.versions.aliases.items()
        if version in (None, alias.version)
    )
    return page("Aliases", found, query)


def delete_alias(function: NamedFunction, name: str) -> None:
    """`DeleteAlias`."""
    function.versions.remove_alias(name)


def _alias(function: NamedFunction, name: str) -> Alias:
    alias = function.versions.aliases.get(name)
    if alias is None:
        raise refusals.not_found(f"Cannot find alias arn: {function.versions.latest.arn}:{name}")
    return alias


def _set_alias(
    function: NamedFunction,
    name: str,
    version: str,
    description: str,
    members: Members,
    weights: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    weights = dict(weights or {})
    if members.any("RoutingConfig") is not None:
        weights = members.members("RoutingConfig").numbers("AdditionalVersionWeights") or {}
    _check_weights(version, weights)
    for number in (version, *weights):
        if number not in {config.version for config in function.versions.published}:
            raise function_not_found(function.versions.latest.arn, number)
    try:
        function.versions.set_alias(name, version, description, weights)
    except ValueError as error:
        raise refusals.invalid(str(error)) from error
    return get_alias(function, name)


_WEIGHT = (
    "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member "
    "must have value greater than or equal to 0.0, Member must not be null]"
)
_WEIGHED = (
    "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member "
    "must have length greater than or equal to 1, Member must satisfy regular expression pattern: "
    "[0-9]+, Member must not be null]"
)


def _check_weights(version: str, weights: Mapping[str, float]) -> None:
    """Check the weights of an alias.

    Raises:
        Refusal: They are invalid.
    """
    if not weights:
        return
    if len(weights) > 1:
        raise refusals.invalid(
            "Number of items in AdditionalVersionWeights cannot be greater than 1"
        )
    shown = "{" + ", ".join(f"{number}={share}" for number, share in weights.items()) + "}"
    for number, share in weights.items():
        for is_wrong, rule in ((not 0 <= share <= 1, _WEIGHT), (not number.isdecimal(), _WEIGHED)):
            if is_wrong:
                member = "routingConfig.additionalVersionWeights"
                raise refusals.violated(names.breaks(shown, member, rule))
    if version == names.LATEST:
        raise refusals.latest_shares()
    if version in weights:
        raise refusals.invalid(
            f"Invalid function version {version}. Function version {version} is already included in "
            "routing configuration."
        )
