"""The direct transport sends the same bytes as aiobotocore would in the same second."""

import contextlib
import dataclasses
import datetime as dt
import os
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any
from unittest import mock

import anyio
import botocore.auth
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.auth import _host_from_url
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from asyncinvoke import trace_header
from asyncinvoke._model.delivery import Progress
from asyncinvoke._recent import Recent
from asyncinvoke._request.parameters import InvokeParameters, checked
from asyncinvoke._request.request import InvocationType
from asyncinvoke._request.target import Target
from asyncinvoke._transport.client import ClientTransport
from asyncinvoke._transport.direct import DirectTransport
from asyncinvoke._transport.sdk_request import INVOKE, STREAM, arguments_of
from asyncinvoke._transport.stream import WholeBody
from asyncinvoke._transport.template import Outgoing
from tests.doubles.fault_endpoint import FaultEndpoint

SESSION = AioSession()
PER_CALL = "amz-sdk-invocation-id"

PLACES: dict[str, dict[str, Any]] = {
    "plain": {"region_name": "us-east-1"},
    "China": {"region_name": "cn-north-1"},
    "GovCloud": {"region_name": "us-gov-west-1"},
    "European sovereign cloud": {"region_name": "eusc-de-east-1"},
    "FIPS": {"region_name": "us-west-2", "config": {"use_fips_endpoint": True}},
    "dual stack": {"region_name": "eu-west-1", "config": {"use_dualstack_endpoint": True}},
    "own endpoint": {"region_name": "eu-west-1", "endpoint_url": "http://127.0.0.1:9001"},
    "own endpoint, standard port": {"region_name": "eu-west-1", "endpoint_url": "http://lambda:80"},
    "TLS, own port": {"region_name": "eu-west-1", "endpoint_url": "https://Lambda.Example:8443/"},
    "TLS, standard port": {"region_name": "eu-west-1", "endpoint_url": "https://lambda:443"},
    "IPv6": {"region_name": "eu-west-1", "endpoint_url": "http://[::1]:9001"},
    "IPv6, standard port": {"region_name": "eu-west-1", "endpoint_url": "https://[2001:db8::1]/p"},
    "path prefix": {"region_name": "eu-west-1", "endpoint_url": "https://proxy.example/a/b%20c/~d"},
    "named application": {
        "region_name": "eu-west-1",
        "config": {"user_agent_appid": "orders", "user_agent_extra": "extra/1"},
    },
}

names = st.from_regex(r"[a-zA-Z0-9_.-]{1,64}", fullmatch=True)
qualifiers = st.sampled_from(["$LATEST", "$LATEST.PUBLISHED", "live", "17", "a-b_c"])
targets = st.builds(
    Target, name=names, qualifier=st.none() | qualifiers, account_id=st.none() | st.just("1" * 12)
) | st.builds(
    Target,
    name=names,
    qualifier=st.none() | qualifiers,
    partition=st.sampled_from(["aws", "aws-cn", "aws-us-gov", "aws-iso-b"]),
    region=st.just("us-east-1"),
    account_id=st.just("1" * 12),
)
envelopes = st.builds(
    lambda target, **options: checked(str(target), **options),
    targets,
    invocation_type=st.sampled_from(["RequestResponse", "Event", "DryRun"]),
    log_type=st.sampled_from(["None", "Tail"]),
    client_context=st.none()
    | st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3),
    tenant_id=st.none()
    | st.from_regex(
        r"[a-zA-Z0-9._:/=+@-]([a-zA-Z0-9._:/=+@ -]{0,38}[a-zA-Z0-9._:/=+@-])?", fullmatch=True
    ),
    durable_execution_name=st.none() | st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True),
)
payloads = st.binary(max_size=300) | st.sampled_from([b"", b"{}", b"x" * 70_000])
credentials = st.builds(
    Credentials,
    access_key=st.from_regex(r"AKIA[A-Z0-9]{16}", fullmatch=True),
    secret_key=st.text("abcdefXYZ0123456789/+", min_size=40, max_size=40),
    token=st.none() | st.text("abcdefXYZ0123456789/+=", min_size=20, max_size=400),
)
traces = st.from_regex(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16}", fullmatch=True)
traces |= st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200)
moments = st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2037, 1, 1))


