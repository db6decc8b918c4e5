"""Every recorded answer of the operations that set functions up, over a raw socket."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from anyio import to_thread

from asyncinvoke.local import LocalLambda

from .raw import exchange, request
from .recorded_parts import PARTS
from .recorded_refusals import ZIP_OF_FUNCTIONS
from .recorded_set_up import FUNCTIONS, SET_UP, SetUpVector
from .set_up import Target, differences

pytestmark = pytest.mark.anyio
ROLE = "arn:aws:iam::123456789012:role/any"
VALUES = {
    "F": "f",
    "ARN": "arn:aws:lambda:us-east-1:123456789012:function:f",
    "CATS": "cats",
    "LAYER": "arn:aws:lambda:us-east-1:123456789012:layer:cats",
    "REGION": "us-east-1",
    "ACCOUNT": "123456789012",
    "ROLE": ROLE,
    "ZIP": ZIP_OF_FUNCTIONS,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def place(url: str) -> Target:
    def send(method: str, path: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        (answer,) = exchange(url, request(method, path, body))
        return answer.status, {k.lower(): v for k, v in answer.headers}, answer.body

    return Target(send, VALUES)


def furnish(at: Target) -> None:
    members = {"FunctionName": "<F>", "Runtime": "python3.13", "Role": "<ROLE>"}
    code = {"Handler": "functions.echo", "Code": {"ZipFile": "<ZIP>"}}
    assert at.ask(("POST", FUNCTIONS, {**members, **code}))[0] == 201


@pytest.mark.parametrize(
    "vector", [pytest.param(v, id=f"{v.operation}: {v.name}") for v in [*SET_UP, *PARTS]]
)
async def test_the_endpoint_answers_as_recorded(vector: SetUpVector) -> None:
    # Created functions stay pending during the test, if that is tested.
    async with LocalLambda(settling_time=600 if "State" in vector.says else 0) as local:
        at = place(local.url)
        await to_thread.run_sync(furnish, at)
        assert await to_thread.run_sync(partial(differences, vector, at)) == []


async def test_lists_omit_states_and_functions_have_them(settled: Any) -> None:
    for path, member in ((FUNCTIONS, "Functions"), (f"{FUNCTIONS}/<F>/versions", "Versions")):
        _, _, message = await to_thread.run_sync(settled.ask, ("GET", path, None))
        (listed,) = message[member]
        assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & listed.keys()
    _, _, message = await to_thread.run_sync(settled.ask, ("GET", f"{FUNCTIONS}/<F>", None))
    assert message["Configuration"]["State"] == "Active"
    assert json.dumps(message["Configuration"]["RuntimeVersionConfig"]).count("::runtime:") == 1


@pytest.fixture
async def settled() -> Any:
    async with LocalLambda(settling_time=0) as local:
        at = place(local.url)
        await to_thread.run_sync(furnish, at)
        yield at
