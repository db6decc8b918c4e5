"""Starts and ends a worker process: AWS's runtime with its variables, directories and surroundings."""

import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL

import anyio
from anyio.abc import Process

from asyncinvoke.local.execution import logs
from asyncinvoke.local.execution.guardian import Guardian
from asyncinvoke.local.execution.logs import LogListener
from asyncinvoke.local.functions.configuration import SET_BY_LAMBDA, FunctionConfig, Source
from asyncinvoke.local.http.access import LOOPBACK

STOP_GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all worker processes of one endpoint have around them."""

    guardian: Guardian
    """Knows of them, should the endpoint be killed."""
    endpoints: Mapping[str, str]
    """Where they find this endpoint, and S3: variables that SDKs read."""
    on_log: LogListener | None = None
    """Called with each line of their logs."""
    sandbox: bool = False
    """Whether each has a `/tmp` of its own and code that it cannot write to."""
    freeze: bool = False
    """Whether nothing of them runs between two invocations."""


# Started and never imported: it is for Linux alone.
_CONFINED = str(Path(__file__).with_name("confined.py"))

PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR")
"""What worker processes get of this process's environment: nothing that holds a credential."""


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
        source: Where its handler is.
        port: Where its Runtime API listens.
        output: The file descriptor that it writes to.
        log_stream_name: By which all that it starts can be known.
        endpoints: Where it finds this endpoint, and S3: variables that SDKs read.
        tmp: What it is to see as `/tmp`, with its code read-only; None for no sandbox.
    """
    variables = _variables(config, source, port, log_stream_name, endpoints)
    command = [sys.executable, "-m", "awslambdaric", source.handler]
    if tmp is not None:
        command = [
            *(sys.executable, _CONFINED),
            *(source.handler, str(source.directory), str(tmp)),
        ]
        variables["TMPDIR"] = "/tmp"  # noqa: S108  # this one is its own
    return await anyio.open_process(
        command,
        stdin=DEVNULL,
        stdout=output,
        stderr=output,
        cwd=source.directory,
        env=variables,
        # A group of its own: Ctrl-C in a terminal ends the endpoint, which ends its processes.
        start_new_session=True,
    )


async def end(process: Process) -> None:
    """End a process and its group: ask it first, then kill it."""
    signal_group(process, signal.SIGTERM)
    signal_group(process, signal.SIGCONT)  # or a frozen one would not hear it
    with anyio.move_on_after(STOP_GRACE):
        await process.wait()
    signal_group(process, signal.SIGKILL)
    await process.wait()


def signal_group(process: Process, number: int) -> None:
    """Send a signal to a process and what is in its group; it may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _variables(
    config: FunctionConfig,
    source: Source,
    port: int,
    log_stream_name: str,
    endpoints: Mapping[str, str],
) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # A boto3 in the function must not find the credentials of whoever runs the endpoint.
    by_default = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # Made up: they do for this endpoint, and for nothing else.
        "AWS_ACCESS_KEY_ID": "ASIALOCAL",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        **endpoints,
        # A function may say something else.
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
    }
    logging = config.deployment.asked.get("LoggingConfig", {})
    if logging.get("LogFormat") == "JSON":
        by_default |= {
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": logging["ApplicationLogLevel"],
        }
    of_the_service = {
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
    if source.layers:
        # As AWS has them below /opt: before what else is installed, behind the function's own code.
        python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        kinds = ("python", f"python/lib/{python}/site-packages")
        paths = [str(layer / kind) for layer in source.layers for kind in kinds]
        passed_on["PYTHONPATH"] = os.pathsep.join(
            filter(None, [*paths, passed_on.get("PYTHONPATH")])
        )
        programs = [str(layer / "bin") for layer in source.layers]
        passed_on["PATH"] = os.pathsep.join([passed_on.get("PATH", ""), *programs])
    assert of_the_service.keys() == SET_BY_LAMBDA  # noqa: S101  # what nobody else may set
    return passed_on | by_default | dict(config.environment) | of_the_service
