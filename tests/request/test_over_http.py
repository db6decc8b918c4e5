"""What requests of a map come to at an endpoint."""

import pytest

from asyncinvoke import Invoker, Request
from asyncinvoke.local import LocalLambda


@pytest.mark.anyio
async def test_the_version_that_runs_is_the_maps(anyio_backend: str) -> None:
    async with LocalLambda() as local, Invoker(endpoint_url=local.url) as invoker:
        local.function("tell", lambda event, context: context.invoked_function_arn)
        items = [Request(), Request(function_name="tell"), Request(qualifier="$LATEST")]
        async with invoker.map("tell", items, qualifier="$LATEST", ordered=True) as run:
            arns = [outcome.unwrap().json() async for outcome in run]
    assert [arn.rpartition(":")[2] for arn in arns] == ["$LATEST"] * 3
