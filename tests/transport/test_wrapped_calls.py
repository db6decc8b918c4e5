"""Wrappers of the SDK's calls apply to each call of an invoker, until they are removed."""

import base64
import contextlib
import itertools
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any, Self
from unittest import mock

import aiobotocore.client
import anyio
import pytest
import wrapt
from aiobotocore.client import AioBaseClient
from aiobotocore.config import AioConfig
from aiobotocore.endpoint import AioEndpoint
from aiobotocore.httpxsession import HttpxSession
from aiobotocore.session import AioSession
from aiobotocore.stub import AioStubber
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ConnectionClosedError

from asyncinvoke import Invoker, RejectedError, RetryPolicy, ThrottledError, TransportError
from asyncinvoke._transport import direct, sdk_request
from asyncinvoke.local import Answer
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.doubles.http1 import ReceivedRequest

pytestmark = pytest.mark.anyio

SESSION = AioSession()
REGION = "eu-west-1"

customer: ContextVar[str | None] = ContextVar("customer", default=None)


@contextlib.asynccontextmanager
async def opened(endpoint: FaultEndpoint) -> AsyncIterator[Any]:
    config: dict[str, Any] = {"retries": {"total_max_attempts": 1}}
    if anyio.get_cancelled_exc_class().__module__.startswith("trio"):
        config["http_session_cls"] = HttpxSession
    async with SESSION.create_client(
        "lambda", region_name=REGION, endpoint_url=endpoint.url, config=AioConfig(**config)
    ) as client:
        yield client


@pytest.fixture
def requests_by_the_sdk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs of all requests that aiobotocore has built."""
    made: list[str] = []
    prepare = aiobotocore.client.prepare_request_dict  # a step of each call, but not of one object

    def counted(request: dict[str, Any], *rest: Any, **options: Any) -> None:
        made.append(request["url_path"])
        prepare(request, *rest, **options)

    monkeypatch.setattr(aiobotocore.client, "prepare_request_dict", counted)
    return made


def context_of(request: ReceivedRequest) -> object:
    """Return the client context that a request carries."""
    encoded = request.headers.get("x-amz-client-context")
    return encoded and json.loads(base64.b64decode(encoded))["custom"]["customer"]


def assert_validly_signed(request: ReceivedRequest, url: str) -> None:
    """Sign a received request again with botocore, and compare."""
    scope, signed, signature = (
        part.split("=", 1)[1] for part in request.headers["authorization"].split(", ")
    )
    names = signed.split(";")
    again = AWSRequest(
        request.method,
        f"{url}/2015-03-31/functions/{request.target.function_name}/invocations",
        headers={name: request.headers[name] for name in names},
        data=request.payload,
    )
    again.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(Credentials("test-key", "test-secret"), "lambda", REGION)
    canonical = signer.canonical_request(again)
    assert "x-amz-client-context" in names or "x-amz-client-context" not in request.headers
    assert scope.startswith("test-key/")
    assert signature == signer.signature(signer.string_to_sign(again, canonical), again)


def with_customer(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a call with the current client context."""
    context = json.dumps({"custom": {"customer": customer.get()}})
    return {**parameters, "ClientContext": base64.b64encode(context.encode()).decode()}


@contextlib.contextmanager
def on_the_class(client: Any) -> Iterator[None]:
    original = AioBaseClient._make_api_call

    async def call(self: Any, operation_name: str, api_params: dict[str, Any]) -> Any:
        return await original(self, operation_name, with_customer(api_params))

    with mock.patch.object(AioBaseClient, "_make_api_call", call):
        yield


@contextlib.contextmanager
def on_the_class_by_wrapt(client: Any) -> Iterator[None]:
    async def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return await wrapped(args[0], with_customer(args[1]))

    wrapt.wrap_function_wrapper(AioBaseClient, "_make_api_call", call)
    try:
        yield
    finally:
        AioBaseClient._make_api_call = AioBaseClient._make_api_call.__wrapped__


