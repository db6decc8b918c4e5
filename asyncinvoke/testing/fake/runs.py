"""Runs a handler for the fake: in the caller's own task, as Lambda's Python runtime would answer."""

import base64
import inspect
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from asyncinvoke._model.response import Reply
from asyncinvoke.local.checks import Request, decode_event
from asyncinvoke.local.execution import function_errors, logs
from asyncinvoke.local.execution.context import ClientContext, LambdaContext
from asyncinvoke.local.execution.marshal import marshal, marshal_error
from asyncinvoke.local.execution.yielding import UnwritableError, piece_of
from asyncinvoke.local.functions.configuration import Handler
from asyncinvoke.local.protocol.names import LATEST
from asyncinvoke.local.tally import Counters

TIMEOUT = 3.0
"""What the context's remaining time counts down from, in seconds (AWS's default)."""

MEMORY_SIZE = 128
"""What the context says of the memory, in MB (AWS's default)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A request at the fake."""

    name: str
    """The bare name of its function."""

    request: Request
    """What it asks for."""

    counters: tuple[Counters, ...]
    """Where it is counted."""

    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """The id of its answer."""

    @property
    def arn(self) -> str:
        """The function's unqualified ARN, which is that of a `LocalLambda`."""
        return f"arn:aws:lambda:us-east-1:123456789012:function:{self.name}"


class Run:
    """One run of a handler, and afterwards what it came to.

    Raises:
        ValueError: The payload is not JSON.
    """

    def __init__(self, handler: Handler, arrived: Arrived) -> None:
        self.arrived = arrived
        self._handler = handler
        self._event = decode_event(arrived.request.body)
        self.payload = b""
        """What is answered, beyond what was given in pieces."""
        self.failed = False
        """Whether the payload is an error."""
        self._log = b""

    @property
    def version(self) -> str:
        """The version that runs: an alias leads to `$LATEST`."""
        qualifier = self.arrived.request.qualifier or LATEST
        return qualifier if qualifier.isdigit() else LATEST

    @property
    def log(self) -> bytes | None:
        """The end of the log, if it was asked for; with the platform's lines and no others."""
        return self._log if self.arrived.request.log_type == "Tail" else None

    def reply(self) -> Reply:
        """Return what the run came to."""
        return Reply(
            status_code=200,
            payload=self.payload,
            executed_version=self.version,
            function_error=function_errors.UNHANDLED if self.failed else None,
            log_result=None if self.log is None else self.log.decode(errors="replace"),
            request_id=self.arrived.request_id,
        )

    async def whole(self) -> None:
        """Run, and join what the handler yields."""
        joined = b"".join([piece async for piece in self.pieces()])
        if not self.failed:
            self.payload = joined + self.payload

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Run, and give what the handler yields, if it yields."""
        began = time.monotonic()
        uncaught = b""
        for each in self.arrived.counters:
            each.started()
        try:
            answer = self._handler(self._event, self._context(began))
            if inspect.isawaitable(answer):
                answer = await answer
            if isinstance(answer, AsyncIterator | Iterator):
                async with aclosing(_each(answer)) as yielded:
                    async for piece in yielded:
                        yield piece
                answer = b""
            self.payload = answer if isinstance(answer, bytes) else _encode(answer)
        except SystemExit as error:
            self._fail(function_errors.left(self.arrived.request_id, error))
        except Exception as error:  # noqa: BLE001  # whatever a handler raises is its answer
            uncaught = self._raised(error)
        finally:
            for each in self.arrived.counters:
                each.in_flight -= 1
                each.function_errors += self.failed
        request_id = self.arrived.request_id
        duration = time.monotonic() - began
        closing = logs.end(
            request_id, duration=duration, memory_size=MEMORY_SIZE, memory_used=MEMORY_SIZE
        )
        self._log = logs.tail(logs.start(request_id, self.version) + uncaught + closing)

    def _raised(self, error: Exception) -> bytes:
        is_ours = isinstance(error, _UnmarshallableError)
        error_type = "Runtime.MarshalError" if is_ours else type(error).__name__
        frames = None if is_ours else error.__traceback__
        trace = function_errors.stack_trace(frames, own_files=[__file__])
        body = function_errors.raised(self.arrived.request_id, error_type, str(error), trace)
        self._fail(marshal_error(body))
        return logs.uncaught(error_type, str(error), trace)

    def _fail(self, body: bytes) -> None:
        self.payload, self.failed = body, True

    def _context(self, began: float) -> LambdaContext:
        arrived, request = self.arrived, self.arrived.request
        sent = request.client_context
        # An Event's is not passed on, as in AWS.
        is_passed_on = request.invocation_type != "Event"
        return LambdaContext(
            aws_request_id=arrived.request_id,
            function_name=arrived.name,
            function_version=self.version,
            invoked_function_arn=":".join(filter(None, [arrived.arn, request.qualifier])),
            memory_limit_in_mb=str(MEMORY_SIZE),
            log_group_name=logs.group_name(arrived.name),
            log_stream_name=logs.new_stream_name(self.version),
            client_context=ClientContext.of(
                json.loads(base64.b64decode(sent)) if sent is not None and is_passed_on else None
            ),
            tenant_id=request.tenant_id,
            deadline=began + TIMEOUT,
        )


class _UnmarshallableError(Exception):
    def __init__(self, why: object) -> None:
        super().__init__(f"Unable to marshal response: {why}")


def _encode(answer: Any) -> bytes:
    try:
        return marshal(answer)
    except (TypeError, ValueError, RecursionError) as error:
        raise _UnmarshallableError(error) from error


async def _each(answer: AsyncIterator[Any] | Iterator[Any]) -> AsyncGenerator[bytes, None]:
    try:
        if isinstance(answer, AsyncIterator):
            async for item in answer:
                yield _piece(item)
        else:
            for item in answer:
                yield _piece(item)
    finally:
        # A generator that is left early has a `finally` of its own.
        close = getattr(answer, "aclose", None) or getattr(answer, "close", None)
        closing = None if close is None else close()
        if inspect.isawaitable(closing):
            await closing


def _piece(item: object) -> bytes:
    try:
        return piece_of(item)
    except UnwritableError as error:
        raise _UnmarshallableError(error) from error
