"""`aws lambda invoke` against the local endpoint: what a shell script sees is what Lambda gives."""

import base64
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda

pytestmark = pytest.mark.anyio

REFUSED = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one `aws lambda invoke` ended."""

    status: int
    """The exit status."""
    answer: dict[str, Any]
    """The JSON on stdout; empty if there was none."""
    payload: bytes | None
    """What the output file holds; `None` if it was not written."""
    stderr: str
    """The error text."""


@pytest.fixture
async def local() -> AsyncIterator[LocalLambda]:
    """A local endpoint with a function that answers and one that fails."""
    async with LocalLambda() as local:
        local.function("echo", echo)
        local.function("fail", fail)
        yield local


class Aws:
    """The `aws` program, pointed at the local endpoint."""

    def __init__(self, program: Path, url: str, folder: Path) -> None:
        self._invoke = [str(program), "lambda", "invoke"]
        self._invoke += ["--endpoint-url", url, "--region", "us-east-1", "--output", "json"]
        self._file = folder / "payload.json"

    async def invoke(self, name: str, *options: str, env: Mapping[str, str] | None = None) -> Run:
        """Run `aws lambda invoke` for one function."""
        self._file.unlink(missing_ok=True)
        done = await anyio.run_process(
            [*self._invoke, "--function-name", name, *options, str(self._file)],
            check=False,
            env={**os.environ, **(env or {})},
        )
        return Run(
            status=done.returncode,
            answer=json.loads(done.stdout or b"{}"),
            payload=self._file.read_bytes() if self._file.exists() else None,
            stderr=done.stderr.decode(),
        )


@pytest.fixture
def aws(aws_command: Path, local: LocalLambda, tmp_path: Path) -> Aws:
    """The `aws` program, pointed at the local endpoint."""
    return Aws(aws_command, local.url, tmp_path)


async def test_the_payload_is_written_to_the_file(aws: Aws) -> None:
    run = await aws.invoke("echo", "--payload", '{"name": "Zoë"}')

    assert run.status == 0
    assert run.answer == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert run.payload is not None
    assert json.loads(run.payload) == {"name": "Zoë"}


async def test_a_function_error_is_in_the_answer_and_the_exit_status_is_0(aws: Aws) -> None:
    run = await aws.invoke("fail", "--payload", "7")

    assert run.status == 0
    assert run.answer == {
        "StatusCode": 200,
        "FunctionError": "Unhandled",
        "ExecutedVersion": "$LATEST",
    }
    assert run.payload is not None
    body = json.loads(run.payload)
    assert body["errorType"] == "ValueError"
    assert body["errorMessage"] == "cannot use 7"


async def test_the_log_tail_is_in_the_answer(aws: Aws) -> None:
    run = await aws.invoke("echo", "--payload", "1", "--log-type", "Tail")

    log = base64.b64decode(run.answer["LogResult"]).decode()
    assert log.startswith("START RequestId: ")
    assert "\nREPORT RequestId: " in log


async def test_an_event_and_a_dry_run_have_a_status_and_no_payload(aws: Aws) -> None:
    event = await aws.invoke("echo", "--invocation-type", "Event")
    dry_run = await aws.invoke("echo", "--invocation-type", "DryRun")

    assert (event.status, event.answer, event.payload) == (0, {"StatusCode": 202}, b"")
    assert (dry_run.status, dry_run.answer, dry_run.payload) == (0, {"StatusCode": 204}, b"")


async def test_an_unknown_function_is_an_error(aws: Aws) -> None:
    run = await aws.invoke("nobody")

    assert run.status == REFUSED
    assert run.answer == {}
    assert "(ResourceNotFoundException)" in run.stderr
    assert "Function not found: arn:aws:lambda:us-east-1:" in run.stderr
    assert "function:nobody:$LATEST" in run.stderr


async def test_each_retry_of_a_throttle_is_counted(aws: Aws, local: LocalLambda) -> None:
    local.function("closed", echo, reserved_concurrency=0)

    run = await aws.invoke("closed", env={"AWS_MAX_ATTEMPTS": "3"})

    assert run.status == REFUSED
    assert "(TooManyRequestsException)" in run.stderr
    assert local.statistics().functions["closed"].invocations == 3
    assert dict(local.statistics().throttles) == {
        "ReservedFunctionConcurrentInvocationLimitExceeded": 3
    }


async def echo(event: Any, context: Any) -> Any:
    """Answer with the event."""
    return event


async def fail(event: Any, context: Any) -> None:
    """Fail as a function of a user fails."""
    raise ValueError(f"cannot use {event}")
