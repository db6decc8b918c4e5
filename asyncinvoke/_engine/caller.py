"""From a caller's options and payload to an execution, a stream or a map of an open invoker."""

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

import anyio

from asyncinvoke._engine.calls import Calls, is_one_of, refuse_unknown
from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.frames import hide_frames
from asyncinvoke._engine.map import MapRun
from asyncinvoke._engine.maps import Maps, Record
from asyncinvoke._engine.options import EventOptions, InvokeOptions, MapOptions, StreamOptions
from asyncinvoke._engine.stream import ResponseStream, open_stream
from asyncinvoke._model.response import Decode, Response
from asyncinvoke._request.payload import Encode, encode_payload
from asyncinvoke._request.request import InvocationType
from asyncinvoke._request.target import show_value
from asyncinvoke._transport.base import ClosingTransport
from asyncinvoke.errors import AsyncInvokeError, InvalidRequestError

LAST_WORDS = 5.0
"""The maximum time to wait for interrupted calls when an invoker is closed, in seconds."""


class Opened:
    """The resources of an open invoker."""

    __slots__ = ("_stack", "engine", "transport")

    def __init__(
        self,
        *,
        engine: Engine,
        transport: ClosingTransport,
        stack: AsyncExitStack,
    ) -> None:
        self.engine = engine
        self.transport = transport
        self._stack = stack

    async def close(self) -> None:
        """Interrupt all calls in progress, wait for them to end, and close all resources.

        It is shielded from cancellation, so that no connection leaks, and bounded in time. A stream
        whose caller is not waiting for a chunk learns of it with the next one that has not arrived.
        """
        self.engine.waits.close()
        self.engine.limiter.close()
        with anyio.CancelScope(shield=True):
            try:
                with anyio.move_on_after(LAST_WORDS):
                    await self.transport.aclose()
                    await self.engine.in_progress.settled()
            finally:
                await self._stack.aclose()


class Caller:
    """Prepares the calls of an invoker, or of a function handle with its own codecs.

    Args:
        running: Returns the open invoker's resources, or raises `ConfigurationError`.
        calls: Validates options.
        encode: Converts a payload to bytes.
        record: Creates the recorder of a map with a journal.
    """

    def __init__(
        self, running: Callable[[], Opened], calls: Calls, encode: Encode, record: Record
    ) -> None:
        self._running = running
        self._record = record
        self._calls = calls
        self._encode = encode
        self._maps = Maps(calls, encode, record)

    def with_codecs(self, encode: Encode | None, decode: Decode | None) -> "Caller":
        """Return a caller with other codecs."""
        calls = self._calls if decode is None else self._calls.with_decode(decode)
        return Caller(
            self._running, calls, self._encode if encode is None else encode, self._record
        )

    def check(self, function_name: str, options: Mapping[str, Any]) -> None:
        """Validate a function name and options.

        Raises:
            InvalidRequestError: One of them is invalid.
        """
        try:
            self._calls.check(function_name, options)
        except BaseException as error:
            hide_frames(error)
            raise
        finally:
            del options

    def execution(
        self, function_name: str, payload: object, options: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Response[Any] | AsyncInvokeError]:
        """Return the execution of a call. If the call is invalid, it returns the error.

        Anything else, such as an interrupt in the caller's codec, is raised by the execution too, not
        here: the frame of whoever calls this still holds the payload.
        """
        try:
            opened = self._running()
            call = self._calls.get(function_name, options)
            body = encode_payload(
                payload, encode=self._encode, invocation_type=call.parameters.invocation_type
            )
        except BaseException as error:  # noqa: BLE001  # raised by the execution
            # The traceback refers to the payload; the message does not.
            hide_frames(error)
            return _refused(error)
        return opened.engine.execute(opened.transport, call, body)

    def typed(
        self,
        invocation_type: InvocationType,
        function_name: str,
        payload: object,
        options: EventOptions,
        defaults: InvokeOptions | None = None,
    ) -> Coroutine[Any, Any, Response[Any] | AsyncInvokeError]:
        """Return the execution of an event or a dry run, with the defaults that apply to it."""
        known = EventOptions.__optional_keys__
        given: dict[str, Any] = {**(defaults or {}), **options}
        asked = given.pop("invocation_type", None)
        try:
            refuse_unknown(
                {k: v for k, v in options.items() if k != "invocation_type"}, EventOptions
            )
            allowed: list[object] = [None, invocation_type]
            if "invocation_type" not in options:
                # A handle with a default invocation type may still send events.
                allowed.append(InvocationType.REQUEST_RESPONSE)
            if not is_one_of(asked, allowed):
                raise InvalidRequestError(
                    f"invocation_type {show_value(asked)} does not go with {invocation_type}"
                )
        except AsyncInvokeError as error:
            return _refused(error.with_traceback(None))
        shared = {name: value for name, value in given.items() if name in known}
        return self.execution(
            function_name, payload, {**shared, "invocation_type": invocation_type}
        )

    def stream(
        self, function_name: str, payload: object, options: StreamOptions
    ) -> AbstractAsyncContextManager[ResponseStream]:
        """Return the stream of a call, as a context manager."""
        try:
            opened = self._running()
            refuse_unknown(options, StreamOptions)
            call = self._calls.get(function_name, options)
            body = encode_payload(
                payload, encode=self._encode, invocation_type=call.parameters.invocation_type
            )
        except BaseException as error:
            # Inner frames hold the payload and the options; the message does not.
            hide_frames(error)
            raise
        finally:
            del payload, options
        return open_stream(opened.engine, opened.transport, call, body)

    def map(
        self, function_name: str, payloads: object, options: MapOptions
    ) -> AbstractAsyncContextManager[MapRun[Any]]:
        """Return a map over payloads, as a context manager."""
        try:
            opened = self._running()
            return self._maps.open(
                opened.engine, opened.transport, function_name, payloads, options
            )
        except BaseException as error:
            # As in `stream`: inner frames hold the invalid values.
            hide_frames(error)
            raise
        finally:
            del payloads, options


async def _refused(error: BaseException) -> AsyncInvokeError:
    if isinstance(error, AsyncInvokeError):
        return error
    raise error


_Ended = TypeVar("_Ended")


def unwrapped(ended: _Ended | AsyncInvokeError) -> _Ended:
    """Return the response of an execution, or raise its error."""
    if not isinstance(ended, AsyncInvokeError):
        return ended
    __tracebackhide__ = True
    try:
        raise ended
    finally:
        # Otherwise the error, its traceback and this frame would form a reference cycle.
        del ended