class Recorder:
    """A wire that records the request and answers instead of the service."""

    def __init__(self) -> None:
        self.method = self.url = ""
        self.payload = self.head = b""
        self.headers: dict[str, str] = {}

    def ours(self, origin: str) -> None:
        return None

    async def exchange(
        self, request: Outgoing, progress: Progress
    ) -> tuple[int, dict[str, str], bytes]:
        self.method, self.url, self.payload = request.method, request.url, request.payload
        self.headers, self.head = request.headers(), request.head()
        return 200, {}, b""

    async def open(
        self, request: Outgoing, progress: Progress
    ) -> tuple[int, dict[str, str], WholeBody]:
        await self.exchange(request, progress)
        return 200, {}, WholeBody(b"")


class SeenError(Exception):
    """Holds the request that aiobotocore was about to send."""


@contextlib.asynccontextmanager
async def open_client(place: Mapping[str, Any]) -> AsyncIterator[Any]:
    options = {**place, "config": AioConfig(**place.get("config", {}))}
    options["config"] = options["config"].merge(AioConfig(retries={"total_max_attempts": 1}))
    async with SESSION.create_client("lambda", **options) as client:
        yield client


@contextlib.contextmanager
def frozen(moment: dt.datetime) -> Any:
    seconds = moment.replace(tzinfo=dt.UTC).timestamp()
    with (
        mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment),
        mock.patch("time.time", return_value=seconds),
    ):
        yield


async def reference(
    client: Any,
    operation: str,
    parameters: InvokeParameters,
    payload: bytes,
    trace: str | None = None,
) -> tuple[str, str, dict[str, str], bytes]:
    """Return the request that aiobotocore would send.

    A trace is added by a handler at the point where botocore's own handler adds one.
    """

    def intercept(request: Any, **_: object) -> None:
        raise SeenError(request)

    def add(params: Any, **_: object) -> None:
        if trace is not None:
            params["headers"]["X-Amzn-Trace-Id"] = trace

    client.meta.events.register(f"before-call.lambda.{operation}", add, unique_id="add")
    client.meta.events.register(f"before-send.lambda.{operation}", intercept, unique_id="intercept")
    method = client.invoke if operation == INVOKE else client.invoke_with_response_stream
    try:
        await method(**arguments_of(operation, parameters, payload))
    except SeenError as seen:
        (request,) = seen.args
    finally:
        client.meta.events.unregister(f"before-send.lambda.{operation}", unique_id="intercept")
        client.meta.events.unregister(f"before-call.lambda.{operation}", unique_id="add")
    headers = {
        name: value.decode() if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    return request.method, request.url, headers, request.body


def check_head(recorder: Recorder, expected: dict[str, str], host: str) -> None:
    """Check that a head equals what an HTTP library would write for the same headers."""
    start, *lines = recorder.head.decode().removesuffix("\r\n\r\n").split("\r\n")
    found = dict(line.split(": ", 1) for line in lines)
    assert len(found) == len(lines)
    found.pop(PER_CALL)
    on_the_wire = {"Host": host, "Accept": "*/*", "Accept-Encoding": "identity"}
    assert found == {**on_the_wire, **expected}
    url = URL(recorder.url, encoded=True)
    assert start == f"POST {url.raw_path_qs} HTTP/1.1"


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=8)
@given(
    several=st.lists(envelopes, min_size=1, max_size=3),
    target=targets,
    streams=st.booleans(),
    bodies=st.lists(payloads, min_size=3, max_size=3),
    credentials=credentials,
    moments=st.lists(moments, min_size=3, max_size=3),
    traces=st.lists(st.none() | traces, min_size=3, max_size=3),
)
def test_for_any_request_the_direct_transport_sends_what_aiobotocore_would_send(
    place: str,
    several: list[InvokeParameters],
    target: Target,
    streams: bool,
    bodies: list[bytes],
    credentials: Credentials,
    moments: list[dt.datetime],
    traces: list[str | None],
) -> None:
    async def compare() -> None:
        async with open_client(PLACES[place]) as client:
            client._request_signer._credentials = FixedCredentials(credentials)
            transport = DirectTransport(client)
            recorder = Recorder()
            transport._wires = recorder  # type: ignore[assignment]
            # All are for one function: values of one call must not get into others.
            for parameters, body, moment, trace in zip(
                several, bodies, moments, traces, strict=False
            ):
                asked = of_a_stream(parameters, target) if streams else at(parameters, target)
                operation = STREAM if streams else INVOKE
                with frozen(moment):
                    expected = await reference(client, operation, asked, body, trace)
                    trace_header.set(trace)
                    send = transport.open if streams else transport.send
                    await send(asked, body, Progress())
                assert str(uuid.UUID(recorder.headers.pop(PER_CALL)))
                expected[2].pop(PER_CALL)
                assert (recorder.method, recorder.url) == expected[:2]
                assert (recorder.payload or None) == (expected[3] or None)
                assert recorder.headers == expected[2]
                check_head(recorder, expected[2], _host_from_url(recorder.url))

    anyio.run(compare)


