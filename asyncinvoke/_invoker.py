"""`Invoker`: what users call, and the one place that wires the parts together."""

import json
import logging
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, TypeAlias, Unpack, overload

from asyncinvoke._clock import SYSTEM_CLOCK, Clock, default_clock
from asyncinvoke._engine.caller import Caller, Opened, unwrapped
from asyncinvoke._engine.calls import Calls, Defaults, check_timeout
from asyncinvoke._engine.events import Hook
from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.journal import Journal
from asyncinvoke._engine.map import MapRun
from asyncinvoke._engine.options import (
    EventOptions,
    InvokeOptions,
    MapOptions,
    StreamOptions,
    documented,
)
from asyncinvoke._engine.recording import Recorder
from asyncinvoke._engine.stream import ResponseStream
from asyncinvoke._engine.waits import Waits, guarded
from asyncinvoke._function import Function, In
from asyncinvoke._limits.limit import AdaptiveLimit, FixedLimit, read_limit
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._model.response import Decode, Out, Response, decode_json
from asyncinvoke._request.parameters import InvokeParameters, check_flag
from asyncinvoke._request.payload import Encode, check_plain, encode_json
from asyncinvoke._request.request import InvocationType
from asyncinvoke._request.target import show_value
from asyncinvoke._retries.policy import RetryPolicy
from asyncinvoke._statistics import InvokerStatistics, Tally
from asyncinvoke._telemetry.hooks import checked_hooks
from asyncinvoke._transport.base import LambdaClient, WholeTransport
from asyncinvoke._transport.process import loop_teller, open_files
from asyncinvoke.errors import ConfigurationError, InvalidRequestError

# A program that has not set up logging sees nothing of ours on standard error.
logging.getLogger("asyncinvoke").addHandler(logging.NullHandler())

_AnyTransport: TypeAlias = Literal["direct", "client"] | WholeTransport


