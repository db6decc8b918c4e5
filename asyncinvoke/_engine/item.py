"""One item of a map: from the item, through its execution, to its outcome."""

from collections.abc import Callable
from typing import Any

from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.options import Call, Calls, InvokeOptions, item_options
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._model.codec import Encode
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._request.payload import check_plain, encode_payload
from asyncinvoke._request.request import Request
from asyncinvoke._transport.base import Transport
from asyncinvoke.errors import AsyncInvokeError, InvalidRequestError


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
        if key is not None:
            check_plain("key", key)
        self._key = key
        self._encode = encode

    async def __call__(self, index: int, item: object) -> Outcome:
        """Execute an item.

        Raises nothing but cancellation, and what a retry policy or transport of the caller's own
        raises, which is wrong for all items.
        """
        clock = self._engine.clock
        started, began = clock.time(), clock.monotonic()
        key = None
        ended: Response[Any] | AsyncInvokeError
        attempts: tuple[Attempt, ...] = ()
        try:
            key = self._name(item)
            call, body = self._prepare(item)
        except InvalidRequestError as error:
            # Its traceback leads to the payload; the message does not.
            ended = error.with_traceback(None)
        else:
            executed = await self._engine.execute(self._transport, call, body)
            ended, attempts = executed, executed.attempts
        return Outcome(
            index=index,
            key=key,
            response=ended if isinstance(ended, Response) else None,
            error=None if isinstance(ended, Response) else ended,
            attempts=attempts,
            started=started,
            elapsed=clock.monotonic() - began,
        )

    def _prepare(self, item: object) -> tuple[Call, bytes]:
        call, payload = self._call, item
        if isinstance(item, Request):
            name, options = item_options(self._function_name, self._options, item)
            call, payload = self._calls.get(name, options), item.payload
        return call, encode_payload(
            payload, encode=self._encode, invocation_type=call.parameters.invocation_type
        )

    def _name(self, item: object) -> str | None:
        payload = item
        if isinstance(item, Request):
            if item.key is not None:
                return item.key
            payload = item.payload
        if self._key is None:
            return None
        try:
            return self._key(payload)
        except Exception as error:
            raise InvalidRequestError(
                f"key cannot name the payload: {type(error).__name__}"
            ) from error
