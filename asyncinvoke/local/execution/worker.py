"""Starts and ends worker processes: AWS's runtime, with its environment variables and directories."""

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL

import anyio
from anyio.abc import Process

from asyncinvoke.local.execution import logs
from asyncinvoke.local.execution.guardian import Guardian, program
from asyncinvoke.local.execution.logs import LogListener
from asyncinvoke.local.functions.configuration import SET_BY_LAMBDA, FunctionConfig, Source
from asyncinvoke.local.http.access import LOOPBACK

STOP_GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all worker processes of one endpoint share."""

    guardian: Guardian
    """Ends them if the endpoint is killed."""
    endpoints: Mapping[str, str]
    """The variables by which SDKs find this endpoint and S3."""
    on_log: LogListener | None = None
    """Called with each log line."""
    sandbox: bool = False
    """Whether each has its own `/tmp` and read-only code."""
    freeze: bool = False
    """Whether they are suspended between invocations."""


PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR")
"""The environment variables inherited from this process; none holds credentials."""


async def start(
    config: FunctionConfig,
    source: Source,
    *,
    port: int,
    output: int,
    log_stream_name: str,
    endpoints: Mapping[str, str],
    tmp: Path | None,
) -> Process:
    """Start a process.

    Args:
        config: The function.
        source: The location of its handler.
        port: The port of its Runtime API.
        output: The file descriptor of stdout and stderr.
        log_stream_name: The log stream, which identifies the process and its descendants.
        endpoints: The variables by which SDKs find this endpoint and S3.
        tmp: The directory to mount as `/tmp`, with read-only code; None for no sandbox.
    """
    variables = _variables(config, source, port, log_stream_name, endpoints)
    command = [sys.executable, "-m", "awslambdaric", source.handler]
    if tmp is not None:
        command = [
            # Run as a program and never imported: it requires Linux.
            *(sys.executable, *program("confined")),
            *(source.handler, str(tmp), str(source.directory), *map(str, source.layers)),
        ]
        variables["TMPDIR"] = "/tmp"  # noqa: S108  # its own
    return await anyio.open_process(
        command,
        stdin=DEVNULL,
        stdout=output,
        stderr=output,
        cwd=source.directory,
        env=variables,
        # In its own process group: on Ctrl-C the endpoint ends its processes itself.
        start_new_session=True,
    )


async def end(process: Process) -> None:
    """End a process and its group: by SIGTERM, then SIGKILL."""
    signal_group(process, signal.SIGTERM)
    signal_group(process, signal.SIGCONT)  # a frozen process would not handle it otherwise
    with anyio.move_on_after(STOP_GRACE):
        await process.wait()
    signal_group(process, signal.SIGKILL)
    await process.wait()


def signal_group(process: Process, number: int) -> None:
    """Send a signal to a process group, which may have ended already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _variables(
    config: FunctionConfig,
    source: Source,
    port: int,
    log_stream_name: str,
    endpoints: Mapping[str, str],
) -> dict[str, str]:
    """Return the environment variables of a process; the later ones take precedence."""
    logging = config.deployment.as_requested.get("LoggingConfig", {})
    set_by_lambda = _set_by_lambda(config, source, port, log_stream_name, logging)
    assert set_by_lambda.keys() == SET_BY_LAMBDA  # noqa: S101  # which functions cannot set
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        **_path(source.layers),
        **_defaults(endpoints, logging),
        **config.environment,
        **_python_path(source.layers, config.environment.get("PYTHONPATH")),
        **set_by_lambda,
    }


def _defaults(endpoints: Mapping[str, str], logging: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a function may override."""
    # boto3 in a function must not find the credentials of the user who runs the endpoint.
    variables = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # Fake credentials, which only this endpoint accepts.
        "AWS_ACCESS_KEY_ID": "ASIALOCAL",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        **endpoints,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
    }
    if logging.get("LogFormat") == "JSON":
        variables["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        variables["AWS_LAMBDA_LOG_LEVEL"] = logging["ApplicationLogLevel"]
    return variables


def _set_by_lambda(
    config: FunctionConfig,
    source: Source,
    port: int,
    log_stream_name: str,
    logging: Mapping[str, str],
) -> dict[str, str]:
    return {
        "AWS_DEFAULT_REGION": config.region_name,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.memory_size),
        "AWS_LAMBDA_FUNCTION_NAME": config.name,
        "AWS_LAMBDA_FUNCTION_VERSION": config.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": logging.get("LogGroup", logs.group_name(config.name)),
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream_name,
        "AWS_LAMBDA_RUNTIME_API": f"{LOOPBACK}:{port}",
        "AWS_REGION": config.region_name,
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": str(source.directory),
        "_HANDLER": source.handler,
    }


def _path(layers: Sequence[Path]) -> dict[str, str]:
    """Return the path of programs, with those of layers; a function may replace it, as in AWS."""
    if not layers:
        return {}
    programs = [str(layer / "bin") for layer in reversed(layers)]
    return {"PATH": os.pathsep.join([os.environ.get("PATH", ""), *programs])}


def _python_path(layers: Sequence[Path], own: str | None) -> dict[str, str]:
    """Return the path of modules: those of layers, then the function's own, then this process's.

    AWS merges layers in /opt, where a file of a later one replaces that of an earlier one. The order of
    `sys.path` in functions there: the code, `lib/python3.x/site-packages` and `python` in /opt, the rest.
    """
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    kinds = (f"python/lib/{version}/site-packages", "python")
    paths = [str(layer / kind) for kind in kinds for layer in reversed(layers)]
    paths += filter(None, [own, os.environ.get("PYTHONPATH")])
    return {"PYTHONPATH": os.pathsep.join(paths)} if paths else {}