@pytest.mark.parametrize("option", ["client_context", "tenant_id", "durable_execution_name"])
def test_a_value_of_one_call_costs_no_template_and_gets_into_no_other_call(option: str) -> None:
    values: list[Any] = ["one", "t  2", "three"]
    if option == "client_context":
        values = [{"custom": {"user": value}} for value in values]
    if option == "durable_execution_name":
        values[1] = "two"

    async def compare() -> None:
        async with open_client(PLACES["plain"]) as client:
            transport = DirectTransport(client)
            recorder = Recorder()
            transport._wires = recorder  # type: ignore[assignment]
            for value in values:
                parameters = checked("f", **{option: value})
                with frozen(dt.datetime(2026, 5, 17)):
                    expected = await reference(client, INVOKE, parameters, b"1")
                    await transport.send(parameters, b"1", Progress())
                recorder.headers.pop(PER_CALL)
                expected[2].pop(PER_CALL)
                assert recorder.headers == expected[2]
                check_head(recorder, expected[2], "lambda.us-east-1.amazonaws.com")
            assert len(transport._templates) == 1

    anyio.run(compare)


def test_the_memory_of_templates_is_bounded_and_never_forgets_all_at_once() -> None:
    async def fill() -> None:
        async with open_client(PLACES["plain"]) as client:
            transport = DirectTransport(client)
            transport._templates = Recent(4)
            recorder = Recorder()
            transport._wires = recorder  # type: ignore[assignment]
            made: list[int] = []
            for name in [*range(9), *range(5, 9)]:
                await transport.send(checked(f"f{name}"), b"", Progress())
                made.append(len(transport._templates))
                assert f"/f{name}/" in recorder.url
            assert max(made) == 8
            # The last ones are still known.
            before = dict(transport._templates.young)
            await transport.send(checked("f8"), b"", Progress())
            assert transport._templates.young == before

    anyio.run(fill)


def at(parameters: InvokeParameters, target: Target) -> InvokeParameters:
    return dataclasses.replace(parameters, target=target)


def of_a_stream(parameters: InvokeParameters, target: Target) -> InvokeParameters:
    return dataclasses.replace(
        at(parameters, target),
        invocation_type=InvocationType.REQUEST_RESPONSE,
        durable_execution_name=None,
    )


class FixedCredentials:
    """Credentials as an aiobotocore client holds them."""

    def __init__(self, credentials: Credentials) -> None:
        self.access_key = credentials.access_key
        self.secret_key = credentials.secret_key
        self.token = credentials.token
        self.method = "explicit"

    async def get_frozen_credentials(self) -> Any:
        return Credentials(self.access_key, self.secret_key, self.token).get_frozen_credentials()


