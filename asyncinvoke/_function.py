"""`Function`: one function of an invoker, with its codecs and default options bound."""

from collections.abc import AsyncIterable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

from asyncinvoke._engine.caller import Caller, unwrapped
from asyncinvoke._engine.calls import stream_options
from asyncinvoke._engine.map import MapRun
from asyncinvoke._engine.options import EventOptions, InvokeOptions, MapOptions, StreamOptions
from asyncinvoke._engine.stream import ResponseStream
from asyncinvoke._model.response import Out, Response
from asyncinvoke._request.request import InvocationType, Request

if TYPE_CHECKING:
    import typing_extensions

    In = typing_extensions.TypeVar("In", default=object)
else:
    In = TypeVar("In")


class Function(Generic[In, Out]):
    """One function with its codecs and default options; created by `Invoker.function`.

    Options passed to a call override the defaults.
    """

    def __init__(
        self, owner: object, caller: Caller, function_name: str, defaults: InvokeOptions
    ) -> None:
        self._owner = owner
        self._caller = caller
        self._function_name = function_name
        self._defaults = defaults

    async def __call__(
        self, payload: In | None = None, **options: Unpack[InvokeOptions]
    ) -> Response[Out]:
        """Invoke the function; see `Invoker.invoke`."""
        merged: InvokeOptions = {**self._defaults, **options}
        execution = self._caller.execution(self._function_name, payload, merged)
        del payload, options, merged
        __tracebackhide__ = True  # pytest then shows the caller's line
        return unwrapped(await execution)

    async def send_event(
        self, payload: In | None = None, **options: Unpack[EventOptions]
    ) -> Response[Out]:
        """Queue an event for the function; see `Invoker.send_event`."""
        execution = self._caller.typed(
            InvocationType.EVENT, self._function_name, payload, options, self._defaults
        )
        del payload, options
        __tracebackhide__ = True  # pytest then shows the caller's line
        return unwrapped(await execution)

    async def dry_run(
        self, payload: In | None = None, **options: Unpack[EventOptions]
    ) -> Response[Out]:
        """Validate the arguments and the permissions; see `Invoker.dry_run`."""
        execution = self._caller.typed(
            InvocationType.DRY_RUN, self._function_name, payload, options, self._defaults
        )
        del payload, options
        __tracebackhide__ = True  # pytest then shows the caller's line
        return unwrapped(await execution)

    def stream(
        self, payload: In | None = None, **options: Unpack[StreamOptions]
    ) -> AbstractAsyncContextManager[ResponseStream]:
        """Invoke the function and stream its response; see `Invoker.stream`.

        Raises:
            InvalidRequestError: Also raised if a default of this handle does not apply to a stream:
                an `invocation_type` other than RequestResponse, or a `durable_execution_name`.
        """
        try:
            return self._caller.stream(
                self._function_name, payload, {**stream_options(self._defaults), **options}
            )
        finally:
            del payload, options

    def map(
        self,
        payloads: Iterable[In | Request[In]] | AsyncIterable[In | Request[In]],
        **options: Unpack[MapOptions],
    ) -> AbstractAsyncContextManager[MapRun[Out]]:
        """Invoke the function once for each payload; see `Invoker.map`."""
        merged: MapOptions = {**self._defaults, **options}
        try:
            return self._caller.map(self._function_name, payloads, merged)
        finally:
            del payloads, options, merged

    def __reduce__(self) -> str | tuple[Any, ...]:
        return self._owner.__reduce__()  # which refuses

    def __repr__(self) -> str:
        return f"<Function {self._function_name} of {self._owner!r}>"
