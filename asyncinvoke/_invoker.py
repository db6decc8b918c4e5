"""Invoker and Function: the face, and the one place that wires the parts together."""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack

from asyncinvoke._clock import SYSTEM_CLOCK, Clock, default_clock
from asyncinvoke._engine.attempt import InvokeAttempt, Permits
from asyncinvoke._engine.execute import Executor
from asyncinvoke._engine.execution import Executions
from asyncinvoke._engine.map import ItemWork, MapRun, open_run
from asyncinvoke._engine.options import (
    Call,
    InvokeOptions,
    MapOptions,
    Options,
    StreamOptions,
    check_timeout,
    stream_options,
)
from asyncinvoke._engine.stream import ResponseStream, StreamAttempt, StreamExecution, open_stream
from asyncinvoke._limits.events import Hook
from asyncinvoke._limits.limit import AdaptiveLimit, FixedLimit, read_limit
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._model.codec import Decode, Encode, decode_json, encode_json
from asyncinvoke._model.response import Response
from asyncinvoke._request.payload import encode_payload
from asyncinvoke._request.request import InvocationType, InvocationTypeName, LogType, LogTypeName
from asyncinvoke._retries.policy import RetryPolicy
from asyncinvoke._statistics import InvokerStatistics, Tally
from asyncinvoke._transport.base import LambdaClient, StreamingTransport, Transport, WholeTransport
from asyncinvoke.errors import ConfigurationError, InvalidRequestError, InvocationError

_T = TypeVar("_T")

