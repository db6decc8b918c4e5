"""A client with a changed service model sends what aiobotocore would send, or falls back to it."""

import base64
import copy
import datetime as dt
import zlib
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from botocore.auth import _host_from_url

from asyncinvoke._model.delivery import Progress
from asyncinvoke._request.parameters import InvokeParameters, checked
from asyncinvoke._transport.direct import DirectTransport
from asyncinvoke._transport.sdk_request import INVOKE
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.transport.test_same_bytes import (
    PER_CALL,
    Recorder,
    check_head,
    frozen,
    httpx_on_trio,
    open_client,
    reference,
)

MOMENT = dt.datetime(2026, 5, 17)
PLAIN = {"region_name": "eu-west-1", "endpoint_url": "http://proxy.example"}
TLS = {"region_name": "eu-west-1", "endpoint_url": "https://proxy.example"}


def with_checksum(operation: Any, members: Any) -> None:
    operation["httpChecksum"] = {"requestChecksumRequired": True}


def with_compression(operation: Any, members: Any) -> None:
    operation["requestcompression"] = {"encodings": ["gzip"]}


def with_name_in_host(operation: Any, members: Any) -> None:
    operation["endpoint"] = {"hostPrefix": "{FunctionName}."}
    members["FunctionName"]["hostLabel"] = True


def with_name_in_header(operation: Any, members: Any) -> None:
    operation["http"]["requestUri"] = "/invoke"
    members["FunctionName"].update(location="header", locationName="X-Function")


def with_name_in_query(operation: Any, members: Any) -> None:
    operation["http"]["requestUri"] = "/invoke"
    members["FunctionName"].update(location="querystring", locationName="Function")


def with_name_after_its_like(operation: Any, members: Any) -> None:
    operation["http"]["requestUri"] = "/function-{FunctionName}-qualifier"


def with_unsigned_payload(operation: Any, members: Any) -> None:
    operation["authtype"] = "v4-unsigned-body"


def without_signature(operation: Any, members: Any) -> None:
    operation["authtype"] = "none"


CHANGES = [
    with_checksum,
    with_compression,
    with_name_in_host,
    with_name_in_header,
    with_name_in_query,
    with_name_after_its_like,
    with_unsigned_payload,
    without_signature,
]


def change(client: Any, by: Callable[[Any, Any], None]) -> None:
    """Change the service model of one client, and of no other."""
    model = client._service_model
    description = model._service_description = copy.deepcopy(model._service_description)
    model._shape_resolver._shape_map = description["shapes"]
    model._instance_cache.clear()
    operation = description["operations"][INVOKE]
    by(operation, description["shapes"][operation["input"]["shape"]]["members"])


class ByReference:
    """The reference transport, which sends what aiobotocore sends."""

    async def send(self, *_: Any) -> Any:
        return None


@pytest.mark.parametrize("place", [PLAIN, TLS], ids=["plain", "TLS"])
@pytest.mark.parametrize("by", CHANGES)
def test_a_changed_model_changes_the_request_or_is_left_to_aiobotocore(
    by: Callable[[Any, Any], None], place: dict[str, Any]
) -> None:
    async def compare() -> None:
        async with open_client(place) as client:
            change(client, by)
            transport = DirectTransport(client)
            transport._reference = ByReference()  # type: ignore[assignment]
            for name in ("a", "b", "c", "function-b"):
                for payload in (b"", b"1", b"2" * 20_000):
                    await same(client, transport, checked(name), payload)

    anyio.run(compare)


async def same(
    client: Any, transport: DirectTransport, parameters: InvokeParameters, payload: bytes
) -> None:
    recorder = Recorder()
    transport._wires = recorder  # type: ignore[assignment]
    with frozen(MOMENT):
        expected = await reference(client, INVOKE, parameters, payload)
        answer: Any = await transport.send(parameters, payload, Progress())
    if not recorder.url:
        assert answer is None  # it was sent by aiobotocore
        return
    recorder.headers.pop(PER_CALL)
    expected[2].pop(PER_CALL)
    assert (recorder.method, recorder.url) == expected[:2]
    assert recorder.headers == expected[2]
    assert recorder.payload == (expected[3] or b"")
    check_head(recorder, expected[2], _host_from_url(recorder.url))


@pytest.mark.anyio
async def test_a_request_with_a_checksum_is_sent_with_that_of_its_own_payload() -> None:
    payloads = [b"1", b"22"]
    async with FaultEndpoint() as endpoint:
        place = {"region_name": "eu-west-1", "endpoint_url": endpoint.url}
        async with open_client(httpx_on_trio(place)) as client:
            change(client, with_checksum)
            transport = DirectTransport(client)
            for payload in payloads:
                await transport.send(checked("f"), payload, Progress())
            await transport.aclose()
        sums = [request.headers["x-amz-checksum-crc32"] for request in endpoint.requests("f")]
    assert [int.from_bytes(base64.b64decode(each), "big") for each in sums] == [
        zlib.crc32(payload) for payload in payloads
    ]
