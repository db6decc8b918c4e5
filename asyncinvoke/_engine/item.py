"""The work of a map: executes one item of the input and makes its outcome."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from asyncinvoke._engine.calls import Call, Calls, item_options
from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.options import InvokeOptions
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.tolerance import Failures, Tolerance
from asyncinvoke._engine.waits import Brake
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._request.payload import Encode, check_plain, encode_json, encode_payload
from asyncinvoke._request.request import Request
from asyncinvoke._transport.base import Transport
from asyncinvoke.errors import (
    AsyncInvokeError,
    ConfigurationError,
    InvalidRequestError,
    InvocationError,
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
        tolerance: How many may fail; `None` for all.

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
        tolerance: Tolerance | None = None,
    ) -> None:
        self.engine = engine
        """Executes."""
        self.transport = transport
        """Makes the attempts."""
        self._calls = calls
        self._function_name = function_name
        self._options = options
        self.call: Call = calls.get(function_name, options)
        """What the items share."""
        self._key = _checked_key(key)
        self._encode = encode
        self.judge: Failures = Failures(tolerance)
        """Sees the outcomes, and says when there are too many failures."""
        self.brake: Brake = Brake(engine.limiter.withdraw)
        """Holds attempts back while the map is paused, or once it is stopped."""

    async def __call__(self, index: int, item: object) -> Outcome[Any]:
        """Execute an item.

        Only cancellation is raised, errors of the caller's own policy, and `NotStartedError`.
        """
        clock = self.engine.clock
        started, began = clock.time(), clock.monotonic()
        key = None
        ended: Response[Any] | AsyncInvokeError
        try:
            key = self.name(item)
            call, body = self.prepare(item)
        except Exception as error:  # noqa: BLE001  # an item may be wrong in any way
            ended = refused(error)
        else:
            executing = self.execute(index, call, body, self.transport)
            item = body = b""  # whoever shows this frame shows no payload
            ended = await executing
        return self.outcome(index, key, ended, started=started, began=began)

    def execute(
        self, index: int, call: Call, body: bytes, transport: Transport
    ) -> Coroutine[Any, Any, Response[Any] | InvocationError]:
        """Return the execution of an item."""
        # What was under way when the invoker ended has its outcome; one that begins later shows that
        # there is more to come, none of which can be sent.
        self.judge.begin(index, call.parameters.target, is_late=self.engine.waits.is_closed)
        return self.engine.execute(transport, call, body, self.brake)

    def outcome(
        self,
        index: int,
        key: str | None,
        ended: Response[Any] | AsyncInvokeError,
        *,
        started: float,
        began: float,
    ) -> Outcome[Any]:
        """Return the outcome of an item that has ended now."""
        attempts: tuple[Attempt, ...] = ()
        response = failed = None
        if isinstance(ended, Response):
            response, attempts = ended, ended.attempts
        else:
            failed = without_frames(ended)
            if isinstance(ended, InvocationError):
                attempts = ended.attempts
        return Outcome(
            index=index,
            key=key,
            response=response,
            error=failed,
            attempts=attempts,
            started=started,
            elapsed=self.engine.clock.monotonic() - began,
        )

    def describe(self) -> str | None:
        """Say what keeps the permits of the map's function back, if anything does."""
        return self.engine.limiter.describe(self.call.key)

    def name(self, item: object) -> str | None:
        """Return the key of an item, if it has one.

        Raises:
            InvalidRequestError: It cannot be found, or is no string.
        """
        payload = item
        if isinstance(item, Request):
            if item.key is not None:
                return _checked_name(item.key)
            if self._key is not None:
                # Not before: the payload of an input is checked when it is asked for.
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

    def prepare(self, item: object) -> tuple[Call, bytes]:
        """Return where an item goes and what is sent; raises whatever is wrong with it."""
        call, payload = self.call, item
        if isinstance(item, Request):
            if item.has_options:
                name, options = item_options(self._function_name, self._options, item)
                call = self._calls.get(name, options)
            payload = item.payload
        return call, encode_payload(
            payload, encode=self._encode, invocation_type=call.parameters.invocation_type
        )

    def writes_json(self, item: object) -> bool:
        """Return whether what is sent for an item is JSON, since our own codec has written it."""
        return self._encode is encode_json and not isinstance(item, _MAY_BE_ANYTHING)


_MAY_BE_ANYTHING = (bytes, bytearray, memoryview, Request)


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


def refused(error: Exception) -> InvalidRequestError:
    """Return the error of an item that could not be prepared; it holds nothing of the item."""
    if isinstance(error, InvalidRequestError):
        return error
    return InvalidRequestError(f"the item cannot be prepared: {type(error).__name__}")


def without_frames(error: AsyncInvokeError) -> AsyncInvokeError:
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