@contextlib.contextmanager
def on_the_object(client: Any) -> Iterator[None]:
    original = client._make_api_call

    async def call(operation_name: str, api_params: dict[str, Any]) -> Any:
        return await original(operation_name, with_customer(api_params))

    client._make_api_call = call
    yield
    del client._make_api_call


@contextlib.contextmanager
def on_the_public_method(client: Any) -> Iterator[None]:
    original = client.invoke
    client.invoke = lambda **parameters: original(**with_customer(parameters))
    yield
    del client.invoke


@contextlib.contextmanager
def by_an_event(client: Any) -> Iterator[None]:
    def add(params: dict[str, Any], **_: object) -> dict[str, Any]:
        return with_customer(params)

    client.meta.events.register("provide-client-params.lambda", add)
    yield
    client.meta.events.unregister("provide-client-params.lambda", add)


@contextlib.contextmanager
def by_a_serializer(client: Any) -> Iterator[None]:
    original = client._serializer

    class Own:
        def serialize_to_request(self, parameters: dict[str, Any], operation_model: Any) -> Any:
            return original.serialize_to_request(with_customer(parameters), operation_model)

    client._serializer = Own()
    yield
    client._serializer = original


WAYS = [
    *(on_the_class, on_the_class_by_wrapt, on_the_object, on_the_public_method),
    *(by_an_event, by_a_serializer),
]
Way = Callable[[Any], contextlib.AbstractContextManager[None]]


async def three_calls(invoker: Invoker) -> None:
    for number in range(3):
        customer.set(str(number))
        await invoker.invoke("f", {"n": number})


@pytest.mark.parametrize("way", WAYS)
async def test_each_call_carries_what_a_wrapper_adds_until_it_is_removed(
    way: Way, requests_by_the_sdk: list[str]
) -> None:
    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        await three_calls(invoker)
        with way(client):
            await three_calls(invoker)
        made = len(requests_by_the_sdk)
        await three_calls(invoker)
        assert (made, len(requests_by_the_sdk)) == (4, 4)  # for the template, and three calls
        requests = endpoint.requests("f")
    assert [context_of(each) for each in requests] == [None] * 3 + ["0", "1", "2"] + [None] * 3
    assert [json.loads(each.payload) for each in requests] == [{"n": n} for n in (0, 1, 2)] * 3
    for request in requests:
        assert_validly_signed(request, endpoint.url)


@pytest.mark.parametrize("way", [on_the_class, on_the_class_by_wrapt])
async def test_it_does_so_too_where_the_wrapper_was_there_before_the_client(
    way: Way, requests_by_the_sdk: list[str]
) -> None:
    async with FaultEndpoint() as endpoint, contextlib.AsyncExitStack() as stack:
        with way(None):
            client = await stack.enter_async_context(opened(endpoint))
            invoker = await stack.enter_async_context(Invoker(client))
            await three_calls(invoker)
        await three_calls(invoker)
        requests = endpoint.requests("f")
    assert [context_of(each) for each in requests] == ["0", "1", "2", None, None, None]
    assert len(requests_by_the_sdk) == 4
    for request in requests:
        assert_validly_signed(request, endpoint.url)


async def test_calls_at_the_same_time_do_not_get_each_others_context() -> None:
    async def call(number: int) -> None:
        customer.set(str(number))
        await invoker.invoke(f"f{number % 3}", number)

    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        with on_the_class(client):
            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(call, number)
        requests = [each for n in range(3) for each in endpoint.requests(f"f{n}")]
    assert len(requests) == 30
    assert {context_of(each) for each in requests} == {str(number) for number in range(30)}
    assert all(context_of(each) == each.payload.decode() for each in requests)


