"""Runs handlers that are callables of this process: async on the server's loop, sync in a thread."""

import asyncio
import inspect
import os
import sys
import time
from typing import Any

import anyio

from asyncinvoke.local.execution import function_errors, logs, memory
from asyncinvoke.local.execution.context import ClientContext, LambdaContext
from asyncinvoke.local.execution.invocation import Invocation, Result
from asyncinvoke.local.execution.marshal import marshal, marshal_error
from asyncinvoke.local.execution.threads import Threads
from asyncinvoke.local.execution.yielding import (
    STREAM_LIMIT,
    Pieces,
    TooLargeError,
    UnwritableError,
    Write,
    pieces_of,
    write_all,
)
from asyncinvoke.local.functions.configuration import FunctionConfig, Handler

# Never recorded from AWS, so chosen here; correct them in this one place.
STREAM_TOO_LARGE = function_errors.response_too_large(STREAM_LIMIT)  # as for a whole answer

_OWN_FILES = frozenset(
    sys.modules[module].__file__
    for module in (
        __name__,
        Threads.__module__,
        write_all.__module__,
        "concurrent.futures.thread",
    )
)


class InProcess:
    """The runner of one function whose handler is a callable.

    An async handler is cancelled at its timeout. A sync one cannot be: its thread is abandoned and
    its result dropped.
    """

    def __init__(self, config: FunctionConfig, handler: Handler, *, threads: Threads) -> None:
        self._config = config
        self._handler = handler
        self._threads = threads
        self._log_stream_name = logs.new_stream_name(config.version)
        self._is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004
        )

        self._yields = inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler)

    async def run(self, invocation: Invocation, write: Write | None = None) -> Result:
        """Run the handler once; what it yields is written, or joined."""
        timeout = self._config.timeout
        started = time.monotonic()
        context = self._context(invocation, started + timeout)
        ended: Result | None = None
        line = b""
        with anyio.move_on_after(timeout) as scope:
            ended, line = await self._outcome(invocation, context, write)
        status = ""
        # A handler that swallowed the cancellation is too late all the same.
        if ended is None or scope.cancel_called:
            ended = _failed(function_errors.timed_out(invocation.request_id, timeout))
            line, status = logs.timed_out(invocation.request_id, timeout), "Status: timeout"
        if not invocation.tail:
            return ended
        closing = logs.end(
            invocation.request_id,
            duration=time.monotonic() - started,
            memory_size=self._config.memory_size,
            memory_used=memory.peak(os.getpid()),
            status=status,
        )
        return Result(
            payload=ended.payload,
            function_error=ended.function_error,
            content_type=ended.content_type,
            log=logs.tail(logs.start(invocation.request_id, self._config.version) + line + closing),
        )

    async def _outcome(
        self, invocation: Invocation, context: LambdaContext, write: Write | None
    ) -> tuple[Result, bytes]:
        """Return the result and the line that the runtime logs about it."""
        request_id = invocation.request_id
        try:
            answer = await self._call(invocation.event, context)
            pieces = pieces_of(answer, self._threads)
            if pieces is not None:
                answer = await _take(pieces, write)
        except UnwritableError as error:
            return _unmarshalled(request_id, error)
        except TooLargeError:
            return _failed(STREAM_TOO_LARGE), b""
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return _raised(request_id, error)
        except SystemExit as error:
            return _failed(function_errors.left(request_id, error)), b""
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is its answer
            return _raised(request_id, error)
        return self._encoded(request_id, answer)

    async def _call(self, event: Any, context: LambdaContext) -> Any:
        if self._is_async:
            return await self._handler(event, context)
        if self._yields:
            return self._handler(event, context)
        answer = await self._threads.run(self._handler, event, context)
        if inspect.isawaitable(answer):
            return await answer
        return answer

    @staticmethod
    def _encoded(request_id: str, answer: Any) -> tuple[Result, bytes]:
        if isinstance(answer, bytes):
            result = Result(payload=answer, content_type="application/unknown")
        else:
            try:
                result = Result(payload=marshal(answer))
            except (TypeError, ValueError, RecursionError) as error:
                return _unmarshalled(request_id, error)
        if len(result.payload) > function_errors.RESPONSE_LIMIT:
            return _failed(function_errors.response_too_large()), b""
        return result, b""

    def _context(self, invocation: Invocation, deadline: float) -> LambdaContext:
        return LambdaContext(
            aws_request_id=invocation.request_id,
            function_name=self._config.name,
            function_version=self._config.version,
            invoked_function_arn=invocation.arn,
            memory_limit_in_mb=str(self._config.memory_size),
            log_group_name=logs.group_name(self._config.name),
            log_stream_name=self._log_stream_name,
            client_context=ClientContext.of(invocation.client_context),
            tenant_id=invocation.tenant_id,
            deadline=deadline,
        )


async def _take(pieces: Pieces, write: Write | None) -> bytes:
    """Write what a handler yields and give what is left to answer, or join it."""
    if write is not None:
        await write_all(pieces, write, limit=STREAM_LIMIT)
        return b""
    joined = bytearray()

    async def append(piece: bytes) -> None:
        if len(joined) <= function_errors.RESPONSE_LIMIT:
            joined.extend(piece)

    await write_all(pieces, append, limit=STREAM_LIMIT)
    return bytes(joined)


def _failed(body: bytes) -> Result:
    return Result(payload=body, function_error=function_errors.UNHANDLED)


def _raised(request_id: str, error: BaseException) -> tuple[Result, bytes]:
    trace = function_errors.stack_trace(error.__traceback__, own_files=_OWN_FILES)
    return _error(request_id, type(error).__name__, str(error), trace)


def _unmarshalled(request_id: str, error: Exception) -> tuple[Result, bytes]:
    message = f"Unable to marshal response: {error}"
    return _error(request_id, "Runtime.MarshalError", message, [])


def _error(
    request_id: str, error_type: str, message: str, trace: list[str]
) -> tuple[Result, bytes]:
    body = function_errors.raised(request_id, error_type, message, trace)
    return _failed(marshal_error(body)), logs.uncaught(error_type, message, trace)
