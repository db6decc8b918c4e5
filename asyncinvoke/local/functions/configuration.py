"""A registered function: its configuration, and the validation of what users register."""

import dataclasses
import importlib.util
import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from asyncinvoke.local.functions.event_config import EventConfig
from asyncinvoke.local.numbers import number
from asyncinvoke.local.protocol.names import LATEST

RUNTIME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
"""The runtime reported for handlers registered from Python: that of this process."""

SET_BY_LAMBDA = frozenset(
    {
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_HANDLER",
    }
)
"""Environment variables of worker processes that a function cannot set."""

EMPTY_SHA256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
"""The hash of an empty package."""


def _timestamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """How a function was deployed, as management operations report it."""

    role: str
    """The ARN of its role."""
    runtime: str = RUNTIME
    """The requested runtime."""
    description: str = ""
    """Its description."""
    code_size: int = 0
    """The size of its package, in bytes."""
    code_sha256: str = EMPTY_SHA256
    """The hash of its package, in base64."""
    as_requested: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    """Settings that are returned as requested, by AWS's names, such as `Architectures`."""
    last_modified: str = field(default_factory=_timestamp, compare=False)
    """The time of the last change."""
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()), compare=False)
    """The revision until the last change is complete; new with each change."""
    settled_revision_id: str = field(default_factory=lambda: str(uuid.uuid4()), compare=False)
    """The revision after that."""

    def renewed(self) -> "Deployment":
        """Return a copy with new revisions."""
        return dataclasses.replace(
            self, revision_id=str(uuid.uuid4()), settled_revision_id=str(uuid.uuid4())
        )


Handler = Callable[[Any, Any], Any]
"""`handler(event, context)`, sync or async."""

MAX_TIMEOUT = 900
"""The maximum timeout of a function, in seconds (AWS's quota)."""

MEMORY_RANGE = range(128, 10_241)
"""The allowed memory of a function, in MB (AWS's quota)."""

_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The location of a handler for worker processes."""

    directory: Path
    """The directory that the module is imported from, and the working directory."""
    handler: str
    """`module.function`, as AWS's runtime expects it."""
    file: Path | None
    """The module's file; None if it is not in that directory."""
    layers: tuple[Path, ...] = ()
    """The directories of its layers, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionConfig:
    """The validated configuration of one version of a function."""

    name: str
    """The bare function name."""
    arn: str
    """The unqualified ARN."""
    region_name: str
    """The region that the endpoint reports."""
    version: str
    """`$LATEST`, or the number of a published version."""
    handler: Handler | Source
    """A callable in this process, or the source for worker processes."""
    timeout: float
    """The time limit of one execution, in seconds."""
    memory_size: int
    """Memory in MB."""
    environment: Mapping[str, str]
    """Environment variables of worker processes."""
    events: EventConfig
    """The retries and destinations of its Events."""
    deployment: Deployment
    """What management operations report about it."""


def check(
    *,
    name: str,
    handler: Handler | str | Source,
    region_name: str,
    account_id: str,
    timeout: float = 3,
    memory_size: int = 128,
    environment: Mapping[str, str] | None = None,
    events: EventConfig | None = None,
    directory: str | Path | None = None,
    deployment: Deployment | None = None,
) -> FunctionConfig:
    """Validate a function and return its configuration; the defaults are AWS's.

    Raises:
        ValueError: A value is invalid; the message names it and the rule.
        ModuleNotFoundError: The handler needs AWS's runtime, which is not installed.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValueError(f"function name {name!r} must be 1 to 64 letters, digits, hyphens or _")
    rule = f"above 0 and at most {MAX_TIMEOUT} seconds"
    number("timeout", timeout, lambda seconds: 0 < seconds <= MAX_TIMEOUT, rule)
    number("memory_size", memory_size, _is_memory, "128 to 10240 MB")
    _check_environment(environment or {})
    if isinstance(handler, str):
        handler = _source(handler, Path(directory) if directory else Path.cwd())
    if not isinstance(handler, Source) and not callable(handler):
        raise ValueError(  # noqa: TRY004  # as for any invalid value
            f"handler {handler!r} of {name!r} must be a callable or a string"
        )
    if isinstance(handler, Source):
        _check_runtime(handler.handler)
    return FunctionConfig(
        name=name,
        arn=f"arn:aws:lambda:{region_name}:{account_id}:function:{name}",
        region_name=region_name,
        version=LATEST,
        handler=handler,
        timeout=timeout,
        memory_size=memory_size,
        environment=dict(environment or {}),
        events=events or EventConfig(),
        deployment=deployment or Deployment(role=f"arn:aws:iam::{account_id}:role/{name}"),
    )


def _is_memory(size: float) -> bool:
    return isinstance(size, int) and size in MEMORY_RANGE


def _check_environment(environment: Mapping[str, str]) -> None:
    for key, value in environment.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise ValueError(f"environment variable {key!r} and its value must be text")  # noqa: TRY004
        if not key or "=" in key or "\0" in key + value:
            raise ValueError(f"environment variable {key!r} must have a name, and no NUL or =")
        if key in SET_BY_LAMBDA:
            raise ValueError(f"environment variable {key} is set by Lambda itself")


def _check_runtime(handler: str) -> None:
    if importlib.util.find_spec("awslambdaric") is None:
        raise ModuleNotFoundError(
            f"handler {handler!r} runs in AWS's runtime, which is not installed: "
            "pip install 'asyncinvoke[local]'"
        )


def _source(text: str, directory: Path) -> Source:
    """Locate a handler written `module:function` or `path/to/file.py:function`."""
    module, separator, function = text.rpartition(":")
    if not (separator and module and function.isidentifier()):
        raise ValueError(
            f"handler {text!r} must be 'module:function' or 'path/to/file.py:function'"
        )
    if not directory.is_dir():
        raise ValueError(f"directory {str(directory)!r} of handler {text!r} does not exist")
    if module.endswith(".py"):
        path = directory / module
        if not path.is_file():
            raise ValueError(f"file {module!r} of handler {text!r} does not exist")
        directory, module = path.parent, path.stem
        if "." in module:
            raise ValueError(f"file name {path.name!r} of handler {text!r} must hold one dot only")
    directory = directory.resolve()
    path = directory.joinpath(*module.split("."))
    files = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return Source(
        directory=directory,
        handler=f"{module}.{function}",
        file=next((file for file in files if file.is_file()), None),
    )
