"""The work of a map: executes one item of the input and makes its outcome."""

import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from asyncinvoke._engine.calls import Call, Calls, item_options
from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.frames import without_frames
from asyncinvoke._engine.options import InvokeOptions
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.prepared import AttemptMarks
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
    """Executes the items of one map; an invalid item results in a failed outcome.

    Args:
        engine: Executes the calls.
        transport: Sends the attempts.
        calls: Validates options.
        function_name: The map's function.
        options: The options shared by the items.
        key: Returns the key of an item, given its payload.
        encode: Converts a payload to bytes.
        tolerance: How many items may fail; `None` for no limit.

    Raises:
        InvalidRequestError: An option is invalid.
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
        """Executes the calls."""
        self.transport = transport
        """Sends the attempts."""
        self._calls = calls
        self._function_name = function_name
        self._options = options
        self.call: Call = calls.get(function_name, options)
        """The call shared by the items."""
        self._key = _checked_key(key)
        self._encode = encode
        self.stop_condition: Failures = Failures(tolerance)
        """Inspects the outcomes, and decides when there are too many failures."""
        self.brake: Brake = Brake(engine.limiter.withdraw)
        """Holds back attempts while the map is paused or stopped."""

    async def __call__(self, index: int, item: object) -> Outcome[Any]:
        """Execute an item.

        It raises only cancellation, errors of the caller's own policy, and `NotStartedError`.
        """
        clock = self.engine.clock
        started, began = clock.time(), clock.monotonic()
        key = None
        ended: Response[Any] | AsyncInvokeError
        try:
            if self._key is not None or isinstance(item, Request):
                key = self.name(item)
            call, body = self.prepare(item)
        except Exception as error:  # noqa: BLE001  # an item may be wrong in any way
            ended = refused(error)
        else:
            executing = self.execute(index, call, body)
            item = body = b""  # keeps the payload out of tracebacks
            ended = await executing
        return self.outcome(index, key, ended, started=started, began=began)

    def execute(
        self, index: int, call: Call, body: bytes, marks: AttemptMarks | None = None
    ) -> Coroutine[Any, Any, Response[Any] | InvocationError]:
        """Return the execution of an item."""
        # Items in progress when the invoker was closed have an outcome. An item that starts later
        # shows that there is more input, none of which can be sent.
        if self.engine.waits.is_closed:
            self.stop_condition.is_late = True
        self.stop_condition.begin(index, call.parameters.target)
        return self.engine.execute(self.transport, call, body, self.brake, marks)

    def outcome(
        self,
        index: int,
        key: str | None,
        ended: Response[Any] | AsyncInvokeError,
        *,
        started: float,
        began: float,
    ) -> Outcome[Any]:
        """Return the outcome of an item that has just ended."""
        attempts: tuple[Attempt, ...] = ()
        response = failed = None
        if isinstance(ended, Response):
            response, attempts = ended, ended.attempts
        else:
            failed = without_frames(ended)
            if isinstance(ended, InvocationError):
                attempts = ended.attempts
        elapsed = self.engine.clock.monotonic() - began
        return Outcome(index, started, elapsed, key, response, failed, attempts)

    def describe(self) -> str | None:
        """Describe what delays the permits of the map's function, if anything does."""
        return self.engine.limiter.describe(self.call.key)

    def name(self, item: object) -> str | None:
        """Return the key of an item, if it has one.

        Raises:
            InvalidRequestError: It cannot be determined, or is not a string.
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

    def names(self, payloads: Iterable[object]) -> list[str] | None:
        """Return the keys of payloads, none of them a `Request`; `None` if one has no valid key."""
        if self._key is None:
            return None
        try:
            names = list(map(self._key, payloads))
        except Exception:  # noqa: BLE001  # `name` raises it for the item
            return None
        return names if set(map(type, names)) <= {str} else None

    def prepare(self, item: object) -> tuple[Call, bytes]:
        """Return the call and the encoded payload of an item; raises if the item is invalid."""
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
        """Return whether the encoded item is known to be JSON, written by our own codec."""
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
        name.close()  # avoids the warning about a coroutine that was never awaited
    raise InvalidRequestError(f"key must be a string, not {type(name).__name__}")


def refused(error: Exception) -> InvalidRequestError:
    """Return the error for an item that could not be prepared; it does not quote the item."""
    if isinstance(error, InvalidRequestError):
        return error
    return InvalidRequestError(f"the item cannot be prepared: {type(error).__name__}")
