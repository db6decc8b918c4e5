"""The work of a map: one item of its input executed, and made into its outcome."""

import inspect
from collections.abc import Callable
from typing import Any

from asyncinvoke._clock import Clock
from asyncinvoke._engine.execute import Executor
from asyncinvoke._engine.hopeless import Refusals
from asyncinvoke._engine.options import Call, Options
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._model.codec import Encode
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._request.payload import encode_payload
from asyncinvoke._request.request import Request
from asyncinvoke.errors import AsyncInvokeError, InvalidRequestError, ToleranceExceededError


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
        self.call = options.check()
        self._key = checked_key(key)
        self._encode = encode
        self._clock = clock
        self._refusals = Refusals()

    async def __call__(self, index: int, item: object) -> Outcome:
        """Execute an item. Only cancellation is raised, and errors of the caller's own policy."""
        started, began = self._clock.time(), self._clock.monotonic()
        key = None
        ended: Response | AsyncInvokeError
        attempts: tuple[Attempt, ...] = ()
        try:
            key = self._name(item)
            call, body = self._prepare(item)
        except Exception as error:  # noqa: BLE001  # an item may be wrong in any way
            ended = _refused(error)
        else:
            self._refusals.begin(index, call.parameters.target)
            executed = await self._executor.execute(call, body)
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
            elapsed=self._clock.monotonic() - began,
        )

    def judge(self, outcome: Outcome) -> ToleranceExceededError | None:
        """Return the error to end the run with, once every call is refused for one reason."""
        return self._refusals.end(outcome.index, outcome.error)

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
        call, payload = self.call, item
        if isinstance(item, Request):
            call, payload = self._options.overridden_by(item).check(), item.payload
        return call, encode_payload(
            payload, encode=self._encode, invocation_type=call.parameters.invocation_type
        )


def checked_key(key: Callable[[Any], str] | None) -> Callable[[Any], str] | None:
    """Return it, if it is a plain function or none.

    Raises:
        InvalidRequestError: It cannot be called, or has to be awaited.
    """
    if key is None:
        return None
    shown = getattr(key, "__qualname__", type(key).__name__)
    if not callable(key):
        raise InvalidRequestError(f"key must be a function that names a payload, not {shown}")
    if any(
        is_async(function)
        for is_async in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        for function in (key, type(key).__call__)
    ):
        raise InvalidRequestError(f"key {shown} is an async function; it must be a plain one")
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
