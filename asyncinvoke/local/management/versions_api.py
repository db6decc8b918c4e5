"""Versions and aliases: publish, create, get, list, update, delete."""

import time
from collections.abc import Mapping
from typing import Any

from asyncinvoke.local import answers
from asyncinvoke.local.management import describe
from asyncinvoke.local.management.problems import conflict, invalid, not_found
from asyncinvoke.local.management.registry import Target


def publish(target: Target, members: Mapping[str, Any]) -> dict[str, Any]:
    """`PublishVersion`: the last version again if nothing has changed since."""
    versions, now = target.versions, time.monotonic()
    if now < versions.updating_until:
        raise conflict(answers.updating(versions.latest.arn))
    expected = members.get("CodeSha256")
    if expected and expected != versions.latest.deployment.code_sha256:
        raise invalid(
            f"CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST "
            f"({versions.latest.deployment.code_sha256}). Please try again with the CodeSHA256 in "
            "$LATEST."
        )
    config = versions.resolve(versions.publish_changes())
    assert config is not None  # noqa: S101  # it was just published
    return describe.configuration(config, versions, now=now, qualified=True)


def list_versions(target: Target) -> dict[str, Any]:
    """`ListVersionsByFunction`."""
    versions, now = target.versions, time.monotonic()
    return {
        "Versions": [
            describe.configuration(config, versions, now=now, qualified=True)
            for config in versions.published
        ]
    }


def create_alias(target: Target, members: Mapping[str, Any]) -> dict[str, Any]:
    """`CreateAlias`."""
    name = str(members.get("Name"))
    arn = target.versions.latest.arn
    if name in target.versions.aliases:
        raise conflict(f"Alias already exists: {arn}:{name}")
    return _set_alias(target, name, members)


def update_alias(target: Target, name: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """`UpdateAlias`."""
    current = _version_of(target, name)
    return _set_alias(target, name, {"FunctionVersion": current, **members})


def get_alias(target: Target, name: str) -> dict[str, Any]:
    """`GetAlias`."""
    return describe.alias(target.versions.latest.arn, name, _version_of(target, name))


def list_aliases(target: Target) -> dict[str, Any]:
    """`ListAliases`."""
    arn, aliases = target.versions.latest.arn, target.versions.aliases
    return {"Aliases": [describe.alias(arn, name, aliases[name]) for name in sorted(aliases)]}


def delete_alias(target: Target, name: str) -> None:
    """`DeleteAlias`."""
    target.versions.remove_alias(name)


def _version_of(target: Target, name: str) -> str:
    version = target.versions.aliases.get(name)
    if version is None:
        raise not_found(f"Cannot find alias arn: {target.versions.latest.arn}:{name}")
    return version


def _set_alias(target: Target, name: str, members: Mapping[str, Any]) -> dict[str, Any]:
    if (members.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
        raise invalid("RoutingConfig: this endpoint sends an alias to one version.")
    version, arn = str(members.get("FunctionVersion")), target.versions.latest.arn
    if target.versions.resolve(version) is None:
        raise not_found(f"Function not found: {arn}:{version}")
    try:
        target.versions.set_alias(name, version)
    except ValueError as error:
        raise invalid(str(error)) from error
    return describe.alias(arn, name, version)
