"""The same calls have the same results on MiniStack, an independent server, and on the endpoint.

`script.py` has the calls, and `differences.py` the known differences, with recordings of AWS.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

import asyncinvoke
from asyncinvoke import FixedLimit, RetryPolicy
from asyncinvoke.local import LocalLambda

from . import deployed, differences, emulator, script
from .script import Facts, Site

pytestmark = pytest.mark.anyio


Sites = dict[str, tuple[str, asyncinvoke.Invoker]]
"""The two servers by name: each one's URL and an invoker for it."""


@pytest.fixture(scope="module")
def ministack(ministack_command: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a MiniStack that has the functions."""
    settings = {"LAMBDA_ACCOUNT_CONCURRENCY": str(script.ACCOUNT_CONCURRENCY)}
    with emulator.running(ministack_command, tmp_path_factory.mktemp("ministack"), settings) as url:
        deployed.deploy(url)
        yield url


@pytest.fixture(scope="module")
async def sites(ministack: str) -> AsyncIterator[Sites]:
    """Both servers, with functions created by the same code."""
    open_invoker = partial(
        asyncinvoke.Invoker,
        region_name=deployed.REGION,
        retry=RetryPolicy.never(),
        limit=FixedLimit(50),
    )
    async with (
        LocalLambda(
            account_concurrency=script.ACCOUNT_CONCURRENCY, account_id=deployed.ACCOUNT
        ) as local,
        open_invoker(endpoint_url=ministack) as there,
        open_invoker(endpoint_url=local.url) as here,
    ):
        await anyio.to_thread.run_sync(deployed.deploy, local.url)
        yield {"ministack": (ministack, there), "local": (local.url, here)}


@pytest.mark.parametrize("name", script.CALLS)
async def test_a_call_has_the_same_result_on_both(sites: Sites, tmp_path: Path, name: str) -> None:
    told: dict[str, Facts] = {}

    async def run(server: str) -> None:
        url, invoker = sites[server]
        folder = tmp_path / server
        folder.mkdir()
        told[server] = await script.CALLS[name](Site(url=url, invoker=invoker, folder=folder))

    async with anyio.create_task_group() as tasks:
        for server in sites:
            tasks.start_soon(run, server)

    there, here = told["ministack"], told["local"]
    differ = {
        fact: (there.get(fact), here.get(fact))
        for fact in {**there, **here}
        if there.get(fact) != here.get(fact)
    }
    assert differ == {
        fact: (difference.ministack, difference.local)
        for (call, fact), difference in differences.KNOWN.items()
        if call == name
    }


async def test_a_success_and_a_failure_read_as_boto3_reads_them(sites: Sites) -> None:
    url, invoker = sites["ministack"]
    payload = {"name": "Zoë", "numbers": [1, 2.5, None]}

    response = await invoker.invoke("echo", payload)
    with pytest.raises(asyncinvoke.FunctionError) as caught:
        await invoker.invoke("fail", 7)
    with deployed.client_of(url) as sdk:
        success = sdk.invoke(FunctionName="echo", Payload=json.dumps(payload))
        failure = sdk.invoke(FunctionName="fail", Payload="7")
        with contextlib.closing(success["Payload"]) as body:
            assert response.payload == body.read()
        with contextlib.closing(failure["Payload"]) as body:
            assert caught.value.response.payload == body.read()

    assert response.status_code == success["StatusCode"]
    assert response.executed_version == success["ExecutedVersion"]
    assert caught.value.function_error == failure["FunctionError"]


def test_every_known_difference_is_of_a_call_of_the_script() -> None:
    assert {call for call, _ in differences.KNOWN} <= set(script.CALLS)
    assert all(difference.reason for difference in differences.KNOWN.values())
