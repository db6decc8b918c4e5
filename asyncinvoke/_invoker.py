"""`Invoker`: what users call, and the one place that wires the parts together."""

import logging
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, Unpack, overload

from asyncinvoke._clock import Clock
from asyncinvoke._engine.caller import Caller, Opened, unwrapped
from asyncinvoke._engine.calls import Calls
from asyncinvoke._engine.events import Hook
from asyncinvoke._engine.frames import without_frames
from asyncinvoke._engine.map import MapRun
from asyncinvoke._engine.options import (
    EventOptions,
    InvokeOptions,
    MapOptions,
    StreamOptions,
    documented,
)
from asyncinvoke._engine.stream import ResponseStream
from asyncinvoke._function import Function, In
from asyncinvoke._limits.limit import AdaptiveLimit, FixedLimit
from asyncinvoke._model.response import Decode, Out, Response, decode_json
from asyncinvoke._opening import Opening, checked_defaults, open_recorder
from asyncinvoke._request.payload import Encode, check_plain, encode_json
from asyncinvoke._request.request import InvocationType
from asyncinvoke._retries.policy import RetryPolicy
from asyncinvoke._statistics import InvokerStatistics, Tally
from asyncinvoke._transport.base import LambdaClient, WholeTransport
from asyncinvoke.errors import ConfigurationError

# Without this, a program that has not configured logging would see our records on standard error.
logging.getLogger("asyncinvoke").addHandler(logging.NullHandler())