class Invoker:
    """Invokes AWS Lambda functions; an async context manager.

    Args:
        client: An open aiobotocore client for `lambda`. It is used as it is and not closed. Its own
            retries must be off: `AioConfig(retries={"total_max_attempts": 1})`. Without one, the
            invoker opens a client, with region, credentials, profile, endpoint, proxies and TLS
            resolved as botocore resolves them.
        session: The aiobotocore session to open the client from; by default a new one.
        region_name: The region; by default what botocore finds.
        endpoint_url: Another endpoint than AWS's, such as that of a `LocalLambda`.
        config: An `AioConfig` for the client. Its retries must be off or not set; its connection
            pool is made as large as `limit`; its read timeout is 960 s unless it says otherwise.
        limit: How many attempts may be in flight at once: an `AdaptiveLimit` that follows what
            Lambda throttles, a number n for `AdaptiveLimit(maximum=n)`, or a `FixedLimit`. With a
            `client` of a smaller connection pool, at most the size of that pool.
        retry: What is repeated, and how, unless a call says otherwise; by default
            `RetryPolicy.standard()`, and `RetryPolicy.batch()` in `map`.
        timeout: Total time for each execution, in seconds, waits and retries included; by default
            unlimited.
        idempotent: Whether running a function twice does no harm, unless a call says otherwise.
        transport: `direct` sends what aiobotocore would send, prepared once for each function and
            signed for each call, at a fraction of the cost; it steps aside where somebody has
            wrapped, patched or hooked the SDK's call. `client` calls aiobotocore's own `invoke`
            each time. Or an object that makes the attempts itself, such as
            `asyncinvoke.testing.FakeLambda`: no client is opened then, and no region and no
            credentials are needed.
        encode: Turns a payload into bytes; by default compact JSON.
        decode: What `Response.json()` uses; by default JSON.
        hooks: Plain functions that are given each event as it happens, such as `ExecutionEnded` or
            `LimitChanged`; or `asyncinvoke.otel.OpenTelemetry()`.
        clock: Where time and sleep come from; by default the machine, or inside a block of
            `asyncinvoke.testing.no_waits` a clock without waits.

    Raises:
        ConfigurationError: The invoker cannot be built like this; on entering it, no region or no
            credentials were found.
    """

    def __init__(
        self,
        client: LambdaClient | None = None,
        *,
        session: object | None = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        config: object | None = None,
        limit: int | FixedLimit | AdaptiveLimit = 1000,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        idempotent: bool = False,
        transport: Literal["direct", "client"] | WholeTransport = "direct",
        encode: Encode = encode_json,
        decode: Decode = decode_json,
        hooks: Iterable[Hook] = (),
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._opening: dict[str, Any] = {
            "session": session,
            "region_name": region_name,
            "endpoint_url": endpoint_url,
            "config": config,
        }
        for name in ("time", "monotonic", "sleep"):
            if clock is not None and not callable(getattr(clock, name, None)):
                raise ConfigurationError(f"clock has no `{name}`: it is a {type(clock).__name__}")
        self._own_clock = clock
        self._hooks = checked_hooks(hooks)
        for name, function in (("encode", encode), ("decode", decode)):
            check_plain(name, function)
        self._new_limiter = partial(Limiter, read_limit(limit), hooks=self._hooks)
        self._limiter = self._new_limiter(clock=SYSTEM_CLOCK if clock is None else clock)
        self._transport = _checked_transport(transport)
        self._tally = Tally()
        self._opened: Opened | None = None
        self._is_opening = False
        policy = RetryPolicy.standard() if retry is None else retry
        if not isinstance(policy, RetryPolicy):
            raise ConfigurationError(f"retry {show_value(retry)} must be a RetryPolicy")
        try:
            check_timeout(timeout)
            check_flag("idempotent", idempotent)
        except InvalidRequestError as error:
            raise ConfigurationError(str(error)) from None
        defaults = Defaults(decode=decode, retry=policy, timeout=timeout, idempotent=idempotent)
        self._caller = Caller(self._running, Calls(defaults, self._tally), encode, _recorder)
        self._check_client()

    async def __aenter__(self) -> Self:
        if self._opened is not None or self._is_opening:
            raise ConfigurationError(
                "the invoker is open already: one block at a time, shared by all tasks in it"
            )
        self._is_opening = True
        try:
            self._opened = await self._open()
        finally:
            self._is_opening = False
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            opened = self._running()
            self._opened = None
            await opened.close()

    async def drain(self) -> None:
        """Wait until no call is under way, those that begin meanwhile included.

        For a service that is about to stop: once it takes no more work, `await invoker.drain()`
        before its block ends lets what it has begun come to an end. Put `anyio.move_on_after`
        around it for a limit in time; whatever the end of the block finds under way fails with a
        `TransportError` whose `code` is `InvokerClosed`.

        Raises:
            ConfigurationError: The invoker is not open, or was opened in another event loop.
        """
        await self._running().engine.drained()

    @documented(InvokeOptions)
    async def invoke(
        self, function_name: str, payload: object = None, **options: Unpack[InvokeOptions]
    ) -> Response[Any]:
        """Invoke a function and wait for its response.

        Args:
            function_name: A name, `name:alias`, an ARN or a partial ARN, with or without qualifier.
            payload: `None` for none (the function gets `{}`), bytes that are sent as they are, or
                anything JSON can hold; at most 6,291,456 bytes, for Event 1,048,576.
            **options: How to invoke it, each by its name as listed below.

        Raises:
            InvalidRequestError: A value breaks one of Lambda's rules; nothing was sent.
            InvocationError: The execution failed: `ThrottledError`, `FunctionError`,
                `NotReadyError`, `RejectedError`, `ServiceError`, `TransportError` or
                `DeadlineExceededError`.
            ConfigurationError: The invoker is not open, or was opened in another event loop.
        """
        execution = self._caller.execution(function_name, payload, options)
        del payload, options  # so that no traceback shows them
        __tracebackhide__ = True  # pytest then shows the caller's line
        return unwrapped(await execution)

    @documented(EventOptions)
    async def send_event(
        self, function_name: str, payload: object = None, **options: Unpack[EventOptions]
    ) -> Response[Any]:
        """Put an event into the function's queue: `invoke` with `invocation_type="Event"`.

        Args:
            function_name: As for `invoke`.
            payload: As for `invoke`, at most 1,048,576 bytes.
            **options: How to invoke it, each by its name as listed below.

        Returns:
            A response with status 202: accepted, which does not mean that it will succeed.
        """
        execution = self._caller.typed(InvocationType.EVENT, function_name, payload, options)
        del payload, options
        __tracebackhide__ = True  # pytest then shows the caller's line
        return unwrapped(await execution)

    @documented(EventOptions)
    async def dry_run(
        self, function_name: str, payload: object = None, **options: Unpack[EventOptions]
    ) -> Response[Any]:
        """Check the arguments and the permission without running: `invocation_type="DryRun"`.

        Args:
            function_name: As for `invoke`.
            payload: As for `invoke`.
            **options: How to invoke it, each by its name as listed below.

        Returns:
            A response with status 204.
        """
        execution = self._caller.typed(InvocationType.DRY_RUN, function_name, payload, options)
        del payload, options
        __tracebackhide__ = True  # pytest then shows the caller's line
        return unwrapped(await execution)

    @documented(StreamOptions)
    def stream(
        self, function_name: str, payload: object = None, **options: Unpack[StreamOptions]
    ) -> AbstractAsyncContextManager[ResponseStream]:
        """Invoke a function and take its answer as it comes (`InvokeWithResponseStream`).

        Use it as `async with invoker.stream(...) as stream: async for chunk in stream: ...`.
        Entering the block waits for the first chunk, and attempts are repeated until then and no
        further. The permit is held until the stream has ended or the block is left; leaving it
        early closes the connection, which does not stop the function. A `timeout` is the total time
        until the last chunk: it interrupts a wait for a chunk, not what the block does with one.

        Args:
            function_name: As for `invoke`.
            payload: As for `invoke`.
            **options: How to invoke it, each by its name as listed below.

        Raises:
            InvalidRequestError: A value breaks one of Lambda's rules; nothing was sent.
            InvocationError: On entering the block, as for `invoke`.
        """
        try:
            return self._caller.stream(function_name, payload, options)
        finally:
            del payload, options  # so that no traceback shows them

    @documented(MapOptions)
    def map(
        self,
        function_name: str,
        payloads: Iterable[object] | AsyncIterable[object],
        **options: Unpack[MapOptions],
    ) -> AbstractAsyncContextManager[MapRun[Any]]:
        """Invoke a function once for each payload.

        Use it as `async with invoker.map(...) as run: async for outcome in run: ...`. Every item
        that is started gets exactly one `Outcome`, whatever is wrong with it; one without an
        outcome was not sent. Iterating raises only what ends the run early: see `MapRun`. Leaving
        the block early cancels what is in flight.

        Args:
            function_name: As for `invoke`.
            payloads: Any iterable or async iterable, an endless one too. It is read lazily, at most
                `concurrency` and 16 items ahead of the outcomes that were taken, or `concurrency`
                and two batches. An item is a payload, or a `Request` that overrides options for
                itself. It is encoded when its turn comes, some items after it was read, so that a
                generator has to yield a new object for each. An async generator is closed with the
                block.
            **options: How to run the map, and how to invoke each item, each by its name as listed
                below.

        Raises:
            InvalidRequestError: An option breaks a rule; nothing was sent.
            JournalError: On entering the block: the `journal` cannot be used, or, as a
                `JournalMismatchError`, it belongs to another call or input; nothing was sent. An
                input that can be read only once is compared while it is iterated, which then raises.
        """
        try:
            return self._caller.map(function_name, payloads, options)
        finally:
            del payloads, options

    @overload
    def function(
        self, function_name: str, **defaults: Unpack[InvokeOptions]
    ) -> Function[object, Any]: ...
    @overload
    def function(
        self,
        function_name: str,
        *,
        encode: Callable[[In], bytes],
        **defaults: Unpack[InvokeOptions],
    ) -> Function[In, Any]: ...
    @overload
    def function(
        self,
        function_name: str,
        *,
        decode: Callable[[bytes], Out],
        **defaults: Unpack[InvokeOptions],
    ) -> Function[object, Out]: ...
    @overload
    def function(
        self,
        function_name: str,
        *,
        encode: Callable[[In], bytes],
        decode: Callable[[bytes], Out],
        **defaults: Unpack[InvokeOptions],
    ) -> Function[In, Out]: ...
    @documented(InvokeOptions)
    def function(
        self,
        function_name: str,
        *,
        encode: Encode | None = None,
        decode: Decode | None = None,
        **defaults: Unpack[InvokeOptions],
    ) -> Function[Any, Any]:
        """Bind a function, its codecs and default options to a handle.

        Args:
            function_name: As for `invoke`.
            encode: Turns a payload into bytes, such as `TypeAdapter(Photo).dump_json`; by default
                the invoker's. It types what the handle takes.
            decode: Turns a payload that came back into a value, such as
                `Thumb.model_validate_json`; by default the invoker's. It types what `json()` gives.
            **defaults: Options for each call, each by its name as listed below.

        Raises:
            InvalidRequestError: An option breaks a rule.
        """
        for name, codec in (("encode", encode), ("decode", decode)):
            if codec is not None:
                check_plain(name, codec)
        caller = self._caller.with_codecs(encode, decode)
        caller.check(function_name, defaults)
        return Function(self, caller, function_name, defaults)

    def statistics(self) -> InvokerStatistics:
        """Return a snapshot: what is in flight, what waits, and the counts so far."""
        return InvokerStatistics(
            limit=self._limiter.limit,
            in_flight=self._limiter.in_flight,
            waiting=self._limiter.waiting,
            calls=self._tally.calls,
            attempts=self._tally.attempts,
            retries=self._tally.retries,
            throttles=dict(self._tally.throttles),
            scopes=self._limiter.statistics(),
            executions=self._tally.executions(),
            functions=self._tally.functions(),
        )

    def __repr__(self) -> str:
        state = "closed" if self._opened is None else "open"
        return (
            f"<Invoker {state}, {self._limiter.in_flight}/{self._limiter.limit} in flight, "
            f"{self._limiter.waiting} waiting, {self._tally.attempts} attempts>"
        )

    def __reduce__(self) -> NoReturn:
        # A copy would say that it is not open: its parts ask this one.
        raise ConfigurationError(
            "an invoker can be neither copied nor pickled, for it belongs to one event loop: "
            "make another where it is needed, with `Invoker(...)`"
        )

    def _check_client(self) -> None:
        given = [name for name, value in self._opening.items() if value is not None]
        if not isinstance(self._transport, str) and (self._client is not None or given):
            unused = "client" if self._client is not None else given[0]
            raise ConfigurationError(f"{unused} has no effect on a transport that is given")
        if self._client is None:
            return
        if given:
            raise ConfigurationError(f"{given[0]} has no effect on a client that is given")
        from asyncinvoke._transport.session import pool_size

        # More in flight than connections would let signatures grow old in the pool's queue.
        self._new_limiter = partial(self._new_limiter, connections=pool_size(self._client))
        self._limiter = self._new_limiter()

    async def _open(self) -> Opened:
        clock = default_clock() if self._own_clock is None else self._own_clock
        # A new one: what a closed one knows is old, and its times mean nothing on another clock.
        self._limiter = self._new_limiter(clock=clock, files=open_files())
        waits = Waits(loop_teller())
        async with AsyncExitStack() as stack:
            transport, region = await self._open_transport(stack)
            if self._hooks:
                self._hooks.opened(self.statistics)
                stack.callback(self._hooks.closed, self.statistics)
            return Opened(
                engine=Engine(
                    self._limiter,
                    clock=clock,
                    tally=self._tally,
                    waits=waits,
                    hooks=self._hooks,
                    region=region,
                ),
                transport=guarded(transport, waits),
                stack=stack.pop_all(),
            )

    async def _open_transport(self, stack: AsyncExitStack) -> tuple[WholeTransport, str | None]:
        """Return the transport, and the region that it sends to, if that is known."""
        if not isinstance(self._transport, str):
            return self._transport, None
        # aiobotocore takes a third of a second to import, so only those who invoke wait for it.
        from asyncinvoke._transport.session import open_client, open_transport

        client: Any = self._client
        if client is None:
            client = await stack.enter_async_context(
                open_client(max_pool_connections=self._limiter.limit, **self._opening)
            )
        region = getattr(client.meta, "region_name", None)
        return await open_transport(client, self._transport), region

    def _running(self) -> Opened:
        opened = self._opened
        if opened is None:
            raise ConfigurationError("the invoker is not open: use `async with Invoker(...)`")
        waits = opened.engine.waits
        try:
            # As `check_loop`: inlined, which saves a call.
            if waits.this_loop is not None and waits.this_loop() is waits.home:
                return opened
        except RuntimeError:
            pass
        waits.check_loop()
        return opened


def _recorder(
    journal: Journal,
    *,
    identity: Mapping[str, object],
    shared: InvokeParameters,
    keyed: bool,
    engine: Engine,
) -> Recorder:
    # Those who keep no journal do not wait for SQLite to be imported.
    from asyncinvoke._journal.recorder import JournalRecorder

    def sample() -> tuple[object, ...]:
        limiter, tally = engine.limiter, engine.tally
        throttles = {reason.value: count for reason, count in tally.throttles.items()}
        # The tightest of the limits in use is the one that the run feels.
        scopes = limiter.statistics()
        limit = min((scope.limit for scope in scopes), default=limiter.limit)
        rates = [scope.rate for scope in scopes if scope.rate is not None]
        return (
            limiter.in_flight,
            limiter.waiting,
            limit,
            min(rates, default=None),
            json.dumps(throttles),
        )

    return JournalRecorder(
        journal,
        identity={**identity, "results": journal.results},
        shared=shared,
        keyed=keyed,
        sample=sample,
        clock=engine.clock,
    )


def _checked_transport(transport: _AnyTransport) -> _AnyTransport:
    if isinstance(transport, str):
        if transport not in ("direct", "client"):
            raise ConfigurationError(
                f"transport {show_value(transport)} must be 'direct' or 'client'"
            )
    elif not all(callable(getattr(transport, name, None)) for name in ("send", "open")):
        raise ConfigurationError(
            f"transport must be 'direct', 'client' or an object with `send` and `open`, "
            f"not {type(transport).__name__}"
        )
    return transport
