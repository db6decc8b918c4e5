"""One run of a handler that is a callable: its pieces, its result as JSON, and its log.

It starts no task, has no time limit, and runs on any event loop: `InProcess` and the fake of
`asyncinvoke.testing` share it.
"""

import asyncio
import inspect
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from asyncinvoke.local.execution import calling, function_errors, logs, memory, threads
from asyncinvoke.local.execution.calling import (
    STREAM_LIMIT,
    Calls,
    RaisedError,
    TooLargeError,
    UnwritableError,
    carrying,
)
from asyncinvoke.local.execution.context import LambdaContext
from asyncinvoke.local.execution.invocation import Invocation, Result
from asyncinvoke.local.execution.marshalling import marshal, marshal_error
from asyncinvoke.local.functions.configuration import FunctionConfig, Handler

# GUESS: not recorded from AWS (docs/fidelity.md)
STREAM_TOO_LARGE = function_errors.response_too_large(STREAM_LIMIT)  # as for a buffered response

_OWN_FILES = frozenset(
    sys.modules[module].__file__ for module in (__name__, calling.__name__, threads.__name__)
)


class HandlerRun:
    """One run of a handler.

    Either iterate over `pieces` or await `whole`, once; then call `result`.

    Args:
        handler: The handler.
        invocation: The invocation.
        config: The configuration of the function.
        calls: Calls sync handlers.
        log_stream_name: The log stream in the context.
        on_loop: Whether to call it directly, because the call only creates a coroutine or generator.
    """

    def __init__(
        self,
        handler: Handler,
        invocation: Invocation,
        config: FunctionConfig,
        *,
        calls: Calls,
        log_stream_name: str,
        on_loop: bool = False,
    ) -> None:
        self._handler = handler
        self._invocation = invocation
        self._config = config
        self._calls = calls
        self._on_loop = on_loop
        self._started = time.monotonic()
        self._context = LambdaContext.of(
            invocation,
            config,
            log_stream_name=log_stream_name,
            deadline=self._started + config.timeout,
        )
        self._payload = b""
        self._function_error: str | None = None
        self._content_type = "application/json"
        self._line = b""
        self._status = ""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Run the handler and yield its pieces, if any; the result is what follows them."""
        try:
            answer = await self._call()
            yielded = calling.pieces_of(answer, self._calls)
            if yielded is not None:
                async with aclosing(calling.each_of(yielded, limit=STREAM_LIMIT)) as pieces:
                    async for piece in pieces:
                        yield piece
                answer = b""
        except asyncio.CancelledError as error:
            # If nobody cancels this task, the handler raised it; on trio this is the only case.
            if _is_being_cancelled():
                raise
            self._fail_by(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # any exception of a handler is its result
            self._fail_by(error)
        else:
            self._return(answer)

    async def whole(self) -> None:
        """Run the handler and join its pieces."""
        joined = bytearray()
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                if len(joined) <= function_errors.RESPONSE_LIMIT:
                    joined += piece
        if joined and self._function_error is None:
            self._return(bytes(joined))

    @property
    def has_failed(self) -> bool:
        """Whether the run ended in a function error."""
        return self._function_error is not None

    def time_out(self) -> None:
        """Replace the result by that of a timeout."""
        request_id, timeout = self._invocation.request_id, self._config.timeout
        self._fail(function_errors.timed_out(request_id, timeout))
        self._line, self._status = logs.timed_out(request_id, timeout), "Status: timeout"

    def result(self) -> Result:
        """Return the result of the run, with the log tail if requested."""
        return Result(
            payload=self._payload,
            function_error=self._function_error,
            content_type=self._content_type,
            log=self._log() if self._invocation.tail else None,
        )

    async def _call(self) -> Any:
        event, context = self._invocation.event, self._context
        if self._on_loop:
            answer = self._handler(event, context)
        else:
            answer = await self._calls.run(self._handler, event, context)
        if not inspect.isawaitable(answer):
            return answer
        with carrying():
            return await answer

    def _return(self, answer: Any) -> None:
        if isinstance(answer, bytes):
            self._payload, self._content_type = answer, "application/unknown"
        else:
            try:
                with carrying():  # objects in it may run code of their own
                    self._payload = marshal(answer)
            except (RaisedError, SystemExit) as error:
                self._fail_by(error)
            except Exception as error:  # noqa: BLE001  # as AWS's runtime
                self._fail_to_marshal(error)
        if len(self._payload) > function_errors.RESPONSE_LIMIT:
            self._fail(function_errors.response_too_large())

    def _fail_by(self, error: BaseException) -> None:
        request_id = self._invocation.request_id
        match error:
            case RaisedError():
                self._fail_by(error.error)
            case UnwritableError():
                self._fail_to_marshal(error)
            case TooLargeError():
                self._fail(STREAM_TOO_LARGE)
            case SystemExit():
                self._fail(function_errors.left(request_id, error))
            case KeyboardInterrupt():
                self._fail(function_errors.exited(request_id, -signal.SIGINT))
            case Exception() | asyncio.CancelledError():
                self._fail_with_trace(error)
            case _:
                self._fail(function_errors.exited(request_id, 1))

    def _fail_with_trace(self, error: BaseException) -> None:
        trace = function_errors.stack_trace(error.__traceback__, own_files=_OWN_FILES)
        description = _describe(error)
        if description is None:
            self._fail(function_errors.exited(self._invocation.request_id, 1))
        else:
            self._fail_with(*description, trace)

    def _fail_to_marshal(self, error: Exception) -> None:
        description = _describe(error)
        if description is None:
            self._fail(function_errors.exited(self._invocation.request_id, 1))
        else:
            message = f"Unable to marshal response: {description[1]}"
            self._fail_with("Runtime.MarshalError", message, [])

    def _fail_with(self, error_type: str, message: str, trace: list[str]) -> None:
        request_id = self._invocation.request_id
        self._fail(marshal_error(function_errors.raised(request_id, error_type, message, trace)))
        self._line = logs.uncaught(error_type, message, trace)

    def _fail(self, body: bytes) -> None:
        self._payload, self._function_error = body, function_errors.UNHANDLED
        self._content_type = "application/json"

    def _log(self) -> bytes:
        request_id = self._invocation.request_id
        closing = logs.end(
            request_id,
            duration=time.monotonic() - self._started,
            memory_size=self._config.memory_size,
            memory_used=memory.peak(os.getpid()),
            status=self._status,
        )
        return logs.tail(logs.start(request_id, self._config.version) + self._line + closing)


def _describe(error: BaseException) -> tuple[str, str] | None:
    """Return an error's type and text; None if its `__str__` raises, which ends AWS's runtime."""
    try:
        with carrying():
            return type(error).__name__, str(error)
    except (Exception, SystemExit):  # noqa: BLE001  # see above
        return None


def _is_being_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0
