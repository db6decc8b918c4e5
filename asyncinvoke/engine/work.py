"""One item of a map: from the item, through its execution, to its outcome."""

from collections.abc import Callable
from typing import Any

from asyncinvoke.engine.clock import Clock
from asyncinvoke.engine.execute import Executor
from asyncinvoke.engine.options import Options
from asyncinvoke.errors import AsyncInvokeError, InvalidRequestError
from asyncinvoke.model.attempt import Attempt
from asyncinvoke.model.codec import Encode
from asyncinvoke.model.outcome import Outcome
from asyncinvoke.model.payload import encode_payload
from asyncinvoke.model.request import Request
from asyncinvoke.model.response import Response


class ItemWork:
    """Executes the items of one map; whatever is wrong with an item is its outcome."""

    def __init__(
        self,
        executor: Executor[Response],
        options: Options,
        *,
        key: Callable[[Any], str] | None,
        encode: Encode,
        clock: Clock,
    ) -> None:
        """Check the options that the items share.

        Raises:
            InvalidRequestError: One of them breaks a rule.
        """
        self._executor = executor
        self._options = options
        self._call = options.check()
        self._key = key
        self._encode = encode
        self._clock = clock

    async def __call__(self, index: int, item: object) -> Outcome:
        """Execute an item; only cancellation is raised."""
        started, began = self._clock.time(), self._clock.monotonic()
        key = None
        ended: Response | AsyncInvokeError
        attempts: tuple[Attempt, ...] = ()
        try:
            if isinstance(item, Request):
                key = self._name(item.payload) if item.key is None else item.key
                call, payload = self._options.overridden_by(item).check(), item.payload
            else:
                key = None if self._key is None else self._name(item)
                call, payload = self._call, item
            body = encode_payload(
                payload, encode=self._encode, invocation_type=call.envelope.invocation_type
            )
        except InvalidRequestError as error:
            ended = error
        else:
            executed = await self._executor.execute(call, body)
            ended, attempts = executed, executed.attempts
        return Outcome(
            index=index,
            key=key,
            response=ended if isinstance(ended, Response) else None,
            error=None if isinstance(ended, Response) else ended,
            attempts=attempts,
            started=started,
            elapsed=self._clock.monotonic() - began,
        )

    def _name(self, payload: object) -> str | None:
        if self._key is None:
            return None
        try:
            return self._key(payload)
        except Exception as error:
            raise InvalidRequestError(
                f"key cannot name the payload: {type(error).__name__}"
            ) from error
