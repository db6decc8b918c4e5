"""Whatever raises during a call, no frame of this package shows the payload or a client context.

Interrupts matter most: they may come anywhere, are not caught, and error trackers show the locals
of each frame that they passed through.
"""

import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import asyncinvoke
from asyncinvoke import Backoff, Batch, Invoker, Request, RetryPolicy, Shard
from asyncinvoke._engine.frames import hide_frames
from asyncinvoke._request.payload import encode_payload
from asyncinvoke._request.request import InvocationType
from asyncinvoke.testing import FakeLambda

pytestmark = pytest.mark.anyio

SECRET = "hunter2"
PAYLOAD = {"password": SECRET}
OURS = str(Path(asyncinvoke.__file__).parent)


class InterruptError(BaseException):
    """Stands for `KeyboardInterrupt`, which asyncio would raise out of the event loop."""


def interrupt(*_: object) -> Any:
    raise InterruptError


class Interrupted(dict[str, Any]):
    """A mapping that raises an interrupt when it is read."""

    def keys(self) -> Any:
        raise InterruptError

    items = __iter__ = keys


def shown_by(error: BaseException) -> list[str]:
    """Return the locals of this package's frames, and of json's, that show the secret."""
    found = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None:
            continue
        left += [each.__cause__, each.__context__]
        left += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        for frame, _ in traceback.walk_tb(each.__traceback__):
            code = frame.f_code
            if code.co_filename.startswith((OURS, str(Path(json.__file__).parent))):
                found += [
                    f"{code.co_qualname}.{name}"
                    for name, value in frame.f_locals.items()
                    if SECRET in repr(value)
                ]
    return found


class Transport:
    """A custom transport that raises."""

    async def send(self, *_: object) -> Any:
        del _
        interrupt()

    open = send


def on(name: str) -> Callable[[object], None]:
    def hook(event: object) -> None:
        if type(event).__name__ == name:
            interrupt()

    return hook


def busy(_event: object, _context: object) -> Any:
    raise RuntimeError("busy")


def retry(**strategy: Any) -> RetryPolicy:
    never: dict[str, Any] = {"wait": lambda _: 0.0, "stop": lambda _: True}
    return RetryPolicy(function=Backoff(**{**never, **strategy}))


async def streamed(block: Any) -> None:
    async with block as stream:
        async for _ in stream:
            pass


Use = Callable[[Any, dict[str, Any]], Awaitable[Any]]

WAYS: dict[str, Use] = {
    "invoke": lambda invoker, options: invoker.invoke("f", PAYLOAD, **options),
    "send_event": lambda invoker, options: invoker.send_event("f", PAYLOAD, **options),
    "dry_run": lambda invoker, options: invoker.dry_run("f", PAYLOAD, **options),
    "stream": lambda invoker, options: streamed(invoker.stream("f", PAYLOAD, **options)),
    "map": lambda invoker, options: streamed(invoker.map("f", [PAYLOAD] * 3, **options)),
    "handle": lambda invoker, options: invoker.function("f")(PAYLOAD, **options),
    "handle.send_event": lambda invoker, options: invoker.function("f").send_event(
        PAYLOAD, **options
    ),
    "handle.dry_run": lambda invoker, options: invoker.function("f").dry_run(PAYLOAD, **options),
    "handle.stream": lambda invoker, options: streamed(
        invoker.function("f").stream(PAYLOAD, **options)
    ),
    "handle.map": lambda invoker, options: streamed(
        invoker.function("f").map([PAYLOAD] * 3, **options)
    ),
}
EVERYWHERE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # Places where user code is called: options of the invoker, and of the call.
    "encode": ({"encode": interrupt}, {}),
    "our own encode": ({}, {"client_context": {"of": Interrupted(a=SECRET)}}),
    "a client context": ({}, {"client_context": Interrupted(a=SECRET)}),
    "a transport": ({"transport": Transport()}, {}),
    **{
        f"a hook at {event}": ({"hooks": [on(event)]}, {})
        for event in ("ExecutionStarted", "AttemptStarted", "AttemptEnded", "ExecutionEnded")
    },
}
POLICIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    name: ({}, {"retry": retry(**{name: interrupt})}) for name in ("wait", "stop", "when")
}


async def shown(use: Use, given: dict[str, Any], options: dict[str, Any], handler: Any) -> Any:
    settings = {"transport": FakeLambda({"f": handler}), **given}
    async with Invoker(**settings) as invoker:
        with pytest.raises(InterruptError) as raised:
            await use(invoker, options)
    return shown_by(raised.value)


@pytest.mark.parametrize("way", WAYS)
async def test_an_interrupt_of_the_users_code_shows_no_payload_in_a_frame_of_ours(way: str) -> None:
    found = {
        where: await shown(WAYS[way], *settings, lambda event, _: event)
        for where, settings in EVERYWHERE.items()
    }
    if "event" not in way and "dry" not in way:  # these do not run the function that would fail
        for where, settings in POLICIES.items():
            found[where] = await shown(WAYS[way], *settings, busy)
    assert not any(found.values()), found


def broken_source() -> Iterator[object]:
    yield PAYLOAD
    interrupt()


async def broken_async_source() -> AsyncIterator[object]:
    yield PAYLOAD
    interrupt()


class Shape:
    def __init__(self, **raising: Any) -> None:
        vars(self).update(raising)

    def pack(self, items: Any, common: Any) -> Any:
        return [item.json() for item in items]

    def unpack(self, answer: Any, items: Any) -> Any:
        return answer


