"""Code that wraps or listens to the SDK's Invoke is found and named, until it is removed."""

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import aiobotocore.context
import aiohttp
import anyio
import pytest
import wrapt
from aiobotocore.client import AioBaseClient
from aiobotocore.config import AioConfig
from aiobotocore.endpoint import AioEndpoint
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession
from aiobotocore.session import AioSession
from aiobotocore.signers import AioRequestSigner
from aiobotocore.stub import AioStubber
from botocore.client import BaseClient
from botocore.endpoint import Endpoint
from botocore.history import get_global_history_recorder

from asyncinvoke import Invoker
from asyncinvoke._transport import direct
from asyncinvoke._transport.interception import Interception
from asyncinvoke._transport.sdk_code import api_call_of

pytestmark = pytest.mark.anyio

SESSION = AioSession()
REGION = "eu-west-1"
NOWHERE = "http://127.0.0.1:1"

Install = Callable[[Any], contextlib.AbstractContextManager[object]]
"""Installs a wrapper of a client for the duration of a block."""


@contextlib.asynccontextmanager
async def opened(endpoint_url: str = NOWHERE, **config: Any) -> AsyncIterator[Any]:
    if anyio.get_cancelled_exc_class().__module__.startswith("trio"):
        config.setdefault("http_session_cls", HttpxSession)
    config.setdefault("retries", {"total_max_attempts": 1})
    async with SESSION.create_client(
        "lambda", region_name=REGION, endpoint_url=endpoint_url, config=AioConfig(**config)
    ) as client:
        yield client


def owner_of(client: Any, part: str) -> Any:
    """Return the object that performs a step of the call."""
    return {
        "client": client,
        "endpoint": client._endpoint,
        "signer": client._request_signer,
        "session": client._endpoint.http_session,
        "serializer": client._serializer,
        "user agent": client._user_agent_creator,
        "resolver": client._ruleset_resolver,
        "parsers": client._endpoint._response_parser_factory,
        "meta": client.meta,
        "events": client.meta.events,
        "emitter": client.meta.events._emitter,
    }[part]


STEPS = [
    ("client", "invoke"),
    ("client", "_make_api_call"),
    ("client", "_emit_api_params"),
    ("client", "_resolve_endpoint_ruleset"),
    ("client", "_convert_to_request_dict"),
    ("client", "_make_request"),
    ("resolver", "construct_endpoint"),
    ("serializer", "serialize_to_request"),
    ("user agent", "to_string"),
    ("endpoint", "make_request"),
    ("endpoint", "_send_request"),
    ("endpoint", "create_request"),
    ("signer", "sign"),
    ("signer", "_choose_signer"),
    ("signer", "get_auth_instance"),
    ("endpoint", "prepare_request"),
    ("endpoint", "_get_response"),
    ("endpoint", "_do_get_response"),
    ("endpoint", "_send"),
    ("session", "send"),
    ("parsers", "create_parser"),
    ("endpoint", "_needs_retry"),
]


async def test_no_wrapper_is_found_on_a_new_client_of_the_sdk() -> None:
    for retries in ("legacy", "standard", "adaptive"):
        async with opened(retries={"total_max_attempts": 1, "mode": retries}) as client:
            assert Interception(client).found() is None


async def test_no_wrapper_is_found_on_the_client_that_an_invoker_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clients: list[Any] = []

    def kept(client: Any, **options: Any) -> Interception:
        clients.append(client)
        return Interception(client, **options)

    monkeypatch.setattr(direct, "Interception", kept)
    async with Invoker(endpoint_url=NOWHERE):
        (client,) = clients
        assert Interception(client).found() is None


# Wrappers, as tracers and tests write them.


def by_wrapt(kind: type, name: str) -> Install:
    """As OpenTelemetry, aws-xray-sdk, ddtrace, New Relic and Elastic do."""

    @contextlib.contextmanager
    def install(client: Any) -> Iterator[None]:
        inherited = name not in vars(kind)
        wrapt.wrap_function_wrapper(kind, name, passing_on)
        try:
            yield
        finally:
            setattr(kind, name, vars(kind)[name].__wrapped__)
            if inherited:
                delattr(kind, name)

    return install


