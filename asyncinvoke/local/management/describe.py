"""What the service tells about a function: pure, from its configuration to JSON's values."""

from typing import Any

from asyncinvoke.local.functions.configuration import FunctionConfig, Source
from asyncinvoke.local.functions.versions import Alias, Versions

# As AWS gives them for a function that says nothing about it.
_FIXED: dict[str, Any] = {
    "VpcConfig": {
        "SubnetIds": [],
        "SecurityGroupIds": [],
        "VpcId": "",
        "Ipv6AllowedForDualStack": False,
    },
    "TracingConfig": {"Mode": "PassThrough"},
    "PackageType": "Zip",
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
    "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
}


def configuration(
    config: FunctionConfig, versions: Versions, *, now: float, qualified: bool = False
) -> dict[str, Any]:
    """Return a `FunctionConfiguration`.

    Args:
        config: The version.
        versions: Its function.
        now: Seconds of the monotonic clock.
        qualified: Whether the ARN names the version.
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
        "RevisionId": deployed.revision_id,
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{config.name}"},
        **_FIXED,
    }
    if config.environment:
        described["Environment"] = {"Variables": dict(config.environment)}
    return described | _state(config, versions, now)


def alias(arn: str, name: str, alias: Alias) -> dict[str, Any]:
    """Return an `AliasConfiguration`."""
    return {
        "AliasArn": f"{arn}:{name}",
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    }


def _state(config: FunctionConfig, versions: Versions, now: float) -> dict[str, str]:
    creating = {"StateReason": "The function is being created.", "StateReasonCode": "Creating"}
    if now < versions.pending_until:
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
