"""Functions: get, list, delete."""

import time
from collections.abc import Mapping
from typing import Any

from asyncinvoke.local.functions.configuration import FunctionConfig
from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.management import describe
from asyncinvoke.local.management.request import NamedFunction, page, version_key
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
