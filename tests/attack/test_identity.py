"""Each call is sent with its own options: none is mixed up, lost or taken from another call."""

import dataclasses
import functools
import json
import random
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from asyncinvoke import (
    AsyncInvokeError,
    ConfigurationError,
    FixedLimit,
    InvalidRequestError,
    InvocationError,
    Invoker,
    Request,
    Response,
    RetryPolicy,
)
from tests.doubles.counting_server import ANSWER, HANG_UP, Act, CountingServer
from tests.doubles.messages import Received, function_error_answer, throttle_answer

from .invokers import open_invoker, result_of_call

VOLATILE = {"host", "x-amz-date", "authorization", "amz-sdk-invocation-id", "amz-sdk-request"}
"""Headers that differ between two identical requests."""

ACTS = {
    b'"hang up"': HANG_UP,
    b'"throttle"': Act(sent=throttle_answer(headers={"Retry-After": "60"})),
    b'"fail"': Act(sent=function_error_answer()),
}
"""The acts of the server by payload; other requests are answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """Two values of an option, and a payload for which they differ in effect."""

    values: tuple[Any, Any]
    payload: str = "echo"


OPTIONS: dict[str, Option] = {
    "invocation_type": Option(values=("RequestResponse", "Event")),
    "log_type": Option(values=("None", "Tail")),
    "client_context": Option(values=({"custom": {"n": 1}}, {"custom": {"n": 2}})),
    "qualifier": Option(values=("1", "2")),
    "tenant_id": Option(values=("a", "b")),
    "durable_execution_name": Option(values=("order-1", "order-2")),
    "timeout": Option(values=(5.0, 500.0), payload="throttle"),
    "idempotent": Option(values=(False, True), payload="hang up"),
    "retry": Option(values=(RetryPolicy.never(), RetryPolicy.standard()), payload="throttle"),
    "raise_on_function_error": Option(values=(True, False), payload="fail"),
}
CASES = [(name, value) for name, option in OPTIONS.items() for value in option.values]

Seen = tuple[object, ...]
"""What the server received of a call, and its result for the caller."""


def test_the_table_has_every_option_there_is() -> None:
    (options,) = typing.get_args(typing.get_type_hints(Invoker.function)["defaults"])
    assert set(OPTIONS) == set(typing.get_type_hints(options)), "give the new option two values"


def decide(request: Received) -> Act:
    return ACTS.get(request.body, ANSWER)


def as_sent(request: Received) -> Seen:
    headers = {name: value for name, value in request.headers.items() if name not in VOLATILE}
    return (
        request.function_name,
        request.qualifier,
        tuple(sorted(headers.items())),
        request.body,
    )


def as_ended(ended: Response | AsyncInvokeError) -> Seen:
    if isinstance(ended, Response):
        return (ended.status_code, ended.function_error, ended.payload, len(ended.attempts))
    assert isinstance(ended, InvocationError), repr(ended)
    return (type(ended), ended.code, ended.delivery, ended.gave_up, len(ended.attempts))


Way = Callable[[Invoker, str, str, Any], Awaitable[Response | AsyncInvokeError]]


async def by_invoke(
    invoker: Invoker, payload: str, name: str, value: Any
) -> Response | AsyncInvokeError:
    return await result_of_call(invoker.invoke("f", payload, **{name: value}))


async def by_call(
    invoker: Invoker, payload: str, name: str, value: Any
) -> Response | AsyncInvokeError:
    (other,) = (each for each in OPTIONS[name].values if each != value)
    return await result_of_call(invoker.function("f", **{name: other})(payload, **{name: value}))


async def by_handle(
    invoker: Invoker, payload: str, name: str, value: Any
) -> Response | AsyncInvokeError:
    return await result_of_call(invoker.function("f", **{name: value})(payload))


async def by_map(
    invoker: Invoker, payload: str, name: str, value: Any
) -> Response | AsyncInvokeError:
    options = {"retry": RetryPolicy.standard(), name: value}
    async with invoker.map("f", [payload], **options) as run:
        (outcome,) = [outcome async for outcome in run]
    ended = outcome.response or outcome.error
    assert ended is not None
    return ended


async def by_request(
    invoker: Invoker, payload: str, name: str, value: Any
) -> Response | AsyncInvokeError:
    if name not in {field.name for field in dataclasses.fields(Request)}:
        return await by_map(invoker, payload, name, value)
    (other,) = (each for each in OPTIONS[name].values if each != value)
    item = Request(payload=payload, **{name: value})
    options = {"retry": RetryPolicy.standard(), name: other}
    async with invoker.map("f", [item], **options) as run:
        (outcome,) = [outcome async for outcome in run]
    ended = outcome.response or outcome.error
    assert ended is not None
    return ended


class CallObserver:
    """Makes calls, and returns what was sent and how each ended."""

    def __init__(self, server: CountingServer, transport: str) -> None:
        self.server = server
        self.options = {
            "transport": transport,
            "limit": FixedLimit(5),
            "retry": RetryPolicy.standard(),
        }

    async def observe(self, invoker: Invoker, way: Way, name: str, value: Any) -> Seen:
        before = self.server.whole
        ended = await way(invoker, OPTIONS[name].payload, name, value)
        sent = tuple(as_sent(request) for request in self.server.requests[before:])
        return (sent, as_ended(ended))

    async def observe_alone(self, name: str, value: Any) -> Seen:
        """Make the call with a new invoker."""
        async with open_invoker(self.server.url, **self.options) as invoker:
            return await self.observe(invoker, by_invoke, name, value)


@pytest.mark.anyio
@pytest.mark.parametrize("name", OPTIONS)
async def test_two_calls_that_differ_in_one_option_differ_in_any_order(name: str) -> None:
    first, second = OPTIONS[name].values
    with CountingServer(default=decide) as server:
        observer = CallObserver(server, "direct")
        alone = {
            repr(value): await observer.observe_alone(name, value) for value in (first, second)
        }
        assert alone[repr(first)] != alone[repr(second)], "its values make no difference"
        for order in ((first, second, first, second), (second, first, second)):
            async with open_invoker(server.url, **observer.options) as invoker:
                for value in order:
                    seen = await observer.observe(invoker, by_invoke, name, value)
                    assert seen == alone[repr(value)]


NAMES = ["f", "g", "f:1", "f:2", "g:1", "123456789012:function:f", "123456789012:function:f:1"]


@pytest.mark.anyio
async def test_calls_of_many_functions_among_each_other_reach_their_own(transport: str) -> None:
    names = NAMES * 3
    random.Random(7).shuffle(names)
    with CountingServer() as server:
        async with open_invoker(server.url, transport=transport) as invoker:
            for name in names:
                await invoker.invoke(name)
        reached = [(each.function_name, each.qualifier) for each in server.requests]
    assert [":".join(filter(None, each)) for each in reached] == names


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("way", "transport"),
    [
        (by_invoke, "direct"),
        (by_invoke, "client"),
        (by_call, "direct"),
        (by_handle, "direct"),
        (by_map, "direct"),
        (by_request, "direct"),
    ],
)
async def test_calls_of_all_kinds_among_each_other_stay_what_they_are(
    way: Way, transport: str
) -> None:
    with CountingServer(default=decide) as server:
        observer = CallObserver(server, transport)
        async with open_invoker(server.url, **observer.options) as invoker:
            alone = {
                (name, repr(value)): await observer.observe(invoker, by_invoke, name, value)
                for name, value in CASES
            }
        cases = [*CASES, *CASES]
        random.Random(7).shuffle(cases)
        async with open_invoker(server.url, **observer.options) as invoker:
            mixed_up = [
                (name, value)
                for name, value in cases
                if await observer.observe(invoker, way, name, value) != alone[name, repr(value)]
            ]
    assert not mixed_up


@pytest.mark.anyio
@pytest.mark.parametrize("tenant", [" a", "a ", " ", "  b  "])
async def test_a_tenant_that_a_header_cannot_carry_is_refused(tenant: str, transport: str) -> None:
    with CountingServer() as server:
        async with open_invoker(server.url, transport=transport) as invoker:
            ended = await result_of_call(invoker.invoke("f", tenant_id=tenant))
        assert isinstance(ended, InvalidRequestError), repr(ended)
        assert "tenant_id" in str(ended)
        assert server.begun == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("mapped", "qualifier", "item", "expected"),
    [
        ("f", "live", "f", "live"),
        ("f:live", None, "f", "live"),
        ("f", "live", "f:next", "next"),
        ("f", "live", "g", None),
    ],
)
async def test_an_item_that_names_the_maps_own_function_keeps_its_qualifier(
    mapped: str, qualifier: str | None, item: str, expected: str | None
) -> None:
    with CountingServer() as server:
        async with (
            open_invoker(server.url) as invoker,
            invoker.map(mapped, [Request(function_name=item)], qualifier=qualifier) as run,
        ):
            assert [outcome.ok async for outcome in run] == [True]
        (request,) = server.requests
    path = request.function_name.partition(":")
    assert (path[0], request.qualifier or path[2] or None) == (item.partition(":")[0], expected)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "option"), [("send_event", "DryRun"), ("dry_run", "Event"), ("dry_run", "DryRun")]
)
@pytest.mark.parametrize("default", [False, True], ids=["given", "by default"])
async def test_an_option_that_a_method_cannot_honour_is_refused(
    method: str, option: str, default: bool
) -> None:
    kind: Any = option
    with CountingServer() as server:
        async with open_invoker(server.url) as invoker:
            handle = invoker.function("f")
            given: dict[str, Any] = {"invocation_type": kind}
            if default:
                handle, given = invoker.function("f", **given), {}
            ended = await result_of_call(getattr(handle, method)(**given))
        if option == "DryRun" and method == "dry_run":
            assert isinstance(ended, Response)  # it says what the method does anyway
        else:
            assert isinstance(ended, InvalidRequestError), repr(ended)
            assert server.begun == 0


def strict(payload: bytes) -> object:
    """Decode objects that hold a `value`, and nothing else."""
    return json.loads(payload)["value"]


@pytest.mark.anyio
async def test_an_empty_payload_is_none_and_a_function_error_json_whatever_the_codec(
    transport: str,
) -> None:
    with CountingServer(default=decide) as server:
        async with open_invoker(server.url, transport=transport, decode=strict) as invoker:
            event = await invoker.send_event("f", {"value": 1})
            dry = await invoker.dry_run("f")
            good = await invoker.invoke("f", {"value": 1})
            failed = await invoker.invoke("f", "fail", raise_on_function_error=False)
    assert (event.json(), dry.json(), good.json()) == (None, None, 1)
    assert failed.json() == {"errorType": "KeyError", "errorMessage": "no such thing"}


async def never_awaited(*_: object) -> Any:
    raise AssertionError("it was awaited")


class Awaited:
    """A callable whose result must be awaited."""

    async def __call__(self, *_: object) -> Any:
        raise AssertionError("it was awaited")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "function",
    [never_awaited, Awaited(), functools.partial(Awaited())],
    ids=["function", "object", "partial"],
)
@pytest.mark.parametrize("option", ["encode", "decode", "hooks", "key"])
async def test_an_async_def_where_a_plain_function_belongs_is_refused(
    option: str, function: Any
) -> None:
    async def use(url: str) -> None:
        given = {"hooks": [function]} if option == "hooks" else {option: function}
        if option == "key":
            async with open_invoker(url) as invoker, invoker.map("f", [], **given):
                return
        async with open_invoker(url, **given):
            pass

    with CountingServer() as server:
        with pytest.raises((ConfigurationError, InvalidRequestError), match=option.rstrip("s")):
            await use(server.url)
        assert server.begun == 0
