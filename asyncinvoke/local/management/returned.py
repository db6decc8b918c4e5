"""Settings that are returned as requested, and the constraints of the service on them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from asyncinvoke.local.management.request import Members
from asyncinvoke.local.protocol import names

# Returned as requested.
_AS_REQUESTED = ("DeadLetterConfig", "FileSystemConfigs", "KMSKeyArn", "VpcConfig")


def merge(
    requested: Members, current: Mapping[str, Any], name: str
) -> tuple[dict[str, Any], list[str]]:
    """Return the current settings with the requested ones, and the constraints that these violate.

    Args:
        requested: The members of the request.
        current: The current settings.
        name: The name of the function.
    """
    returned, violations = dict(current), []
    for member in _AS_REQUESTED:
        value = requested.any(member)
        if value is not None:
            returned[member] = value
    if requested.any("Environment") is not None:
        returned["Environment"] = {"Variables": {}}  # `describe` adds the variables in use
    # An empty value removes these.
    for member, first in (("DeadLetterConfig", "TargetArn"), ("VpcConfig", "SubnetIds")):
        if not returned.get(member, {}).get(first):
            returned.pop(member, None)
    for member, read in _CHECKED.items():
        found = read(requested)
        if found is not None:
            returned[member], more = found
            violations += more
    logging = requested.members("LoggingConfig")
    if logging:
        returned["LoggingConfig"] = _logging(logging, name)
        log_format = returned["LoggingConfig"]["LogFormat"]
        violations += names.not_one_of(log_format, "loggingConfig.logFormat", ("JSON", "Text"))
    return returned, violations


_Checked: TypeAlias = tuple[Any, list[str]] | None
"""A setting as it is returned, and the constraints it violates; None if it is not requested."""


def _architectures(requested: Members) -> _Checked:
    value = requested.any("Architectures")
    if value is None:
        return None
    if value in (["x86_64"], ["arm64"]):
        return value, []
    shown = ", ".join(map(str, value)) if isinstance(value, list) else "?"
    return value, names.not_one_of(f"[{shown}]", "architectures", ("x86_64", "arm64"))


def _ephemeral_storage(requested: Members) -> _Checked:
    size = requested.members("EphemeralStorage").integer("Size")
    if size is None:
        return None
    return {"Size": size}, names.out_of_range(size, "ephemeralStorage.size", 512, 10_240)


def _tracing(requested: Members) -> _Checked:
    mode = requested.members("TracingConfig").text("Mode")
    if mode is None:
        return None
    return {"Mode": mode}, names.not_one_of(mode, "tracingConfig.mode", ("Active", "PassThrough"))


def _snap_start(requested: Members) -> _Checked:
    apply_on = requested.members("SnapStart").text("ApplyOn")
    if apply_on is None:
        return None
    violations = names.not_one_of(apply_on, "snapStart.applyOn", ("PublishedVersions", "None"))
    return {"ApplyOn": apply_on, "OptimizationStatus": "Off"}, violations


_CHECKED: Mapping[str, Callable[[Members], _Checked]] = {
    "Architectures": _architectures,
    "EphemeralStorage": _ephemeral_storage,
    "TracingConfig": _tracing,
    "SnapStart": _snap_start,
}

WITHOUT_EFFECT = frozenset({"Role", "Runtime", *_AS_REQUESTED, *_CHECKED})
"""Fields that are returned as requested but do not change how a function runs."""


def _logging(requested: Members, name: str) -> dict[str, str]:
    log_format = requested.text("LogFormat") or "Text"
    config = {
        "LogFormat": log_format,
        "LogGroup": requested.text("LogGroup") or f"/aws/lambda/{name}",
    }
    if log_format == "JSON":
        config["ApplicationLogLevel"] = requested.text("ApplicationLogLevel") or "INFO"
        config["SystemLogLevel"] = requested.text("SystemLogLevel") or "INFO"
    return config
