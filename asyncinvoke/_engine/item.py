"""The work of a map: one item of its input executed, and made into its outcome."""

import inspect
from collections.abc import Callable
from typing import Any

from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.hopeless import Refusals
from asyncinvoke._engine.options import Call, Calls, InvokeOptions, item_options
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._model.codec import Encode
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._request.payload import check_plain, encode_payload
from asyncinvoke._request.request import Request
from asyncinvoke._transport.base import Transport
from asyncinvoke.errors import (
    AsyncInvokeError,
    ConfigurationError,
    InvalidRequestError,
    ToleranceExceededError,
)


class ItemWork:
    """Executes the items of one map; whatever is wrong with an item is its outcome.

    Args:
        engine: Executes.
        transport: Makes the attempts.
        calls: Checks options.
        function_name: The map's function.
        options: The options that the items share.
        key: Names an item by its payload.
        encode: Turns a payload into bytes.

    Raises:
        InvalidRequestError: One of the options breaks a rule.
    """

    def __init__(
        self,
        engine: Engine,
        transport: Transport,
        calls: Calls,
        *,
        function_name: str,
        options: InvokeOptions,
        key: Callable[[Any], str] | None,
        encode: Encode,
    ) -> None:
        self._engine = engine
        self._transport = transport
        self._calls = calls
        self._function_name = function_name
        self._options = options
        self._call = calls.get(function_name, options)
        self._key = _checked_key(key)
        self._encode = encode
        self._refusals = Refusals()
        self._is_late = False

    async def __call__(self, index: int, item: object) -> Outcome[Any]:
        """Execute an item. Only cancellation is raised, and errors of the caller's own policy."""
        clock = self._engine.clock
        started, began = clock.time(), clock.monotonic()
        key = None
        ended: Response[Any] | AsyncInvokeError
        attempts: tuple[Attempt, ...] = ()
        try:
            key = self._name(item)
            call, body = self._prepare(item)
        except Exception as error:  # noqa: BLE001  # an item may be wrong in any way
            ended = _refused(error)
        else:
            self._refusals.begin(index, call.parameters.target)
            # What was under way when the invoker ended has its outcome; one that begins later shows
            # that there is more to come, none of which can be sent.
            self._is_late = self._engine.waits.is_closed
            executing = self._engine.execute(self._transport, call, body)
            item = body = b""  # whoever shows this frame shows no payload
            executed = await executing
            ended, attempts = executed, executed.attempts
        if isinstance(ended, Response):
            response, failed = ended, None
        else:
            response, failed = None, _without_frames(ended)
        return Outcome(
            index=index,
            key=key,
            response=response,
            error=failed,
            attempts=attempts,
            started=started,
            elapsed=clock.monotonic() - began,
        )

    def judge(self, outcome: Outcome[Any]) -> ToleranceExceededError | ConfigurationError | None:
        """Return the error to end the run with.

        That is once every call is refused for one reason, or none can be made any more.
        """
        if self._is_late:
            return ConfigurationError(
                "the invoker's block was left while this map ran, so it reads no further: "
                "leave the map's block first"
            )
        return self._refusals.end(outcome.index, outcome.error)

    def describe(self) -> str | None:
        """Say what keeps the permits of the map's function back, if anything does."""
        return self._engine.limiter.describe(self._call.key)

    def _name(self, item: object) -> str | None:
        payload = item
        if isinstance(item, Request):
            if item.key is not None:
                return _checked_name(item.key)
            payload = item.payload
        if self._key is None:
            return None
        try:
            name = self._key(payload)
        except Exception as error:
            raise InvalidRequestError(
                f"key cannot name the payload: {type(error).__name__}"
            ) from error
        return _checked_name(name)

    def _prepare(self, item: object) -> tuple[Call, bytes]:
        call, payload = self._call, item
        if isinstance(item, Request):
            name, options = item_options(self._function_name, self._options, item)
            call, payload = self._calls.get(name, options), item.payload
        return call, encode_payload(
            payload, encode=self._encode, invocation_type=call.parameters.invocation_type
        )


def _checked_key(key: Callable[[Any], str] | None) -> Callable[[Any], str] | None:
    if key is not None:
        try:
            check_plain("key", key)
        except ConfigurationError as error:
            raise InvalidRequestError(str(error)) from None
    return key


def _checked_name(name: object) -> str:
    if isinstance(name, str):
        return name
    if inspect.iscoroutine(name):
        name.close()  # or Python would complain that nobody awaited it
    raise InvalidRequestError(f"key must be a string, not {type(name).__name__}")


def _refused(error: Exception) -> InvalidRequestError:
    """Return the error of an item that could not be prepared; it holds nothing of the item."""
    if isinstance(error, InvalidRequestError):
        return error
    return InvalidRequestError(f"the item cannot be prepared: {type(error).__name__}")


def _without_frames(error: AsyncInvokeError) -> AsyncInvokeError:
    """Return an error that keeps nothing alive but itself.

    It was not raised to anybody, so its traceback tells nothing; but the frames in it, and in those
    of its causes, hold the payload. What encoding or naming an item raised may quote it, too.
    """
    if isinstance(error, InvalidRequestError):
        error.__cause__ = error.__context__ = None
    seen = set()
    errors: list[BaseException | None] = [error]
    while errors:
        each = errors.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            errors += (each.__cause__, each.__context__)
            errors += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
    return error
