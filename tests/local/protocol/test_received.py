"""The recorded requests: as they were made, and only the latest."""

import json

import pytest

from asyncinvoke import (
    Invoker,
)
from asyncinvoke.local import (
    LocalLambda,
)
from tests.doubles.handlers import echo
from tests.doubles.sessions import SESSION

pytestmark = pytest.mark.anyio


@pytest.mark.usefixtures("functions")
async def test_requests_are_kept_as_they_were_asked(local: LocalLambda, invoker: Invoker) -> None:
    response = await invoker.invoke(
        "echo:$LATEST", {"key": "cat.jpg"}, log_type="Tail", client_context={"custom": {"a": "b"}}
    )
    await invoker.send_event("other", [1], tenant_id="blue")
    async with invoker.stream("words") as chunks:
        async for _ in chunks:
            pass
    first, second, third = local.requests
    assert first.request_id == response.request_id
    assert (first.function_name, first.qualifier) == ("echo", "$LATEST")
    assert (first.json(), first.log_type) == ({"key": "cat.jpg"}, "Tail")
    assert first.client_context is not None
    assert json.loads(first.client_context) == {"custom": {"a": "b"}}
    assert (second.invocation_type, second.tenant_id, second.json()) == ("Event", "blue", [1])
    assert (third.streams, third.payload, second.streams) == (True, b"", False)
    assert "cat.jpg" not in repr(first)


async def test_only_the_latest_requests_are_kept() -> None:
    async with LocalLambda(keep_requests=2) as local:
        local.function("echo", echo)
        async with Invoker(session=SESSION, endpoint_url=local.url) as invoker:
            for number in range(3):
                await invoker.invoke("echo", number)
    assert [each.json() for each in local.requests] == [1, 2]


def test_without_keeping_any_requests_are_refused_and_not_empty() -> None:
    with pytest.raises(RuntimeError, match="keep_requests"):
        _ = LocalLambda().requests