async def test_a_header_that_is_put_into_each_request_belongs_to_that_request() -> None:
    """As a propagator passed to aiobotocore's instrumentation does."""
    numbers = itertools.count()

    def prepare(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        args[0].headers["traceparent"] = str(next(numbers))
        return wrapped(*args, **kwargs)

    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        wrapt.wrap_function_wrapper(AioEndpoint, "prepare_request", prepare)
        try:
            await three_calls(invoker)
        finally:
            del AioEndpoint.prepare_request
        await three_calls(invoker)
        traces = [each.headers.get("traceparent") for each in endpoint.requests("f")]
    assert traces == ["0", "1", "2", None, None, None]


async def test_a_user_agent_of_the_callers_own_is_that_of_each_call() -> None:
    def own() -> str:
        return f"own/{customer.get()}"

    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        await invoker.invoke("f")
        with mock.patch.object(client._user_agent_creator, "to_string", own):
            await three_calls(invoker)
            async with invoker.stream("f") as stream:
                assert [chunk async for chunk in stream]
        await invoker.invoke("f")
        first, *agents, last = [each.headers["user-agent"] for each in endpoint.requests("f")]
    assert agents == ["own/0", "own/1", "own/2", "own/2"]
    assert first.startswith("aiobotocore/")
    assert last.startswith("aiobotocore/")


async def test_a_wrapper_installed_while_a_template_was_made_leaves_nothing_in_it(
    monkeypatch: pytest.MonkeyPatch, requests_by_the_sdk: list[str]
) -> None:
    make = sdk_request.make_template
    somebody = contextlib.ExitStack()

    async def slowly(client: Any, *args: Any) -> Any:
        monkeypatch.setattr(direct, "make_template", make)
        somebody.enter_context(on_the_class(client))
        return await make(client, *args)

    monkeypatch.setattr(direct, "make_template", slowly)
    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        with somebody:
            await three_calls(invoker)
        await three_calls(invoker)
        contexts = [context_of(each) for each in endpoint.requests("f")]
    assert contexts == ["0", "1", "2", None, None, None]
    assert len(requests_by_the_sdk) == 5  # two templates, one of which was discarded


def stubbed() -> dict[str, Any]:
    """Return an answer for a stub."""
    return {"StatusCode": 200, "Payload": Body(), "ResponseMetadata": {"RequestId": "1"}}


class Body:
    """The payload of a stubbed answer."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def read(self) -> bytes:
        return b'"stubbed"'


async def test_a_stub_is_used_and_nothing_is_sent() -> None:
    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        await invoker.invoke("f")
        with AioStubber(client) as stubber:
            for _ in range(2):
                stubber.add_response("invoke", stubbed())
            assert (await invoker.invoke("f")).json() == "stubbed"
            assert (await invoker.invoke("g")).json() == "stubbed"
            stubber.assert_no_pending_responses()
        await invoker.invoke("f")
        assert (endpoint.deliveries("f"), endpoint.deliveries("g")) == (2, 0)


async def test_a_handler_may_read_the_payload_and_put_another_in_its_place() -> None:
    read: list[bytes] = []

    async def reader(parsed: dict[str, Any], **_: object) -> None:
        payload = parsed["Payload"]
        read.append(await payload.read(3) + await payload.read())
        parsed["Payload"] = Body()

    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        endpoint.script("f", Answer(payload=b'"as it came"'))
        client.meta.events.register("after-call.lambda.Invoke", reader)
        assert (await invoker.invoke("f")).json() == "stubbed"
    assert read == [b'"as it came"']


async def test_an_answer_of_a_stub_needs_no_metadata_and_a_wrong_one_is_a_failure() -> None:
    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        bare = stubbed()
        del bare["ResponseMetadata"]
        with answering(client, bare):
            response = await invoker.invoke("f")
        assert (response.json(), response.request_id) == ("stubbed", None)
        wrong: list[dict[str, Any]] = [{"StatusCode": 200}, {"Payload": Body()}]
        wrong += [bare | {"StatusCode": status} for status in ("200", None)]
        for answer in [*wrong, bare | {"ResponseMetadata": 1}]:
            with answering(client, answer), pytest.raises(TransportError) as caught:
                await invoker.invoke("f")
            assert (caught.value.code, caught.value.delivery) == ("UnexpectedError", "unknown")
        unfit: list[dict[str, Any]] = [{}, {"StatusCode": 200, "ResponseMetadata": 1}]
        for answer in unfit:
            with answering(client, answer), pytest.raises(TransportError) as caught:
                async with invoker.stream("f"):
                    pass
            assert (caught.value.code, caught.value.delivery) == ("UnexpectedError", "unknown")


@contextlib.contextmanager
def answering(client: Any, answer: dict[str, Any]) -> Iterator[None]:
    """Patch both operations of a client, as mocks do, so that they return an answer."""

    async def operation(**_: object) -> dict[str, Any]:
        return answer

    client.invoke = client.invoke_with_response_stream = operation
    try:
        yield
    finally:
        del client.invoke, client.invoke_with_response_stream


async def test_an_error_of_a_stub_means_what_it_means_from_lambda() -> None:
    async with FaultEndpoint() as endpoint, opened(endpoint) as client:
        async with Invoker(client, retry=RetryPolicy()) as invoker:
            with AioStubber(client) as stubber:
                stubber.add_client_error(
                    "invoke",
                    "TooManyRequestsException",
                    "Rate Exceeded.",
                    http_status_code=429,
                    response_meta={"HTTPHeaders": {"retry-after": "7"}},
                )
                with pytest.raises(ThrottledError) as caught:
                    await invoker.invoke("f")
        assert endpoint.deliveries("f") == 0
    assert (caught.value.code, caught.value.status_code) == ("TooManyRequestsException", 429)
    assert (caught.value.delivery, caught.value.retry_after) == ("rejected", 7.0)


async def test_a_failure_before_our_session_is_used_may_have_been_sent() -> None:
    async def lost(*_: object) -> None:
        raise ConnectionClosedError(endpoint_url="http://a.test")

    async with FaultEndpoint() as endpoint, opened(endpoint) as client:
        async with Invoker(client, retry=RetryPolicy()) as invoker:
            with (
                mock.patch.object(AioEndpoint, "_send", lost),
                pytest.raises(TransportError) as caught,
            ):
                await invoker.invoke("f")
        assert endpoint.deliveries("f") == 0
    assert caught.value.delivery == "unknown"


async def test_a_stub_without_a_response_left_is_no_outage() -> None:
    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        with AioStubber(client), pytest.raises(RejectedError) as caught:
            await invoker.invoke("f")
        assert (caught.value.code, caught.value.delivery) == ("SetUpInvalid", "not_sent")
        assert len(caught.value.attempts) == 1


async def test_a_stub_that_came_while_a_template_was_made_is_asked_only_while_it_is_there(
    monkeypatch: pytest.MonkeyPatch, requests_by_the_sdk: list[str]
) -> None:
    make = sdk_request.make_template
    somebody = contextlib.ExitStack()

    async def slowly(client: Any, *args: Any) -> Any:
        monkeypatch.setattr(direct, "make_template", make)
        stubber = somebody.enter_context(AioStubber(client))
        for _ in range(2):  # one for the template
            stubber.add_response("invoke", stubbed())
        return await make(client, *args)

    monkeypatch.setattr(direct, "make_template", slowly)
    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        with somebody:
            assert (await invoker.invoke("f")).json() == "stubbed"
        made = len(requests_by_the_sdk)
        await three_calls(invoker)
        assert len(requests_by_the_sdk) == made + 1
        assert endpoint.deliveries("f") == 3


async def test_the_cause_and_the_cost_of_the_fallback_are_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FaultEndpoint() as endpoint, opened(endpoint) as client, Invoker(client) as invoker:
        with caplog.at_level(logging.DEBUG, logger="asyncinvoke"):
            for _ in range(2):
                with on_the_class(client):
                    await three_calls(invoker)
                await three_calls(invoker)
            with by_an_event(client):
                await three_calls(invoker)
    here = __name__
    assert [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "asyncinvoke"
    ] == [
        (
            "INFO",
            f"calls go through aiobotocore's own invoke, at about four times the CPU, while {by}",
        )
        for by in (
            f"{here}.on_the_class.<locals>.call stands before AioBaseClient._make_api_call",
            f"{here}.by_an_event.<locals>.add listens to provide-client-params",
        )
    ]