class Invoker:
    """Invokes AWS Lambda functions; an async context manager.

    Args:
        client: An open aiobotocore client for `lambda`. The invoker uses it as is and never closes
            it. Its own retries must be disabled: `AioConfig(retries={"total_max_attempts": 1})`.
            By default the invoker opens a client itself; region, credentials, profile, endpoint,
            proxies and TLS are resolved by botocore.
        session: The aiobotocore session to create the client from; by default a new one.
        region_name: The region; by default whatever botocore resolves.
        endpoint_url: A custom endpoint, such as that of a `LocalLambda`.
        config: An `AioConfig` for the client. Its retries must be disabled or unset; its read
            timeout defaults to 960 s, and TCP keep-alive is on unless it is switched off there.
        limit: The maximum number of attempts in flight: an `AdaptiveLimit`, which adapts to
            Lambda's throttling, a number n for `AdaptiveLimit(maximum=n)`, or a `FixedLimit`. The
            connection pool is as large. If that of `client` is smaller, or a
            `max_pool_connections` set in `config`, the smaller number applies.
        retry: The default retry policy; `RetryPolicy.standard()` if omitted, and
            `RetryPolicy.batch()` for `map`.
        timeout: The default total timeout of an execution, in seconds, including waits and retries;
            unlimited if omitted.
        idempotent: Whether calls are idempotent by default: running the function twice is harmless.
        transport: `direct` sends the same requests as aiobotocore, prepared once per function and
            signed per call, at a fraction of the cost; it falls back to the SDK if the SDK's call
            was wrapped, patched or hooked. `client` calls aiobotocore's own `invoke` every time.
            Alternatively, an object that performs the attempts itself, such as
            `asyncinvoke.testing.FakeLambda`; no client is opened then, and neither a region nor
            credentials are required.
        encode: Converts a payload to bytes; by default compact JSON.
        decode: Converts a payload for `Response.json()`; by default JSON.
        hooks: Plain functions called with each event as it happens, such as `ExecutionEnded` or
            `LimitChanged`; or `asyncinvoke.otel.OpenTelemetry()`.
        clock: The source of time and sleep; by default the system clock, or, inside
            `asyncinvoke.testing.no_waits`, a clock that does not wait.

    Raises:
        ConfigurationError: The configuration is invalid; or, when entering the block, no region or
            no credentials were found.
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
        self._opening = Opening(
            client,
            session=session,
            region_name=region_name,
            endpoint_url=endpoint_url,
            config=config,
            limit=limit,
            transport=transport,
            hooks=hooks,
            clock=clock,
        )
        for name, codec in (("encode", encode), ("decode", decode)):
            check_plain(name, codec)
        self._tally = Tally()
        self._opened: Opened | None = None
        self._is_opening = False
        defaults = checked_defaults(
            decode=decode, retry=retry, timeout=timeout, idempotent=idempotent
        )
        self._caller = Caller(self._running, Calls(defaults, self._tally), encode, open_recorder)

    async def __aenter__(self) -> Self:
        if self._opened is not None or self._is_opening:
            raise ConfigurationError(
                "the invoker is open already: one block at a time, shared by all tasks in it"
            )
        self._is_opening = True
        try:
            self._opened = await self._opening.open(self._tally, self.statistics)
        except ConfigurationError as error:
            # The SDK's error, and the frames of both, hold URLs with passwords.
            error.__context__ = None
            without_frames(error)
            raise
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
        """Wait until no call is in progress, including calls that start while waiting.

        Use it for a graceful shutdown: once the service accepts no more work,
        `await invoker.drain()` before leaving the block lets pending calls complete. Wrap it in
        `anyio.move_on_after` for a time limit. Calls still in progress when the block is left fail
        with a `TransportError` whose `code` is `InvokerClosed`.

        Raises:
            ConfigurationError: The invoker is not open, or was opened in another event loop.
        """
        await self._running().engine.in_progress.drained()

    @documented(InvokeOptions)
    async def invoke(
        self, function_name: str, payload: object = None, **options: Unpack[InvokeOptions]
    ) -> Response[Any]:
        """Invoke a function and wait for its response.

        Args:
            function_name: A name, `name:alias`, an ARN or a partial ARN, with or without qualifier.
            payload: `None` for no payload (the function receives `{}`), bytes, which are sent as
                is, or any JSON-serializable value. At most 6,291,456 bytes; 1,048,576 for Event.
            **options: Options of the invocation, listed below.

        Raises:
            InvalidRequestError: A value violates one of Lambda's rules; nothing was sent.
            InvocationError: The execution failed: `ThrottledError`, `FunctionError`,
                `NotReadyError`, `RejectedError`, `ServiceError`, `TransportError` or
                `DeadlineExceededError`.
            ConfigurationError: The invoker is not open, or was opened in another event loop.
        """
        execution = self._caller.execution(function_name, payload, options)
        del payload, options  # keeps them out of tracebacks
        __tracebackhide__ = True  # pytest then shows the caller's line
        return unwrapped(await execution)

    @documented(EventOptions)
    async def send_event(
        self, function_name: str, payload: object = None, **options: Unpack[EventOptions]
    ) -> Response[Any]:
        """Queue an event for the function: `invoke` with `invocation_type="Event"`.

        Args:
            function_name: As for `invoke`.
            payload: As for `invoke`, at most 1,048,576 bytes.
            **options: Options of the invocation, listed below.

        Returns:
            A response with status 202: Lambda accepted the event, which does not imply that the
            function will succeed.
        """
        execution = self._caller.typed(InvocationType.EVENT, function_name, payload, options)
        del payload, options
        __tracebackhide__ = True  # pytest then shows the caller's line
        return unwrapped(await execution)

    @documented(EventOptions)
    async def dry_run(
        self, function_name: str, payload: object = None, **options: Unpack[EventOptions]
    ) -> Response[Any]:
        """Validate arguments and permissions without running: `invocation_type="DryRun"`.

        Args:
            function_name: As for `invoke`.
            payload: As for `invoke`.
            **options: Options of the invocation, listed below.

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
        """Invoke a function and stream its response (`InvokeWithResponseStream`).

        Use it as `async with invoker.stream(...) as stream: async for chunk in stream: ...`.
        Entering the block waits for the first chunk; attempts are retried only until then. The
        permit is held until the stream ends or the block is left. Leaving the block early closes
        the connection, which does not stop the function. `timeout` is the total time until the last
        chunk: it interrupts waiting for a chunk, but not the code that processes one.

        Args:
            function_name: As for `invoke`.
            payload: As for `invoke`.
            **options: Options of the invocation, listed below.

        Raises:
            InvalidRequestError: A value violates one of Lambda's rules; nothing was sent.
            InvocationError: Raised when entering the block, as for `invoke`.
            ConfigurationError: As for `invoke`.
        """
        try:
            return self._caller.stream(function_name, payload, options)
        finally:
            del payload, options  # keeps them out of tracebacks

    @documented(MapOptions)
    def map(
        self,
        function_name: str,
        payloads: Iterable[object] | AsyncIterable[object],
        **options: Unpack[MapOptions],
    ) -> AbstractAsyncContextManager[MapRun[Any]]:
        """Invoke a function once for each payload.

        Use it as `async with invoker.map(...) as run: async for outcome in run: ...`. Every item
        that is started produces exactly one `Outcome`, however it fails; an item without an outcome
        did not run. Iterating raises only what ends the run early; see `MapRun`. Leaving the
        block early cancels the calls in flight.

        Args:
            function_name: As for `invoke`.
            payloads: Any iterable or async iterable, including an infinite one. It is read lazily:
                at most `concurrency` plus 16 items ahead of the outcomes consumed, or, with
                `batch`, `concurrency` plus two batches; a `journal` adds what the next commits
                record, up to 8,192 items. An item is a payload, or a `Request` that
                overrides options for that item. Items are encoded some time after they are read, so
                a generator must yield a new object each time. An async generator is closed when the
                block is left.
            **options: Options of the map and of each invocation, listed below.

        Raises:
            InvalidRequestError: An option is invalid; nothing was sent.
            ConfigurationError: As for `invoke`.
            JournalError: Raised when entering the block if the `journal` is unusable, or, as
                `JournalMismatchError`, if it belongs to another call or input; nothing was sent.
                An input that can be read only once is compared during iteration, which then raises.
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
            encode: Converts a payload to bytes, such as `TypeAdapter(Photo).dump_json`; by default
                the invoker's. It determines the payload type of the handle.
            decode: Converts a returned payload to a value, such as `Thumb.model_validate_json`; by
                default the invoker's. It determines the return type of `json()`.
            **defaults: Default options of each call, listed below.

        Raises:
            InvalidRequestError: An option is invalid.
            ConfigurationError: `encode` or `decode` is not a plain function.
        """
        for name, codec in (("encode", encode), ("decode", decode)):
            if codec is not None:
                check_plain(name, codec)
        caller = self._caller.with_codecs(encode, decode)
        try:
            caller.check(function_name, defaults)
            return Function(self, caller, function_name, defaults)
        finally:
            del defaults  # keeps a client context out of tracebacks

    def statistics(self) -> InvokerStatistics:
        """Return a snapshot: attempts in flight, waiting executions, and counters."""
        limiter = self._opening.limiter
        return InvokerStatistics(
            limit=limiter.limit,
            in_flight=limiter.in_flight,
            waiting=limiter.waiting,
            calls=self._tally.calls,
            attempts=self._tally.attempts,
            retries=self._tally.retries,
            throttles=dict(self._tally.throttles),
            scopes=limiter.statistics(),
            executions=self._tally.executions(),
            functions=self._tally.functions(),
            connecting=self._connecting(),
        )

    def _connecting(self) -> dict[str, int]:
        opened = self._opened  # read once, as another thread may ask while it is closed
        transport = None if opened is None else opened.transport
        count: Callable[[], dict[str, int]] = getattr(transport, "connecting", dict)
        return count()

    def __repr__(self) -> str:
        state = "closed" if self._opened is None else "open"
        limiter = self._opening.limiter
        return (
            f"<Invoker {state}, {limiter.in_flight}/{limiter.limit} in flight, "
            f"{limiter.waiting} waiting, {self._tally.attempts} attempts>"
        )

    def __reduce__(self) -> NoReturn:
        # A copy would report that it is not open: its parts refer to the original.
        raise ConfigurationError(
            "an invoker can be neither copied nor pickled, because it belongs to one event loop: "
            "make another where it is needed, with `Invoker(...)`"
        )

    def _running(self) -> Opened:
        opened = self._opened
        if opened is None:
            raise ConfigurationError("the invoker is not open: use `async with Invoker(...)`")
        waits = opened.engine.waits
        try:  # `check_loop`, inlined to save a call
            is_home = waits.this_loop() is waits.loop
        except RuntimeError:
            is_home = False
        if not is_home:
            waits.check_loop()  # raises
        return opened
