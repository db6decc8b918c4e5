"""Maps as users run them: over an invoker, with the failures that occur in practice."""

import contextlib
import errno
import gc
import socket
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from aiobotocore.session import AioSession
from tenacity import RetryCallState, stop_never

from asyncinvoke import (
    Backoff,
    ConfigurationError,
    FixedLimit,
    FunctionError,
    InvalidRequestError,
    Invoker,
    MapRun,
    Outcome,
    RejectedError,
    Request,
    RetryPolicy,
    ToleranceExceededError,
)
from asyncinvoke._engine.hopeless import HOPELESS_AFTER
from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke._request.payload import encode_json
from asyncinvoke.local import LocalLambda
from asyncinvoke.testing import FakeLambda, InstantClock
from tests.doubles.engine import FAILED, NOT_READY, REJECTED, SERVICE, ScriptedTransport
from tests.doubles.waiting import settle

from .map_doubles import SOON, silent, tasks

pytestmark = pytest.mark.anyio

SESSION = AioSession()  # keeps the service model, which is slow to load


def echo(event: Any, context: Any) -> Any:
    return event


async def collected(run: MapRun) -> list[Outcome]:
    with anyio.fail_after(SOON):
        return [each async for each in run]


# One map feeds another


async def resized(invoker: Invoker, names: Any) -> AsyncIterator[Any]:
    async with invoker.map("resize", names, concurrency=3) as run:
        async for each in run:
            yield each.unwrap().json()


def shops(**more: Any) -> FakeLambda:
    return FakeLambda({"resize": lambda event, context: event * 2, "crop": echo, **more})


async def test_the_outcomes_of_one_map_feed_another() -> None:
    before = tasks()
    async with Invoker(transport=shops()) as invoker:
        twice = resized(invoker, resized(invoker, range(20)))
        async with invoker.map("crop", twice, concurrency=4, ordered=True) as run:
            got = [each.unwrap().json() for each in await collected(run)]
    assert sorted(got) == [4 * number for number in range(20)]
    assert tasks() == before


async def test_leaving_the_last_of_several_maps_leaves_them_all() -> None:
    before = tasks()
    shop = shops()
    async with Invoker(transport=shop) as invoker:
        twice = resized(invoker, resized(invoker, iter(int, 1)))
        async with invoker.map("crop", twice, concurrency=4) as run:
            async for each in run:
                if each.index == 30:
                    break
        assert tasks() == before
        requests = len(shop.requests)
        await settle()
        assert len(shop.requests) == requests


async def test_an_error_of_the_first_of_several_maps_comes_out_of_the_last() -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise OSError("disk on fire")

    async with Invoker(transport=shops()) as invoker:
        with pytest.raises(OSError, match="disk on fire"):  # noqa: PT012
            async with invoker.map("crop", resized(invoker, broken())) as run:
                got = []
                with anyio.fail_after(SOON):
                    async for each in run:
                        got.append(each.unwrap().json())
    assert sorted(got) == [0, 2, 4, 6, 8]


# Errors raised by the caller's own code


def of_a_policy(state: RetryCallState) -> float:
    raise LookupError("mine")


async def test_the_error_of_a_policy_is_raised_while_the_input_is_silent() -> None:
    retry = RetryPolicy(not_sent=Backoff(wait=of_a_policy, stop=stop_never))
    answers = [Failure(fault=TransportFault.CONNECT, phase=Phase.CONNECTING, message="refused")]
    async with Invoker(transport=ScriptedTransport(answers)) as invoker:
        with pytest.raises(LookupError, match="mine"):
            async with invoker.map("work", silent(1), retry=retry) as run:
                await collected(run)


class Broken(ScriptedTransport):
    """A transport with a bug."""

    async def send(self, *given: Any) -> Any:
        raise LookupError("mine")


async def test_the_error_of_a_transport_is_raised_while_the_input_is_silent() -> None:
    async with Invoker(transport=Broken([])) as invoker:
        with pytest.raises(LookupError, match="mine"):
            async with invoker.map("work", silent(1)) as run:
                await collected(run)


# Invalid items


def nested() -> object:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


