"""Versions and aliases: publish, create, get, list, update, delete."""

import time
from collections.abc import Mapping
from typing import Any

from asyncinvoke.local.functions.versions import Alias
from asyncinvoke.local.management import describe
from asyncinvoke.local.management.members import Members
from asyncinvoke.local.management.named import Target, function_not_found
from asyncinvoke.local.management.paging import page, version_key
from asyncinvoke.local.protocol import answers, names
from asyncinvoke.local.protocol.refusals import (
    broken,
    changed_meanwhile,
    conflict,
    invalid,
    not_found,
)


def publish(target: Target, members: Members) -> dict[str, Any]:
    """`PublishVersion`: the last version again if nothing has changed since."""
    versions, now = target.versions, time.monotonic()
    deployed = versions.latest.deployment
    if now < versions.pending_until:
        raise conflict(answers.not_active("Pending"))
    if now < versions.updating_until:
        raise conflict(answers.updating(versions.latest.arn))
    if members.text("RevisionId") not in (None, deployed.revision_id):
        raise changed_meanwhile()
    expected = members.text("CodeSha256")
    if expected and expected != deployed.code_sha256:
        raise invalid(
            f"CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST "
            f"({deployed.code_sha256}). Please try again with the CodeSHA256 in $LATEST."
        )
    config = versions.resolve(versions.publish_changes(members.text("Description")))
    assert config is not None  # noqa: S101  # it was just published
    return describe.configuration(config, versions, now=now, qualified=True)


def list_versions(target: Target, query: Mapping[str, str]) -> dict[str, Any]:
    """`ListVersionsByFunction`."""
    versions, now = target.versions, time.monotonic()
    found = (
        (version_key(config), describe.configuration(config, versions, now=now, qualified=True))
        for config in versions.published
    )
    return page("Versions", found, query)


def create_alias(target: Target, members: Members) -> dict[str, Any]:
    """`CreateAlias`."""
    name, version = members.text("Name"), members.text("FunctionVersion")
    faults = [
        names.missing(member)
        for member, value in (("name", name), ("functionVersion", version))
        if value is None
    ]
    if name is None or version is None:
        raise broken(faults)
    if name in target.versions.aliases:
        raise conflict(f"Alias already exists: {target.versions.latest.arn}:{name}")
    return _set_alias(target, name, version, members.text("Description") or "", members)


def update_alias(target: Target, name: str, members: Members) -> dict[str, Any]:
    """`UpdateAlias`."""
    current = _alias(target, name)
    if members.text("RevisionId") not in (None, current.revision_id):
        raise changed_meanwhile()
    version, description = members.text("FunctionVersion"), members.text("Description")
    return _set_alias(
        target,
        name,
        current.version if version is None else version,
        current.description if description is None else description,
        members,
    )


def get_alias(target: Target, name: str) -> dict[str, Any]:
    """`GetAlias`."""
    return describe.alias(target.versions.latest.arn, name, _alias(target, name))


def list_aliases(target: Target, query: Mapping[str, str]) -> dict[str, Any]:
    """`ListAliases`: all, or those of one version."""
    arn, version = target.versions.latest.arn, query.get("FunctionVersion")
    found = (
        (name, describe.alias(arn, name, alias))
        for name, alias in target.versions.aliases.items()
        if version in (None, alias.version)
    )
    return page("Aliases", found, query)


def delete_alias(target: Target, name: str) -> None:
    """`DeleteAlias`."""
    target.versions.remove_alias(name)


def _alias(target: Target, name: str) -> Alias:
    alias = target.versions.aliases.get(name)
    if alias is None:
        raise not_found(f"Cannot find alias arn: {target.versions.latest.arn}:{name}")
    return alias


def _set_alias(
    target: Target, name: str, version: str, description: str, members: Members
) -> dict[str, Any]:
    if members.members("RoutingConfig").members("AdditionalVersionWeights"):
        raise invalid("RoutingConfig: this endpoint sends an alias to one version.")
    if version not in {config.version for config in target.versions.published}:
        raise function_not_found(target.versions.latest.arn, version)
    try:
        target.versions.set_alias(name, version, description)
    except ValueError as error:
        raise invalid(str(error)) from error
    return get_alias(target, name)
