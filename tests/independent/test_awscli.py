"""`aws lambda invoke` retries throttles, and the endpoint counts each attempt."""

from pathlib import Path
from typing import Any

import pytest

from asyncinvoke.local import LocalLambda

from . import clients
from .matrix import Case

pytestmark = pytest.mark.anyio


async def test_each_retry_of_a_throttle_is_counted(aws_command: Path, tmp_path: Path) -> None:
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    case = Case(
        name="a throttle",
        arguments={"FunctionName": "closed"},
        reading={"code": "TooManyRequestsException", "message": "Rate Exceeded."},
    )
    async with LocalLambda() as local:
        local.function("closed", echo, reserved_concurrency=0)

        reading = await clients.Awscli(aws_command, tmp_path, attempts=3).read(local.url, case)

        assert reading == case.reading
        assert local.statistics().functions["closed"].invocations == 3
        assert dict(local.statistics().throttles) == {reason: 3}


async def echo(event: Any, context: Any) -> Any:
    """Answer with the event."""
    return event
