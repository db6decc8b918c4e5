"""Descriptions of functions: pure, from a configuration to JSON values."""

from typing import Any

from asyncinvoke.local.functions.configuration import FunctionConfig, Source
from asyncinvoke.local.functions.versions import Alias, Versions

# The defaults (recorded 2023-11-20, 2024-03-27).
_DEFAULTS: dict[str, Any] = {
    "TracingConfig": {"Mode": "PassThrough"},
    "PackageType": "Zip",
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
    "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
}

# GUESS: not recorded from AWS (docs/fidelity.md)
RUNTIME_VERSION = "0" * 64  # AWS generates a hash


def configuration(
    config: FunctionConfig,
    versions: Versions,
    *,
    now: float,
    qualified: bool = False,
    listed: bool = False,
) -> dict[str, Any]:
    """Return a `FunctionConfiguration`.

    Args:
        config: The configuration of the version.
        versions: The function.
        now: The time in seconds of the monotonic clock.
        qualified: Whether the ARN includes the version.
        listed: Whether it is part of a list, which omits states and runtime versions.
    """
    deployed = config.deployment
    described: dict[str, Any] = {
        "FunctionName": config.name,
        "FunctionArn": f"{config.arn}:{config.version}" if qualified else config.arn,
        "Runtime": deployed.runtime,
        "Role": deployed.role,
        "Handler": _handler(config),
        "CodeSize": deployed.code_size,
        "Description": deployed.description,
        "Timeout": max(int(config.timeout), 1),
        "MemorySize": config.memory_size,
        "LastModified": deployed.last_modified,
        "CodeSha256": deployed.code_sha256,
        "Version": config.version,
        "RevisionId": revision(config, versions, now),
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{config.name}"},
        **_DEFAULTS,
        **deployed.as_requested,
    }
    if config.environment:
        described["Environment"] = {"Variables": dict(config.environment)}
    if listed:
        return described
    arn = f"arn:aws:lambda:{config.region_name}::runtime:{RUNTIME_VERSION}"
    described["RuntimeVersionConfig"] = {"RuntimeVersionArn": arn}
    return described | _state(config, versions, now)


def revision(config: FunctionConfig, versions: Versions, now: float) -> str:
    """Return the revision id of a version, which changes when it becomes ready."""
    deployed = config.deployment
    is_settled = versions.is_settled(config.version, now)
    return deployed.settled_revision_id if is_settled else deployed.revision_id


def alias(arn: str, name: str, alias: Alias) -> dict[str, Any]:
    """Return an `AliasConfiguration`."""
    shares = {"RoutingConfig": {"AdditionalVersionWeights": dict(alias.weights)}}
    return (shares if alias.weights else {}) | {
        "AliasArn": f"{arn}:{name}",
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    }


def _state(config: FunctionConfig, versions: Versions, now: float) -> dict[str, str]:
    creating = {"StateReason": "The function is being created.", "StateReasonCode": "Creating"}
    if now < versions.pending_until(config.version):
        return {"State": "Pending", **creating}
    if now < versions.updates_until(config.version):
        return {
            "State": "Active",
            "LastUpdateStatus": "InProgress",
            **{f"LastUpdate{key.replace('State', 'Status')}": v for key, v in creating.items()},
        }
    return {"State": "Active", "LastUpdateStatus": "Successful"}


def _handler(config: FunctionConfig) -> str:
    if isinstance(config.handler, Source):
        return config.handler.handler
    name = getattr(config.handler, "__qualname__", type(config.handler).__qualname__)
    return f"{getattr(config.handler, '__module__', '')}.{name}"
