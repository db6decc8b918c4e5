"""Restores outcomes from the rows that `rows.py` has made of them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from asyncinvoke import errors
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._journal.rows import CauseKey
from asyncinvoke._journal.schema import State
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.error_body import parse_error_body
from asyncinvoke._model.failure import FailureKind, ThrottleReason, ThrottleScope
from asyncinvoke._model.response import Attempt, Decode, Response, decode_json
from asyncinvoke.errors import (
    AsyncInvokeError,
    FunctionError,
    GaveUp,
    InvalidRequestError,
    InvocationError,
    ThrottledError,
)


class ItemRow(NamedTuple):
    """The columns from which an outcome is restored."""

    idx: int
    key: str | None
    state: int
    cause: int | None
    take: int
    attempts: int
    session: int
    version: str | None
    status: int | None
    started: float
    elapsed: int
    request_id: bytes | str | None
    body: bytes | None
    facts: str | None


ITEM_ROWS = """
SELECT item.idx, item.key, item.state, item.cause, item.take, item.attempts, item.session,
    version.name, item.status, session.started + item.began / 1000.0, item.elapsed, item.request_id,
    result.body, result.facts
FROM item JOIN session ON session.id = item.session
LEFT JOIN version ON version.id = item.version LEFT JOIN result ON result.idx = item.idx
"""
"""Selects the columns of `ItemRow`."""


def unpacked_id(request_id: bytes | str | None) -> str | None:
    """Return a request ID as AWS sent it."""
    if not isinstance(request_id, bytes):
        return request_id
    text = request_id.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_LATEST = 2.5e11
"""A time that no clock shows, in the year 9892: `datetime` ends soon after it."""


def moment(seconds: float) -> float:
    """Return a recorded time, in seconds since the epoch.

    Raises:
        ValueError: No clock shows it, such as an infinite one.
    """
    if not 0 <= seconds < _LATEST:
        raise ValueError("no such time")
    return seconds


def outcome_of(
    row: ItemRow,
    cause: CauseKey | None,
    *,
    index: int | None = None,
    example: str | None = None,
    decode: Decode = decode_json,
) -> Outcome[Any]:
    """Return the recorded outcome of an item."""
    facts: dict[str, Any] = json.loads(row.facts) if row.facts else {}
    elapsed = row.elapsed / 1e6
    request_id = unpacked_id(row.request_id)
    attempts = _attempts(row, cause, elapsed, request_id)
    response = None
    if cause is None or "function_error" in facts:
        response = Response(
            status_code=row.status or 200,
            payload=row.body or b"",
            executed_version=row.version,
            function_error=facts.get("function_error"),
            log_result=facts.get("log_result"),
            request_id=request_id,
            durable_execution_arn=facts.get("durable_execution_arn"),
            attempts=attempts,
            decode=decode,
        )
    error = None
    if cause is not None:
        error = _error(row, cause, facts, example, response, attempts)
        response = None
    return Outcome(
        index=row.idx if index is None else index,
        key=row.key,
        response=response,
        error=error,
        attempts=attempts,
        started=moment(row.started),
        elapsed=elapsed,
        take=row.take,
        replayed=True,
    )


def _attempts(
    row: ItemRow, cause: CauseKey | None, elapsed: float, request_id: str | None
) -> tuple[Attempt, ...]:
    """Return the last attempt, which has the number of omitted ones."""
    if not row.attempts:
        return ()
    delivery = cause.delivery if cause is not None else None
    return (
        Attempt(
            number=row.attempts,
            started=moment(row.started),
            elapsed=elapsed,
            kind=None if cause is None else _KINDS.get(cause.error),
            delivery=None if delivery is None else Delivery(delivery),
            status_code=_status(row, cause),
            code=None if cause is None else cause.code,
            request_id=request_id,
            omitted=row.attempts - 1,
        ),
    )


def _status(row: ItemRow, cause: CauseKey | None) -> int | None:
    """Return the status code of the response; 200 is not stored."""
    answered = cause is None or cause.error == "FunctionError"
    return 200 if row.status is None and answered else row.status


_KINDS = {
    "ThrottledError": FailureKind.THROTTLED,
    "FunctionError": FailureKind.FUNCTION,
    "NotReadyError": FailureKind.NOT_READY,
    "ServiceError": FailureKind.SERVICE,
    "RejectedError": FailureKind.REJECTED,
    "TransportError": FailureKind.TRANSPORT,
    "DeadlineExceededError": FailureKind.TRANSPORT,
}


def _error(
    row: ItemRow,
    cause: CauseKey,
    facts: Mapping[str, Any],
    example: str | None,
    response: Response[Any] | None,
    attempts: tuple[Attempt, ...],
) -> AsyncInvokeError:
    message = facts.get("message", example) or ""
    kind = getattr(errors, cause.error, InvocationError)
    if not (isinstance(kind, type) and issubclass(kind, InvocationError)):
        return InvalidRequestError(message)
    common: dict[str, Any] = {
        "function_name": facts.get("function_name") or "",
        "qualifier": facts.get("qualifier"),
        "delivery": Delivery.EXECUTED
        if row.state == State.SETTLED
        else Delivery(cause.delivery or Delivery.UNKNOWN),
        "request_id": unpacked_id(row.request_id),
        "status_code": _status(row, cause),
        "code": cause.code,
        "retry_after": facts.get("retry_after"),
        "attempts": attempts,
        "elapsed": row.elapsed / 1e6,
        "gave_up": None if cause.gave_up is None else GaveUp(cause.gave_up),
    }
    if issubclass(kind, ThrottledError):
        reason = ThrottleReason(facts.get("reason") or ThrottleReason.UNKNOWN)
        scope = ThrottleScope(facts.get("scope") or ThrottleScope.FUNCTION)
        return kind(message, reason=reason, scope=scope, **common)
    if issubclass(kind, FunctionError) and response is not None:
        body = parse_error_body(response.payload)
        if body.error_type is None:  # the journal does not keep results
            body = replace(body, error_type=cause.error_type)
        return kind(
            message,
            function_error=response.function_error or "",
            error_type=body.error_type,
            error_message=body.error_message,
            stack_trace=body.stack_trace,
            by_platform=body.by_platform,
            response=response,
            **common,
        )
    return kind(message, **common)