_MOST_CALLS = 1024
"""How many combinations of options are remembered as checked."""


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
        retry: What is repeated, and how, unless a call says otherwise.
        timeout: Total time for each execution, in seconds, waits and retries included; by default
            no end.
        idempotent: Whether running a function twice does no harm, unless a call says otherwise.
        transport: `direct` sends what aiobotocore would send, prepared once for each function and
            signed anew, at a fraction of the cost; it steps aside where the client has event
            handlers of its own. `client` calls aiobotocore's own `invoke` each time. Or an object
            that makes the attempts itself, such as `asyncinvoke.testing.FakeLambda`: no client is
            opened then, and no region and no credentials are needed.
        encode: Turns a payload into bytes; by default compact JSON.
        decode: What `Response.json()` uses; by default JSON.
        hooks: Plain functions that are given each event, such as `LimitChanged`, as it happens.
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
        self._own_clock = clock
        self._clock = SYSTEM_CLOCK if clock is None else clock
        self._new_limiter = partial(Limiter, read_limit(limit), hooks=tuple(hooks))
        self._limiter = self._new_limiter(clock=self._clock)
        self._retry = RetryPolicy.standard() if retry is None else retry
        if not isinstance(self._retry, RetryPolicy):
            raise ConfigurationError(f"retry {retry!r} must be a RetryPolicy")
        try:
            check_timeout(timeout)
        except InvalidRequestError as error:
            raise ConfigurationError(str(error)) from None
        self._timeout = timeout
        self._idempotent = idempotent
        _check_transport(transport)
        self._transport = transport
        self._encode = encode
        self._decode = decode
        self._tally = Tally()
        self._calls: dict[tuple[object, ...], Call] = {}
        self._stack: AsyncExitStack | None = None
        self._executor: Executor[Response] | None = None
        self._streamer: Executor[StreamExecution] | None = None
        given = [name for name, value in self._opening.items() if value is not None]
        if not isinstance(transport, str) and (client is not None or given):
            unused = "client" if client is not None else given[0]
            raise ConfigurationError(f"{unused} has no effect on a transport that is given")
        if client is not None:
            if given:
                raise ConfigurationError(f"{given[0]} has no effect on a client that is given")
            from asyncinvoke._transport.session import pool_size

            # More in flight than connections would let signatures grow old in the pool's queue.
            self._limiter.limit = min(self._limiter.limit, pool_size(client))

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise ConfigurationError("the invoker is open already")
        if self._own_clock is None:
            self._take_clock(default_clock())
        async with AsyncExitStack() as stack:
            sends, streams = await self._open_transports(stack)
            permits = Permits(self._limiter, self._clock, self._tally)
            executions = Executions(clock=self._clock, tally=self._tally)
            self._executor = Executor(InvokeAttempt(sends, permits), permits, executions)
            self._streamer = Executor(StreamAttempt(streams, permits), permits, executions)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        stack, self._stack, self._executor, self._streamer = self._stack, None, None, None
        if stack is not None:
            await stack.aclose()

    async def invoke(
        self,
        function_name: str,
        payload: object = None,
        *,
        invocation_type: InvocationTypeName = InvocationType.REQUEST_RESPONSE,
        log_type: LogTypeName = LogType.NONE,
        client_context: Mapping[str, object] | None = None,
        qualifier: str | None = None,
        tenant_id: str | None = None,
        durable_execution_name: str | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
        retry: RetryPolicy | None = None,
        raise_on_function_error: bool = True,
    ) -> Response:
        """Invoke a function and wait for its response.

        Args:
            function_name: A name, `name:alias`, an ARN or a partial ARN, with or without qualifier.
            payload: `None` for none (the function gets `{}`), bytes that are sent as they are, or
                anything JSON can hold; at most 6,291,456 bytes, for Event 1,048,576.
            invocation_type: `RequestResponse`, `Event` or `DryRun`.
            log_type: `Tail` for the last 4,096 bytes of the log as `Response.log_result`.
            client_context: What the function sees as `context.client_context`; at most 3,583 bytes
                once encoded.
            qualifier: A version, an alias or `$LATEST`.
            tenant_id: The tenant, for a function with tenant isolation.
            durable_execution_name: Names a durable execution, which makes repeating it safe.
            timeout: Total time in seconds, waits and retries included; by default the invoker's;
                `math.inf` for no end.
            idempotent: Whether running it twice does no harm: only then is an attempt repeated
                after which the function may have run. By default the invoker's.
            retry: What is repeated, and how; by default the invoker's.
            raise_on_function_error: Whether a function that failed is raised as `FunctionError`, or
                returned as a response with its `function_error` set.

        Raises:
            InvalidRequestError: A value breaks one of Lambda's rules; nothing was sent.
            InvocationError: The execution failed: `ThrottledError`, `FunctionError`,
                `NotReadyError`, `RejectedError`, `ServiceError`, `TransportError` or
                `DeadlineExceededError`.
        """
        key = (
            function_name,
            invocation_type,
            log_type,
            qualifier,
            tenant_id,
            durable_execution_name,
            timeout,
            idempotent,
            None if retry is None else id(retry),
            raise_on_function_error,
        )
        call = self._remembered(key) if client_context is None else None
        if call is None:
            call = self._options(
                function_name,
                timeout=timeout,
                idempotent=idempotent,
                retry=retry,
                invocation_type=invocation_type,
                log_type=log_type,
                client_context=client_context,
                qualifier=qualifier,
                tenant_id=tenant_id,
                durable_execution_name=durable_execution_name,
                raise_on_function_error=raise_on_function_error,
            ).check()
            if client_context is None and durable_execution_name is None:
                self._remember(key, call)
        body = encode_payload(
            payload, encode=self._encode, invocation_type=call.parameters.invocation_type
        )
        ended = await self._open_executor().execute(call, body)
        if isinstance(ended, InvocationError):
            raise ended
        return ended

    async def send_event(
        self,
        function_name: str,
        payload: object = None,
        *,
        qualifier: str | None = None,
        client_context: Mapping[str, object] | None = None,
        tenant_id: str | None = None,
        durable_execution_name: str | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
        retry: RetryPolicy | None = None,
    ) -> Response:
        """Put an event into the function's queue: `invoke` with `invocation_type="Event"`.

        Returns:
            A response with status 202: accepted, which does not mean that it will succeed.
        """
        return await self.invoke(
            function_name,
            payload,
            invocation_type=InvocationType.EVENT,
            qualifier=qualifier,
            client_context=client_context,
            tenant_id=tenant_id,
            durable_execution_name=durable_execution_name,
            timeout=timeout,
            idempotent=idempotent,
            retry=retry,
        )

    async def dry_run(
        self,
        function_name: str,
        payload: object = None,
        *,
        qualifier: str | None = None,
        tenant_id: str | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> Response:
        """Check the arguments and the permission without running: `invocation_type="DryRun"`.

        Returns:
            A response with status 204.
        """
        return await self.invoke(
            function_name,
            payload,
            invocation_type=InvocationType.DRY_RUN,
            qualifier=qualifier,
            tenant_id=tenant_id,
            timeout=timeout,
            retry=retry,
        )

    def stream(
        self,
        function_name: str,
        payload: object = None,
        *,
        log_type: LogTypeName = LogType.NONE,
        client_context: Mapping[str, object] | None = None,
        qualifier: str | None = None,
        tenant_id: str | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
        retry: RetryPolicy | None = None,
        raise_on_function_error: bool = True,
    ) -> AbstractAsyncContextManager[ResponseStream]:
        """Invoke a function and take its answer as it comes (`InvokeWithResponseStream`).

        Use it as `async with invoker.stream(...) as stream: async for chunk in stream: ...`.
        Entering the block waits for the first chunk, and attempts are repeated until then and no
        further. The permit is held until the stream has ended or the block is left; leaving it
        early closes the connection, which does not stop the function.

        Args:
            function_name: As for `invoke`.
            payload: As for `invoke`.
            log_type: `Tail` for the end of the log, once the stream has ended, as
                `ResponseStream.response.log_result`.
            client_context: As for `invoke`, and so are the options that follow.
            qualifier: As for `invoke`.
            tenant_id: As for `invoke`.
            timeout: Total time in seconds until the last chunk. It interrupts a wait for a chunk,
                not what the block does with one.
            idempotent: Whether running it twice does no harm.
            retry: What is repeated, and how; by default the invoker's.
            raise_on_function_error: Whether a function that failed raises `FunctionError`, or ends
                the stream with `ResponseStream.response.function_error` set.

        Raises:
            InvalidRequestError: A value breaks one of Lambda's rules; nothing was sent.
            InvocationError: On entering the block, as for `invoke`.
        """
        call = self._options(
            function_name,
            timeout=timeout,
            idempotent=idempotent,
            retry=retry,
            log_type=log_type,
            client_context=client_context,
            qualifier=qualifier,
            tenant_id=tenant_id,
            raise_on_function_error=raise_on_function_error,
        ).check()
        body = encode_payload(
            payload, encode=self._encode, invocation_type=call.parameters.invocation_type
        )
        return open_stream(_opened(self._streamer), call, body)

    def map(
        self,
        function_name: str,
        payloads: Iterable[object] | AsyncIterable[object],
        *,
        concurrency: int | None = None,
        ordered: bool = False,
        key: Callable[[Any], str] | None = None,
        invocation_type: InvocationTypeName = InvocationType.REQUEST_RESPONSE,
        log_type: LogTypeName = LogType.NONE,
        client_context: Mapping[str, object] | None = None,
        qualifier: str | None = None,
        tenant_id: str | None = None,
        durable_execution_name: str | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
        retry: RetryPolicy | None = None,
        raise_on_function_error: bool = True,
    ) -> AbstractAsyncContextManager[MapRun]:
        """Invoke a function once for each payload.

        Use it as `async with invoker.map(...) as run: async for outcome in run: ...`. Every payload
        gets exactly one `Outcome`, whatever happens; iterating raises only what the input raises.
        Leaving the block early cancels what is in flight.

        Args:
            function_name: As for `invoke`.
            payloads: Any iterable or async iterable, an endless one too. It is read lazily, at most
                `concurrency` and 16 items ahead of the outcomes that were taken. An item is a
                payload, or a `Request` that overrides options for itself. An async generator is
                closed with the block.
            concurrency: How many items are worked upon at once, those in backoff included; by
                default the invoker's limit.
            ordered: Whether outcomes come in the order of the input, or as they end.
            key: Names an item: `Outcome.key` is what it returns for the payload.
            invocation_type: As for `invoke`, and so are the options that follow.
            log_type: As for `invoke`.
            client_context: As for `invoke`.
            qualifier: As for `invoke`.
            tenant_id: As for `invoke`.
            durable_execution_name: As for `invoke`.
            timeout: Total time for each item, in seconds.
            idempotent: As for `invoke`.
            retry: By default `RetryPolicy.batch()`: throttles are waited out.
            raise_on_function_error: Whether a function that failed makes a failed outcome.

        Raises:
            InvalidRequestError: An option breaks a rule; nothing was sent.
        """
        options = self._options(
            function_name,
            timeout=timeout,
            idempotent=idempotent,
            retry=RetryPolicy.batch() if retry is None else retry,
            invocation_type=invocation_type,
            log_type=log_type,
            client_context=client_context,
            qualifier=qualifier,
            tenant_id=tenant_id,
            durable_execution_name=durable_execution_name,
            raise_on_function_error=raise_on_function_error,
        )
        work = ItemWork(
            self._open_executor(), options, key=key, encode=self._encode, clock=self._clock
        )
        return open_run(
            payloads,
            work,
            concurrency=self._limiter.limit if concurrency is None else concurrency,
            ordered=ordered,
        )

    def function(self, function_name: str, **defaults: Unpack[InvokeOptions]) -> "Function":
        """Bind a function and default options to a handle.

        Raises:
            InvalidRequestError: An option breaks a rule.
        """
        return Function(self, function_name, **defaults)

    def statistics(self) -> InvokerStatistics:
        """Return a snapshot: what is in flight, what waits, and the counts so far."""
        return InvokerStatistics(
            limit=self._limiter.limit,
            in_flight=self._limiter.in_flight,
            waiting=self._limiter.waiting,
            calls=self._tally.calls,
            attempts=self._tally.attempts,
            retries=self._tally.retries,
            throttles=MappingProxyType(dict(self._tally.throttles)),
            scopes=self._limiter.statistics(),
        )

    def __repr__(self) -> str:
        state = "closed" if self._executor is None else "open"
        return (
            f"<Invoker {state}, {self._limiter.in_flight}/{self._limiter.limit} in flight, "
            f"{self._limiter.waiting} waiting, {self._tally.attempts} attempts>"
        )

    async def _open_transports(self, stack: AsyncExitStack) -> tuple[Transport, StreamingTransport]:
        if not isinstance(self._transport, str):
            return self._transport, self._transport
        # aiobotocore takes a third of a second to import, so only those who invoke wait for it.
        from asyncinvoke._transport.choose import open_transport
        from asyncinvoke._transport.session import open_client

        client = self._client
        if client is None:
            client = await stack.enter_async_context(
                open_client(max_pool_connections=self._limiter.limit, **self._opening)
            )
        transport = await open_transport(client, self._transport)
        stack.push_async_callback(transport.aclose)
        return transport, transport

    def _take_clock(self, clock: Clock) -> None:
        if clock is not self._clock:
            # A limiter's memory is full of times, which mean nothing on another clock.
            limit, self._clock = self._limiter.limit, clock
            self._limiter = self._new_limiter(clock=clock)
            self._limiter.limit = limit

    def _check(self, function_name: str, options: InvokeOptions) -> None:
        given: dict[str, Any] = {"timeout": None, "idempotent": None, "retry": None, **options}
        self._options(function_name, **given).check()

    def _remembered(self, key: tuple[object, ...]) -> Call | None:
        try:
            return self._calls.get(key)
        except TypeError:  # an option of a wrong type; checking it says so
            return None

    def _remember(self, key: tuple[object, ...], call: Call) -> None:
        # A call keeps its policy alive, so that no other policy can get the same id.
        if len(self._calls) >= _MOST_CALLS:
            self._calls.clear()
        self._calls[key] = call

    def _open_executor(self) -> Executor[Response]:
        return _opened(self._executor)

    def _options(
        self,
        function_name: str,
        *,
        timeout: float | None,
        idempotent: bool | None,
        retry: RetryPolicy | None,
        **options: Any,
    ) -> Options:
        return Options(
            function_name=function_name,
            timeout=self._timeout if timeout is None else timeout,
            idempotent=self._idempotent if idempotent is None else idempotent,
            retry=self._retry if retry is None else retry,
            decode=self._decode,
            **options,
        )


def _check_transport(transport: object) -> None:
    if isinstance(transport, str):
        if transport not in ("direct", "client"):
            raise ConfigurationError(f"transport {transport!r} must be 'direct' or 'client'")
    elif not all(callable(getattr(transport, name, None)) for name in ("send", "open")):
        raise ConfigurationError(
            f"transport must be 'direct', 'client' or an object with `send` and `open`, "
            f"not {type(transport).__name__}"
        )


def _opened(executor: Executor[_T] | None) -> Executor[_T]:
    if executor is None:
        raise ConfigurationError("the invoker is not open: use `async with Invoker(...)`")
    return executor


class Function:
    """One function with default options; made by `Invoker.function`.

    Options given to a call replace the defaults.
    """

    def __init__(
        self, invoker: Invoker, function_name: str, **defaults: Unpack[InvokeOptions]
    ) -> None:
        invoker._check(function_name, defaults)  # noqa: SLF001
        self._invoker = invoker
        self._function_name = function_name
        self._defaults = defaults

    async def __call__(self, payload: object = None, **options: Unpack[InvokeOptions]) -> Response:
        """Invoke the function; see `Invoker.invoke`."""
        merged: InvokeOptions = {**self._defaults, **options}
        return await self._invoker.invoke(self._function_name, payload, **merged)

    async def send_event(
        self, payload: object = None, **options: Unpack[InvokeOptions]
    ) -> Response:
        """Put an event into the function's queue; see `Invoker.send_event`."""
        event: InvokeOptions = {**options, "invocation_type": InvocationType.EVENT}
        return await self(payload, **event)

    async def dry_run(self, payload: object = None, **options: Unpack[InvokeOptions]) -> Response:
        """Check the arguments and the permission; see `Invoker.dry_run`."""
        dry: InvokeOptions = {**options, "invocation_type": InvocationType.DRY_RUN}
        return await self(payload, **dry)

    def stream(
        self, payload: object = None, **options: Unpack[StreamOptions]
    ) -> AbstractAsyncContextManager[ResponseStream]:
        """Invoke the function and take its answer as it comes; see `Invoker.stream`.

        Raises:
            InvalidRequestError: Also where a default of this handle has no meaning for a stream: an
                `invocation_type` other than RequestResponse, or a `durable_execution_name`.
        """
        merged: StreamOptions = {**stream_options(self._defaults), **options}
        return self._invoker.stream(self._function_name, payload, **merged)

    def map(
        self,
        payloads: Iterable[object] | AsyncIterable[object],
        **options: Unpack[MapOptions],
    ) -> AbstractAsyncContextManager[MapRun]:
        """Invoke the function once for each payload; see `Invoker.map`."""
        merged: MapOptions = {**self._defaults, **options}
        return self._invoker.map(self._function_name, payloads, **merged)

    def __repr__(self) -> str:
        return f"<Function {self._function_name} of {self._invoker!r}>"