class RaisesOnAnyUse:
    """Raises on any use."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError

    def __hash__(self) -> int:
        raise ZeroDivisionError

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


def generated() -> Iterator[int]:
    yield 1


WRONG: list[tuple[str, Any]] = [
    ("a set", {1}),
    ("a generator", generated()),
    ("an object", object()),
    ("nested too deeply", nested()),
    ("not a number", float("nan")),
    ("hostile", RaisesOnAnyUse()),
    ("too large", b"x" * 6_291_457),
    ("hostile within", [RaisesOnAnyUse()]),
    ("no function name", Request(function_name="no such name")),
    ("a number for a function", Request(function_name=7)),  # type: ignore[arg-type]
    ("a hostile function", Request(function_name=RaisesOnAnyUse())),  # type: ignore[arg-type]
    ("a hostile qualifier", Request(qualifier=RaisesOnAnyUse())),  # type: ignore[arg-type]
    ("a list for a qualifier", Request(qualifier=["live"])),  # type: ignore[arg-type]
    ("a hostile context", Request(client_context=RaisesOnAnyUse())),  # type: ignore[arg-type]
    ("a context that is not JSON", Request(client_context={"a": object()})),
    ("a tenant that no header carries", Request(tenant_id=" a")),
    ("half a character", Request(tenant_id="\ud800")),
    ("minus infinity", Request(timeout=-(10**400))),
    ("a hostile timeout", Request(timeout=RaisesOnAnyUse())),  # type: ignore[arg-type]
    ("a word for a flag", Request(idempotent="yes")),  # type: ignore[arg-type]
    ("a number for a key", Request(key=7)),  # type: ignore[arg-type]
    ("a type that is none", Request(invocation_type="Later")),  # type: ignore[arg-type]
    ("a log that is none", Request(log_type=RaisesOnAnyUse())),  # type: ignore[arg-type]
    ("a name that is none", Request(durable_execution_name="")),
]


@pytest.mark.parametrize("ordered", [False, True])
async def test_each_way_in_which_an_item_can_be_wrong_is_one_outcome(ordered: bool) -> None:
    items = [item for pair in WRONG for item in (pair[1], len(pair[0]))]
    shop = shops()
    async with (
        Invoker(transport=shop) as invoker,
        invoker.map("crop", iter(items), ordered=ordered, concurrency=3) as run,
    ):
        got = sorted(await collected(run), key=lambda each: each.index)
    assert [each.index for each in got] == list(range(len(items)))
    for (name, _), wrong, right in zip(WRONG, got[::2], got[1::2], strict=True):
        assert right.unwrap().json() == len(name)
        assert isinstance(wrong.error, InvalidRequestError), name
        assert wrong.attempts == ()
        assert wrong.error.__traceback__ is None
    assert len(shop.requests) == len(WRONG)


async def test_a_timeout_beyond_every_float_means_no_timeout() -> None:
    async with (
        Invoker(transport=shops()) as invoker,
        invoker.map("crop", [Request(payload=1, timeout=10**400)]) as run,
    ):
        assert [each.ok for each in await collected(run)] == [True]


RAISED = [
    ValueError("payload 4711"),
    RecursionError(),
    StopIteration(),
    StopAsyncIteration(),
    MemoryError(),
    ExceptionGroup("several", [KeyError()]),
]


def raising(error: Exception) -> Callable[[Any], Any]:
    def call(payload: Any) -> Any:
        if payload == 3:
            raise error
        return str(payload)

    return call


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["key", "encode"])
async def test_whatever_key_and_encode_raise_is_the_outcome_of_that_item(
    error: Exception, where: str
) -> None:
    def encode(payload: Any) -> bytes:
        return str(raising(error)(payload)).encode()

    async with Invoker(transport=shops()) as invoker:
        crop = invoker.function("crop", encode=encode if where == "encode" else encode_json)
        options: Any = {"key": raising(error)} if where == "key" else {}
        async with crop.map(range(6), ordered=True, **options) as run:
            got = await collected(run)
    assert [each.ok for each in got] == [True, True, True, False, True, True]
    assert isinstance(got[3].error, InvalidRequestError)
    assert type(error).__name__ in str(got[3].error)
    assert "4711" not in str(got[3].error)
    assert got[3].error.__cause__ is None
    assert got[3].error.__traceback__ is None


@pytest.mark.parametrize("name", [7, None, b"name", ["name"]])
async def test_a_key_that_is_no_text_is_the_outcome_of_that_item(name: object) -> None:
    async with Invoker(transport=shops()) as invoker:
        found: Any = lambda payload: name if payload == 1 else "ok"  # noqa: E731
        async with invoker.map("crop", range(3), key=found, ordered=True) as run:
            assert [each.ok for each in await collected(run)] == [True, False, True]


def fail(event: Any, context: Any) -> None:
    raise KeyError(event)


async def test_failures_of_a_map_that_were_raised_leave_nothing_behind() -> None:
    errors: list[weakref.ref[BaseException]] = []
    gc.collect()
    gc.disable()
    try:
        async with (
            Invoker(transport=shops(fail=fail)) as invoker,
            invoker.map("fail", [*range(50), {1}]) as run,
        ):
            async for each in run:
                assert each.error is not None
                errors.append(weakref.ref(each.error))
                with contextlib.suppress(FunctionError, InvalidRequestError):
                    each.unwrap()
            del each
        assert len(errors) == 51
        assert [ref for ref in errors if ref() is not None] == []
    finally:
        gc.enable()


# Every call refused for one reason

CONCURRENCY = 10


@pytest.fixture
async def local() -> AsyncIterator[LocalLambda]:
    async with LocalLambda() as local:
        local.function("echo", echo)
        yield local


def opened(local: LocalLambda, **options: Any) -> Invoker:
    return Invoker(session=SESSION, endpoint_url=local.url, **options)


async def test_a_run_whose_every_call_is_refused_stops_with_the_reason(local: LocalLambda) -> None:
    got = []
    async with (
        opened(local) as invoker,
        invoker.map("missing", iter(int, 1), concurrency=CONCURRENCY) as run,
    ):
        with pytest.raises(ToleranceExceededError) as caught, anyio.fail_after(SOON):  # noqa: PT012
            async for each in run:
                got.append(each)
        statistics = run.statistics()
    error = caught.value
    assert str(error).startswith(
        "stopped after 100 refusals in a row: missing: ResourceNotFoundException: Function not found"
    )
    assert [each.what for each in error.causes] == ["RejectedError ResourceNotFoundException"]
    assert error.failed == error.ended == error.causes[0].count == HOPELESS_AFTER
    # Sent items have outcomes, and few more were sent than needed to detect the refusals.
    sent = local.statistics().invocations
    assert HOPELESS_AFTER <= sent == len(got) == statistics.failed
    assert sent <= HOPELESS_AFTER + 2 * CONCURRENCY
    assert all(isinstance(each.error, RejectedError) for each in got)


async def test_a_success_in_between_restarts_the_count() -> None:
    names = ["missing"] * (HOPELESS_AFTER - 1) + ["crop"]
    items = [Request(payload=1, function_name=name) for name in names * 2]
    async with (
        Invoker(transport=shops()) as invoker,
        invoker.map("missing", items, concurrency=1, ordered=True) as run,
    ):
        got = await collected(run)
    assert [each.ok for each in got] == [name == "crop" for name in names * 2]


async def test_one_function_of_several_that_is_missing_does_not_stop_the_others(
    local: LocalLambda,
) -> None:
    items = [
        Request(payload=1, function_name="echo" if number == 120 else "missing")
        for number in range(130)
    ]
    items[0] = Request(payload=1, function_name="echo")
    async with (
        opened(local) as invoker,
        invoker.map("echo", items, concurrency=CONCURRENCY) as run,
    ):
        got = await collected(run)
    assert sum(each.ok for each in got) == 2
    assert len(got) == len(items)


async def test_refusals_for_different_reasons_do_not_stop_a_run() -> None:
    codes = set()
    async with (
        Invoker(transport=AlternatingTransport()) as invoker,
        invoker.map("work", range(300), concurrency=1) as run,
    ):
        for each in await collected(run):
            assert isinstance(each.error, RejectedError)
            codes.add(each.error.code)
    assert codes == {"ResourceNotFoundException", "AccessDeniedException"}


class AlternatingTransport(ScriptedTransport):
    def __init__(self) -> None:
        super().__init__([])

    async def send(self, *given: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        self.sent.append(given[:2])
        if len(self.sent) % 2:
            return Failure(status_code=404, code="ResourceNotFoundException", message="none")
        return Failure(status_code=403, code="AccessDeniedException", message="no")


# Controlled from elsewhere


async def test_a_map_takes_controls_of_another_thread_only_through_its_event_loop() -> None:
    shared: list[Callable[[MapRun], object]] = [
        MapRun.pause,
        MapRun.resume,
        lambda run: run.set_concurrency(3),
        lambda run: run.note("name", 1),
        MapRun.stop,  # last: half of it would make leaving the block wait forever
    ]
    async with (
        Invoker(transport=FakeLambda()) as invoker,
        invoker.map("resize", silent(), concurrency=2) as run,
    ):
        await settle()
        for control in shared:
            with pytest.raises(ConfigurationError, match="in its own event loop"):
                await anyio.to_thread.run_sync(control, run)
        now = run.statistics()
        assert (now.stopped, now.paused, now.concurrency) == (False, False, 2)
        await anyio.to_thread.run_sync(anyio.from_thread.run_sync, run.stop)
        assert await collected(run) == []


async def test_a_map_that_another_task_leaves_frees_its_journal(tmp_path: Path) -> None:
    fake = FakeLambda()
    fake.function("resize", echo)
    async with Invoker(transport=fake) as invoker:

        def resizing() -> Any:
            return invoker.map("resize", range(9), journal=tmp_path / "resize.run", concurrency=2)

        async def leave() -> None:
            with pytest.raises(ConfigurationError, match="in the task that entered it"):
                await block.__aexit__(None, None, None)

        block = resizing()
        run = await block.__aenter__()
        await anext(run)
        async with anyio.create_task_group() as group:
            group.start_soon(leave)
        async with resizing() as run:
            assert len(await collected(run)) == 9
        await block.__aexit__(None, None, None)
    assert invoker.statistics().attempts == 9


# Nothing is admitted


async def test_a_waiting_run_reports_the_reason(local: LocalLambda) -> None:
    local.function("closed", echo, reserved_concurrency=0)
    async with opened(local) as invoker, invoker.map("closed", [1, 2], concurrency=2) as run:
        text = None
        with anyio.fail_after(SOON):
            while text is None:  # also while a single attempt probes the limit
                await anyio.sleep(0.005)
                text = run.statistics().waiting_for
    assert "closed" in text
    assert "ReservedFunctionConcurrentInvocationLimitExceeded" in text


# Nothing is reached


class Outage(ScriptedTransport):
    """A transport that refuses a number of connections, and then answers."""

    def __init__(self, refusals: int) -> None:
        super().__init__([])
        self.refusals = refusals
        self._answering = shops()

    async def send(self, parameters: Any, payload: bytes, progress: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            await anyio.lowlevel.checkpoint()
            return Failure(
                fault=TransportFault.CONNECT,
                phase=Phase.CONNECTING,
                message="refused",
                cause=ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
            )
        return await self._answering.send(parameters, payload, progress)


async def test_a_map_bridges_an_outage_of_minutes() -> None:
    clock, transport = InstantClock(), Outage(40)
    began = clock.monotonic()
    async with (
        Invoker(transport=transport, clock=clock, limit=FixedLimit(20)) as invoker,
        invoker.map("crop", range(100)) as run,
    ):
        got = await collected(run)
    assert [each.ok for each in got] == [True] * 100
    assert transport.refusals == 0
    assert clock.monotonic() - began > 60
    assert sum(len(each.attempts) for each in got) == 100 + 40


@pytest.mark.parametrize(
    "answer",
    [
        FAILED,
        NOT_READY,
        REJECTED,
        SERVICE,
        Failure(fault=TransportFault.STATUS, phase=Phase.BODY_READ, status_code=203),
    ],
    ids=["function error", "not ready", "rejected", "service", "status"],
)
async def test_an_endpoint_that_answers_is_reachable_whatever_its_answer_is(
    answer: Reply | Failure,
) -> None:
    class UnreachableTransport(Outage):
        async def send(self, parameters: Any, payload: bytes, progress: Any) -> Any:
            return await super().send(parameters, payload, progress) if self.refusals else answer

    async with (
        Invoker(
            transport=UnreachableTransport(20), clock=InstantClock(), limit=FixedLimit(20)
        ) as invoker,
        invoker.map("crop", range(30)) as run,
    ):
        got = await collected(run)
    assert not any(each.ok for each in got)
    # Otherwise each item would wait five seconds for the outage.
    assert [each.pause for each in invoker.statistics().scopes if each.scope == "caller"] == [0]


class EndpointOpeningClock(InstantClock):
    """A clock that opens an endpoint after a number of waits."""

    def __init__(self, may_open: anyio.Event, is_open: anyio.Event) -> None:
        super().__init__()
        self._may_open, self._is_open = may_open, is_open

    async def sleep(self, seconds: float) -> None:
        if len(self.slept) > 3:
            self._may_open.set()
            await self._is_open.wait()
        await super().sleep(seconds)


async def test_a_map_waits_for_an_endpoint_that_opens_later(transport: str) -> None:
    # While it is only bound, it refuses connections, and no one else can take its port.
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    may_open, is_open = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as group:

        async def serve() -> None:
            with sock:
                await may_open.wait()
            async with LocalLambda(port=port) as local:
                local.function("echo", echo)
                is_open.set()
                await anyio.sleep_forever()

        group.start_soon(serve)
        options: Any = {"transport": transport, "clock": EndpointOpeningClock(may_open, is_open)}
        url = f"http://127.0.0.1:{port}"
        async with (
            Invoker(session=SESSION, endpoint_url=url, **options) as invoker,
            invoker.map("echo", range(50), concurrency=20) as run,
        ):
            got = await collected(run)
        group.cancel_scope.cancel()
    assert sorted(each.unwrap().json() for each in got) == list(range(50))
    assert max(len(each.attempts) for each in got) > 1