@pytest.mark.anyio
async def test_both_transports_put_the_same_headers_on_the_wire() -> None:
    parameters = checked(
        "resize:live", log_type="Tail", client_context={"a": "b"}, tenant_id="t  1"
    )
    moment = dt.datetime(2026, 5, 17, 12, 0, 0)
    payloads = [b"", b'{"n":1}', b'"' + b"x" * 1_500_000 + b'"']
    async with FaultEndpoint() as endpoint:
        place: dict[str, Any] = {"region_name": "eu-west-1", "endpoint_url": endpoint.url}
        async with open_client(httpx_on_trio(place)) as client:
            with frozen(moment):
                for transport in (ClientTransport(client), DirectTransport(client)):
                    for payload in payloads:
                        await transport.send(parameters, payload, Progress())
                    await transport.aclose()
        requests = endpoint.requests("resize")
    assert len(requests) == 2 * len(payloads)
    by_reference, by_direct = requests[: len(payloads)], requests[len(payloads) :]
    for reference_request, direct_request in zip(by_reference, by_direct, strict=True):
        assert direct_request.target == reference_request.target
        assert direct_request.payload == reference_request.payload
        assert {**direct_request.headers, PER_CALL: ""} == {
            **reference_request.headers,
            PER_CALL: "",
        }


def httpx_on_trio(place: dict[str, Any]) -> dict[str, Any]:
    if anyio.get_cancelled_exc_class().__module__.startswith("trio"):
        from aiobotocore.httpxsession import HttpxSession

        return {**place, "config": {"http_session_cls": HttpxSession}}
    return place


@pytest.mark.anyio
async def test_a_credential_refreshed_in_mid_run_is_used_from_the_next_attempt_on() -> None:
    def soon(seconds: float) -> str:
        when = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        return when.isoformat()

    issued = iter(range(1, 100))

    async def refresh() -> dict[str, str]:
        number = next(issued)
        return {
            "access_key": f"AKID{number}",
            "secret_key": "secret",
            "token": f"token{number}",
            # The first is about to expire, and so is replaced at once.
            "expiry_time": soon(1 if number == 1 else 7200),
        }

    async with FaultEndpoint() as endpoint:
        place = {"region_name": "eu-west-1", "endpoint_url": endpoint.url}
        async with open_client(httpx_on_trio(place)) as client:
            client._request_signer._credentials = AioRefreshableCredentials.create_from_metadata(
                await refresh(), refresh_using=refresh, method="test"
            )
            transport = DirectTransport(client)
            await transport.send(checked("f"), b"", Progress())
            client._request_signer._credentials._expiry_time = dt.datetime.now(dt.UTC)
            await transport.send(checked("f"), b"", Progress())
            await transport.aclose()
        tokens = [request.headers["x-amz-security-token"] for request in endpoint.requests("f")]
    assert tokens == ["token2", "token3"]


@pytest.mark.anyio
async def test_inside_lambda_the_trace_of_the_moment_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "caller")
    async with FaultEndpoint() as endpoint:
        place = {"region_name": "eu-west-1", "endpoint_url": endpoint.url}
        async with open_client(httpx_on_trio(place)) as client:
            for transport in (ClientTransport(client), DirectTransport(client)):
                for trace in ("Root=1-a;Sampled=1", "Root=1-b b;Sampled=0"):
                    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
                    await transport.send(checked("f"), b"", Progress())
                monkeypatch.delenv("_X_AMZN_TRACE_ID")
                await transport.send(checked("f"), b"", Progress())
                await transport.aclose()
        traces = [request.headers.get("x-amzn-trace-id") for request in endpoint.requests("f")]
    assert traces[:3] == traces[3:] == ["Root=1-a;Sampled=1", "Root=1-b%20b;Sampled=0", None]
    assert os.environ["AWS_LAMBDA_FUNCTION_NAME"] == "caller"
