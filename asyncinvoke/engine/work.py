"""One item of a map: from the item, through its execution, to its outcome."""

from collections.abc import Callable
from typing import Any

from asyncinvoke.engine.call import Call
from asyncinvoke.engine.clock import Clock
from asyncinvoke.engine.execute import Executor
from asyncinvoke.engine.options import Options
from asyncinvoke.errors import AsyncInvokeError, InvalidRequestError
from asyncinvoke.model.attempt import Attempt
from asyncinvoke.model.outcome import Outcome
from asyncinvoke.model.payload import Encode, encode_payload
from asyncinvoke.model.request import Request
from asyncinvoke.model.response import Response


class ItemWork:
    """Executes the items of one map; whatever is wrong with an item is its outcome."""

    def __init__(
        self,
        executor: Executor,
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
            key = self._name(item)
            call, payload = self._read(item)
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

    def _read(self, item: object) -> tuple[Call, object]:
        if not isinstance(item, Request):
            return self._call, item
        return self._options.overridden_by(item).check(), item.payload

    def _name(self, item: object) -> str | None:
        if isinstance(item, Request) and item.key is not None:
            return item.key
        if self._key is None:
            return None
        payload = item.payload if isinstance(item, Request) else item
        try:
            return self._key(payload)
        except Exception as error:
            raise InvalidRequestError(
                f"key cannot name the payload: {type(error).__name__}"
            ) from error