ITEMS: dict[str, tuple[dict[str, Any], Callable[[], Any], dict[str, Any]]] = {
    # Places where a map calls user code: options of the invoker, the input, options of the map.
    "encode": ({"encode": interrupt}, lambda: [PAYLOAD] * 3, {}),
    "encode of a request": ({"encode": interrupt}, lambda: [Request(payload=PAYLOAD)], {}),
    "our own encode": ({}, lambda: [[PAYLOAD, Interrupted(a=1)]], {}),
    "a client context": ({}, lambda: [Request(client_context=Interrupted(a=SECRET))], {}),
    "key": ({}, lambda: [PAYLOAD] * 3, {"key": interrupt}),
    "a transport": ({"transport": Transport()}, lambda: [PAYLOAD] * 3, {}),
    "an input": ({}, broken_source, {}),
    "an async input": ({}, broken_async_source, {}),
    "pack": ({}, lambda: [PAYLOAD] * 3, {"batch": Batch(items=2, shape=Shape(pack=interrupt))}),
    "unpack": ({}, lambda: [PAYLOAD] * 3, {"batch": Batch(items=2, shape=Shape(unpack=interrupt))}),
}


@pytest.mark.parametrize("is_recorded", [False, True], ids=["plain", "recorded"])
@pytest.mark.parametrize("where", ITEMS)
async def test_an_interrupt_within_a_map_shows_no_payload_in_a_frame_of_ours(
    where: str, is_recorded: bool, tmp_path: Path
) -> None:
    given, payloads, its_own = ITEMS[where]
    found = {}
    # Recorded items are prepared before they are batched, so batches make no difference.
    plain: list[dict[str, Any]] = [{}, {"shard": Shard(1, of=1)}, {"batch": 2}]
    for more in plain[:1] if is_recorded else plain:
        options = {**more, **its_own}
        if is_recorded:
            options["journal"] = str(tmp_path / "a.run")
        found[str(more)] = await shown(
            lambda invoker, made: streamed(invoker.map("f", payloads(), **made)),
            given,
            options,
            lambda event, _: event,
        )
    assert not any(found.values()), found


async def test_an_interrupt_while_a_run_is_compared_with_its_input_shows_no_payload(
    tmp_path: Path,
) -> None:
    options = {"journal": str(tmp_path / "a.run")}
    async with Invoker(transport=FakeLambda({"f": lambda event, _: event})) as invoker:
        await WAYS["map"](invoker, options)
    assert not await shown(WAYS["map"], {"encode": interrupt}, options, lambda event, _: event)


async def test_what_binding_a_function_raises_shows_no_client_context() -> None:
    async with Invoker(transport=FakeLambda({"f": lambda event, _: event})) as invoker:
        for context, wrong in (({"a": SECRET}, {"timeout": -1}), (Interrupted(a=SECRET), {})):
            options: dict[str, Any] = {"client_context": context, **wrong}
            with pytest.raises((InterruptError, asyncinvoke.InvalidRequestError)) as raised:
                invoker.function("f", **options)
            assert not shown_by(raised.value)
        bound: list[dict[str, Any]] = [
            {"durable_execution_name": "once"},
            {"invocation_type": "Event"},
        ]
        for no_stream in bound:
            named = invoker.function("f", client_context={"a": SECRET}, **no_stream)
            with pytest.raises(asyncinvoke.InvalidRequestError) as refused:
                named.stream(PAYLOAD)
            assert not shown_by(refused.value)


async def test_an_error_of_the_callers_policy_or_transport_shows_no_payload(tmp_path: Path) -> None:
    class Broken(Transport):
        async def send(self, *_: object) -> Any:
            del _
            raise LookupError

        open = send

    def lookup(_: object) -> Any:
        raise LookupError

    for given, options, handler in (
        ({"transport": Broken()}, {}, busy),
        ({}, {"retry": retry(wait=lookup)}, busy),
    ):
        for number, way in enumerate(("invoke", "stream", "map", "map")):
            journal = {"journal": str(tmp_path / f"{len(given)}.run")} if number == 3 else {}
            settings: dict[str, Any] = {"transport": FakeLambda({"f": handler}), **given}
            async with Invoker(**settings) as invoker:
                with pytest.raises(LookupError) as raised:
                    await WAYS[way](invoker, {**options, **journal})
            assert not shown_by(raised.value)


@pytest.mark.parametrize("payload", [b'{"a": "hunter2"', b'"hunter2\xff"', b"[" * 99_999, b""])
async def test_a_payload_that_is_not_json_is_not_kept_by_the_error(payload: bytes) -> None:
    response: asyncinvoke.Response[Any] = asyncinvoke.Response(status_code=200, payload=payload)
    if not payload:
        assert response.json() is None
        return
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the messages are json's own
        response.json()
    assert not shown_by(raised.value)
    error = raised.value
    assert SECRET not in repr((str(error), vars(error), getattr(error, "object", b"")))
    if isinstance(error, json.JSONDecodeError):
        assert (error.doc, error.lineno, error.colno) == ("", 1, 16)


def test_frames_of_others_stay_and_so_do_all_those_of_an_error_of_others() -> None:
    def raised(error: BaseException) -> BaseException:
        def encode(_: object) -> bytes:
            raise error

        try:
            encode_payload(1, encode=encode, invocation_type=InvocationType.EVENT)
        except BaseException as caught:
            hide_frames(caught)
            return caught
        raise AssertionError

    def names(error: BaseException) -> list[str]:
        return [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]

    assert names(raised(InterruptError())) == ["raised", "encode"]
    refused = raised(asyncinvoke.InvalidRequestError("no"))
    assert names(refused) == ["raised", "encode"]
    ours = LookupError()
    try:
        raise ours
    except LookupError:
        before = ours.__traceback__
        hide_frames(ours)
        assert ours.__traceback__ is before
