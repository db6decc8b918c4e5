"""The settings of a function: validation of requested values, and merging with the current ones."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncinvoke.local.functions.configuration import (
    MAX_TIMEOUT,
    MEMORY_RANGE,
    RUNTIME,
    FunctionConfig,
)
from asyncinvoke.local.management import returned
from asyncinvoke.local.management.request import Members
from asyncinvoke.local.protocol import names, refusals

SUPPORTED = ("python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14")
"""The accepted runtimes; all run in the Python version of this process."""

WITHOUT_SNAP_START = SUPPORTED[:3]
"""The runtimes without SnapStart (AWS's documentation: it requires 3.12)."""

RETIRED = ("python2.7", "python3.6", "python3.7", "python3.8")
"""The runtimes that the service no longer accepts."""

# GUESS: not recorded from AWS (docs/fidelity.md)
RECOMMENDED = "python3.13"  # in place of a runtime that is no longer supported

_OTHER_LANGUAGES = re.compile(r"(nodejs|java|dotnet|ruby|provided|go1\.x).*")


def check_runtime(runtime: str) -> None:
    """Check a runtime.

    Raises:
        Refusal: The service does not accept it, or it cannot run here.
    """
    if runtime in RETIRED:
        raise refusals.invalid(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating "
            f"AWS Lambda functions. We recommend you use a supported runtime ({RECOMMENDED}) while "
            "creating or updating functions."
        )
    if _OTHER_LANGUAGES.fullmatch(runtime):
        raise refusals.invalid(f"Runtime {runtime}: this endpoint runs Python.")
    if runtime not in SUPPORTED:
        known = ", ".join([*RETIRED, *SUPPORTED])
        raise refusals.invalid(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum "
            f"value set: [{known}] or be a valid ARN"
        )


def check_snap_start(runtime: str) -> None:
    """Check that a runtime supports SnapStart.

    Raises:
        Refusal: It does not.
    """
    if runtime in WITHOUT_SNAP_START:
        raise refusals.invalid(f"{runtime} is not supported for SnapStart enabled functions.")


ROLE_PATTERN = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
_ROLE = re.compile(ROLE_PATTERN)
_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
ENVIRONMENT_LIMIT = 4_096
"""The maximum size of the environment, in bytes of JSON (AWS's quota of 4 KB)."""

RESERVED_VARIABLES = frozenset(
    [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    ]
)
"""The variables that a function cannot set (AWS's documentation)."""

_NOT_CONFIGURED = (
    "Lambda was unable to configure your environment variables because the environment variables "
    "you have provided "
)

REFUSED = (
    "CapacityProviderConfig",
    "CodeSigningConfigArn",
    "DurableConfig",
    "TenancyConfig",
)
"""Fields that would change how a function runs, or whether its code is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a function, with AWS's defaults."""

    runtime: str = RUNTIME
    """The requested runtime; all run in the Python version of this process."""
    role: str = ""
    """The ARN of the role."""
    description: str = ""
    """The description."""
    timeout: float = 3
    """The timeout in seconds."""
    memory_size: int = 128
    """Memory in MB."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables."""
    as_requested: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Settings that are returned as requested."""

    @classmethod
    def of(cls, config: FunctionConfig) -> "Settings":
        """Return the current settings of a function."""
        return cls(
            runtime=config.deployment.runtime,
            role=config.deployment.role,
            description=config.deployment.description,
            timeout=config.timeout,
            memory_size=config.memory_size,
            environment=dict(config.environment),
            as_requested=config.deployment.as_requested,
        )

    def changed(self, requested: Members, *, name: str) -> "Settings":
        """Return the settings with the changes of a request.

        Args:
            requested: The members of the request.
            name: The name of the function.

        Raises:
            Refusal: A value is out of range, or not supported.
        """
        for member in REFUSED:
            if requested.any(member):
                raise refusals.invalid(f"{member}: this endpoint has nothing that does it.")
        timeout, memory_size = requested.integer("Timeout"), requested.integer("MemorySize")
        role = requested.text("Role")
        violations = []
        if role is not None and _ROLE.fullmatch(role) is None:
            violations += names.broken(role, "role", ROLE_PATTERN)
        if timeout is not None:
            violations += names.out_of_range(timeout, "timeout", 1, MAX_TIMEOUT)
        if memory_size is not None:
            least, most = MEMORY_RANGE[0], MEMORY_RANGE[-1]
            violations += names.out_of_range(memory_size, "memorySize", least, most)
        as_requested, more = returned.merge(requested, self.as_requested, name)
        if violations or more:
            raise refusals.violated([*violations, *more])
        runtime = requested.text("Runtime")
        if runtime is not None:
            check_runtime(runtime)
        runtime = _or(runtime, self.runtime)
        if as_requested.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions":
            check_snap_start(runtime)
        return Settings(
            runtime=runtime,
            role=_or(role, self.role),
            description=_or(requested.text("Description"), self.description),
            timeout=self.timeout if timeout is None else timeout,
            memory_size=self.memory_size if memory_size is None else memory_size,
            environment=_environment(requested, self.environment),
            as_requested=as_requested,
        )


def _or(requested: str | None, current: str) -> str:
    return current if requested is None else requested


def _environment(requested: Members, current: Mapping[str, str]) -> Mapping[str, str]:
    variables = requested.members("Environment").texts("Variables")
    if variables is None:
        return current
    for name, value in variables.items():
        if _VARIABLE.fullmatch(name) is None:
            raise refusals.invalid(
                f"Environment variable {name}: a name is a letter and then one or more letters, "
                "digits or _."
            )
        if "\0" in value:
            raise refusals.invalid(
                f"Environment variable {name}: it must not hold the character NUL."
            )
    reserved = sorted(RESERVED_VARIABLES & variables.keys())
    if reserved:
        raise refusals.invalid(
            f"{_NOT_CONFIGURED}contains reserved keys that are currently not supported for "
            f"modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > ENVIRONMENT_LIMIT:
        raise refusals.invalid(
            f"{_NOT_CONFIGURED}exceeded the 4KB limit. String measured: {measured}"
        )
    return variables