def passing_on(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return wrapped(*args, **kwargs)


def by_functools(kind: type, name: str) -> Install:
    """As a decorator that copies the function's metadata."""
    original = getattr(kind, name)

    @functools.wraps(original)
    def with_metadata(self: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, *args, **kwargs)

    return lambda client: mock.patch.object(kind, name, with_metadata)


def by_replacement(kind: type, name: str) -> Install:
    """As Sentry and most tests do."""
    original = getattr(kind, name)

    def replaced(self: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, *args, **kwargs)

    return lambda client: mock.patch.object(kind, name, replaced)


def by_a_decorator_of_the_sdk(kind: type, name: str) -> Install:
    """A plain function of the SDK's module that wraps another one."""
    original = getattr(kind, name)

    @aiobotocore.context.with_current_context()  # type: ignore[untyped-decorator]
    async def inside(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await original(self, *args, **kwargs)

    return lambda client: mock.patch.object(kind, name, inside)


def by_a_partial_method(kind: type, name: str) -> Install:
    original = getattr(kind, name)
    return lambda client: mock.patch.object(kind, name, functools.partialmethod(original))


def by_a_mock(kind: type, name: str) -> Install:
    return lambda client: mock.patch.object(kind, name)


def by_a_mock_with_its_signature(kind: type, name: str) -> Install:
    return lambda client: mock.patch.object(kind, name, autospec=True)


HERE = __name__
WRAPPERS = [
    (by_wrapt, f"{HERE}.passing_on"),
    (by_functools, f"{HERE}.by_functools.<locals>.with_metadata"),
    (by_replacement, f"{HERE}.by_replacement.<locals>.replaced"),
    (by_a_decorator_of_the_sdk, f"{HERE}.by_a_decorator_of_the_sdk.<locals>.inside"),
    (by_a_partial_method, "functools.partialmethod"),
    (by_a_mock, "unittest.mock.AsyncMock"),
    (by_a_mock_with_its_signature, "<unnamed>._make_api_call"),
]


@pytest.mark.parametrize(("wrap", "who"), WRAPPERS, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_wrapper_of_any_make_is_found_and_named_until_it_leaves(
    wrap: Callable[[type, str], Install], who: str
) -> None:
    install = wrap(AioBaseClient, "_make_api_call")
    async with opened() as client:
        interception = Interception(client)
        for _ in range(2):
            assert interception.found() is None
            with install(client):
                expected = f"{who} stands before AioBaseClient._make_api_call"
                assert interception.found() == expected
                assert interception.found() == expected
                assert Interception(client).found() == expected
        assert interception.found() is None
    with install(client):
        async with opened() as later:
            assert Interception(later).found() == expected


@pytest.mark.parametrize("on", ["class", "object"])
@pytest.mark.parametrize(("part", "name"), STEPS)
async def test_each_step_of_a_call_is_watched_on_its_class_and_on_its_object(
    part: str, name: str, on: str
) -> None:
    async with opened() as client:
        owner = owner_of(client, part)
        place = owner if on == "object" else type(owner)
        interception = Interception(client)
        assert interception.found() is None
        # Twice, because only the first time adds an attribute to the object.
        for _ in range(2):
            with mock.patch.object(place, name, listener):
                found = interception.found()
                assert found is not None
                assert found.startswith(f"{HERE}.listener stands before ")
                assert found.endswith(f".{name}")
            assert interception.found() is None


@pytest.mark.parametrize(
    ("kind", "name", "named"),
    [
        (Endpoint, "prepare_request", "Endpoint.prepare_request"),  # OpenTelemetry's place
        (AioEndpoint, "prepare_request", "AioEndpoint.prepare_request"),  # aws-xray-sdk's
        (AioEndpoint, "make_request", "AioEndpoint.make_request"),  # New Relic's
        (AioRequestSigner, "sign", "AioRequestSigner.sign"),
    ],
)
async def test_a_wrapper_on_any_of_the_classes_above_is_found(
    kind: type, name: str, named: str
) -> None:
    async with opened() as client:
        interception = Interception(client)
        assert interception.found() is None
        with by_wrapt(kind, name)(client):
            assert interception.found() == f"{HERE}.passing_on stands before {named}"
        assert interception.found() is None


async def test_a_proxy_that_imitates_the_wrapped_function_is_found() -> None:
    original = vars(AioBaseClient)["_make_api_call"]
    with by_wrapt(AioBaseClient, "_make_api_call")(None):
        proxy = AioBaseClient._make_api_call
        assert proxy == original
        assert isinstance(proxy, type(original))
        assert proxy.__module__ == original.__module__
        async with opened() as client:
            assert Interception(client).found() is not None


async def test_what_is_not_the_sdks_client_or_endpoint_is_found() -> None:
    class Slow(AioBaseClient):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            return super().__getattribute__(name)

    class Own(AioBaseClient):  # type: ignore[misc]
        async def _make_api_call(self, operation_name: str, api_params: Any) -> Any:
            return await super()._make_api_call(operation_name, api_params)

    async with opened() as client:
        proxied = Interception(wrapt.ObjectProxy(client)).found()
        assert proxied is not None
        assert proxied.endswith("ObjectProxy is in place of AioBaseClient")
        kind = client.__class__
        client.__class__ = type("Lambda", (Slow, kind), {})
        assert Interception(client).found() == f"{HERE}.Lambda is in place of AioBaseClient"
        client.__class__ = type("Lambda", (Own, kind), {})
        assert Interception(client).found() == (
            f"{Own._make_api_call.__module__}.{Own._make_api_call.__qualname__}"
            " stands before Own._make_api_call"
        )
        client.__class__ = kind
        assert Interception(client).found() is None


@pytest.mark.parametrize(
    ("holder", "name", "what"),
    [
        ("client", "_endpoint", "endpoint"),
        ("endpoint", "http_session", "HTTP session"),
        ("client", "_request_signer", "request signer"),
        ("client", "_serializer", "serializer"),
        ("client", "_user_agent_creator", "user agent"),
        ("client", "_ruleset_resolver", "endpoint resolver"),
        ("meta", "_service_model", "service model"),
        ("client", "_client_config", "configuration"),
        ("client", "meta", "meta"),
        ("meta", "_client_config", "configuration"),
        ("meta", "events", "event emitter"),
        ("events", "_emitter", "event emitter"),
        ("endpoint", "_event_emitter", "event emitter"),
        ("endpoint", "_response_parser_factory", "response parsers"),
        ("signer", "_event_emitter", "event emitter"),
    ],
)
async def test_another_part_put_in_later_is_found_until_the_first_is_back(
    holder: str, name: str, what: str
) -> None:
    async with opened() as client:
        interception = Interception(client)
        assert interception.found() is None
        # A proxy that imitates the part that it replaces is not believed either.
        for other in (mock.Mock(), wrapt.ObjectProxy(getattr(owner_of(client, holder), name))):
            kind = f"{type(other).__module__}.{type(other).__qualname__}"
            with mock.patch.object(owner_of(client, holder), name, other):
                assert interception.found() == f"{kind} is in place of the client's first {what}"
            assert interception.found() is None


async def test_a_part_of_the_callers_own_is_found_though_it_was_there_before_the_invoker() -> None:
    class Own:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def serialize_to_request(self, *args: Any) -> Any:
            return self._inner.serialize_to_request(*args)

    async with opened() as client:
        client._serializer = Own(client._serializer)
        found = Interception(client).found() or ""
        assert found.endswith(" stands before Own.serialize_to_request")


async def test_a_recorder_of_the_sdks_history_is_found_until_it_is_disabled() -> None:
    recorder = get_global_history_recorder()
    async with opened() as client:
        interception = Interception(client)
        assert interception.found() is None
        recorder.enable()
        try:
            assert interception.found() == "botocore's history is recorded"
            assert Interception(client).found() == "botocore's history is recorded"
        finally:
            recorder.disable()
        assert interception.found() is None


@pytest.mark.parametrize("is_inner", [False, True])
@pytest.mark.parametrize("name", ["emit", "emit_until_response"])
async def test_an_emitter_with_a_replaced_emit_is_found_until_it_is_restored(
    name: str, is_inner: bool
) -> None:
    async with opened() as client:
        interception = Interception(client)
        assert interception.found() is None
        emitter = client.meta.events._emitter if is_inner else client.meta.events
        for _ in range(2):
            with mock.patch.object(emitter, name, listener):
                found = interception.found() or ""
                assert found.endswith(f"listener stands before {type(emitter).__name__}.{name}")
            assert interception.found() is None


async def test_a_custom_session_class_is_no_wrapper_and_a_patched_one_of_the_sdk_is() -> None:
    class Own(AIOHTTPSession):  # type: ignore[misc]
        async def send(self, request: Any) -> Any:
            return await super().send(request)

    async with SESSION.create_client(
        "lambda", region_name=REGION, config=AioConfig(http_session_cls=Own)
    ) as client:
        assert Interception(client).found() is None
    async with opened() as client:
        with mock.patch.object(type(client._endpoint.http_session), "send"):
            assert Interception(client).found() is not None


async def test_attributes_that_shadow_nothing_do_no_harm() -> None:
    async with opened() as client:
        interception = Interception(client)
        assert interception.found() is None
        client._dd_before_sign_registered = True
        client._endpoint.tag = "mine"
        assert interception.found() is None
        client.invoke = print
        assert (
            interception.found()
            == "builtins.builtin_function_or_method stands before Lambda.invoke"
        )
        del client.invoke
        assert interception.found() is None


async def test_nothing_is_checked_again_while_nothing_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look = mock.Mock(wraps=Interception._look)
    monkeypatch.setattr(Interception, "_look", lambda self: look(self))
    async with opened() as client:
        interception = Interception(client)
        for _ in range(5):
            assert interception.found() is None
        assert look.call_count == 1
        client.meta.events.register("before-call.s3.GetObject", listener)
        for _ in range(5):
            assert interception.found() is None
        assert look.call_count == 2


async def test_a_wrapped_function_of_the_http_library_is_looked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As tracers wrap it with wrapt, whose wrapper is another object each time it is bound."""
    look = mock.Mock(wraps=Interception._look)
    monkeypatch.setattr(Interception, "_look", lambda self: look(self))
    original = aiohttp.ClientSession._request
    async with opened() as client:
        interception = Interception(client, library=((aiohttp.ClientSession, "_request"),))
        for count, there in enumerate((original, wrapt.FunctionWrapper(original, passed_on))):
            monkeypatch.setattr(aiohttp.ClientSession, "_request", there)
            for _ in range(5):
                assert interception.found() is None
            assert look.call_count == count + 1


def passed_on(wrapped: Any, instance: Any, arguments: Any, options: Any) -> Any:
    return wrapped(*arguments, **options)


# Listeners.


def listener(**_: object) -> None:
    """Do nothing."""


class Listening:
    """A listener with two callables."""

    def __call__(self, **_: object) -> None: ...

    def method(self, **_: object) -> None: ...


EVENTS = [
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "response-received",
    "before-parse",
    "needs-retry",
    "after-call",
    "after-call-error",
]


@pytest.mark.parametrize("event", EVENTS)
async def test_a_listener_to_any_event_of_a_call_is_found_until_it_leaves(event: str) -> None:
    async with opened() as client:
        interception = Interception(client)
        for full in (event, f"{event}.lambda", f"{event}.lambda.Invoke", f"{event}.*.Invoke"):
            assert interception.found() is None
            client.meta.events.register(full, listener)
            for _ in range(2):
                assert interception.found() == f"{HERE}.listener listens to {event}"
            client.meta.events.unregister(full, listener)
        client.meta.events.register(f"{event}.lambda.GetFunction", listener)
        assert interception.found() is None


@pytest.mark.parametrize(
    ("handler", "who"),
    [
        (Listening().method, f"{HERE}.Listening.method"),
        (Listening(), f"{HERE}.Listening"),
        (functools.partial(listener, more=1), "functools.partial"),
        (wrapt.FunctionWrapper(listener, passing_on), f"{HERE}.passing_on"),
        (functools.wraps(AioRequestSigner.handler)(lambda **_: None), f"{HERE}.<lambda>"),
    ],
)
async def test_a_listener_of_any_make_is_named(handler: Any, who: str) -> None:
    async with opened() as client:
        client.meta.events.register("before-sign.lambda", handler)
        assert Interception(client).found() == f"{who} listens to before-sign"


async def test_a_wrapper_around_a_handler_of_the_sdks_own_is_found() -> None:
    with by_wrapt(AioRequestSigner, "handler")(None):
        async with opened() as client:
            assert Interception(client).found() == f"{HERE}.passing_on listens to request-created"


async def test_the_sdks_own_stub_answers_instead_of_the_service() -> None:
    async with opened() as client:
        interception = Interception(client)
        assert interception.found() is None
        with AioStubber(client) as stubber:
            stubber.add_response("invoke", {"StatusCode": 200})
            found = interception.found()
            assert found is not None
            assert found.startswith("botocore.stub.Stubber.")
        assert interception.found() is None


# The original function below wrappers.


@pytest.mark.parametrize("wrap", [by_wrapt, by_functools, by_replacement, by_a_mock])
def test_the_sdks_function_is_found_below_wrappers(wrap: Callable[[type, str], Install]) -> None:
    name, original = "_make_api_call", AioBaseClient._make_api_call
    # Each client has its own class, and so may others.
    owner = type("Made", (AioBaseClient,), {})
    assert api_call_of(owner) is original
    with wrap(AioBaseClient, name)(None), wrap(AioBaseClient, name)(None):
        assert api_call_of(owner) is original
        assert api_call_of(type("Own", (owner,), {name: listener})) is original


def test_if_the_original_function_cannot_be_found_none_is_returned() -> None:
    class Lambda(AioBaseClient):  # type: ignore[misc]
        _make_api_call = listener

    Lambda.__module__ = "aiobotocore.client"
    circle = SimpleNamespace()
    circle.__wrapped__ = circle
    assert api_call_of(Lambda) is None
    assert api_call_of(type("Own", (object,), {"_make_api_call": circle})) is None
    assert api_call_of(BaseClient) is BaseClient._make_api_call
