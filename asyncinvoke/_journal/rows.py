"""Converts outcomes to rows and back, in a compact form: words as numbers, IDs as bytes."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from asyncinvoke import errors
from asyncinvoke._engine.causes import cause_key
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._journal.schema import STATE_OF, State
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

_AWS_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class CauseKey(NamedTuple):
    """The properties that failures of the same cause have in common."""

    error: str
    code: str | None
    error_type: str | None
    delivery: str | None
    gave_up: str | None


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


def written(text: str | None) -> str | None:
    """Return a text that can be stored: lone surrogates become question marks."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()


def state_of(error: AsyncInvokeError | None) -> State:
    """Return the state of an item that ended with this error, or without one."""
    if error is None:
        return State.SUCCEEDED
    if isinstance(error, InvocationError):
        return STATE_OF[error.delivery]
    return State.NOT_RUN


def cause_of(error: AsyncInvokeError) -> CauseKey:
    """Return the cause of an error."""
    if not isinstance(error, InvocationError):
        return CauseKey(*cause_key(error), None, None)
    gave_up = None if error.gave_up is None else error.gave_up.value
    return CauseKey(*cause_key(error), error.delivery.value, gave_up)


def example_of(error: AsyncInvokeError, *, results: bool) -> str | None:
    """Return the message of an error; the message of a function error counts as a result."""
    if isinstance(error, FunctionError):
        return written(error.message) if results else None
    return written(error.message if isinstance(error, InvocationError) else str(error))


def counts_of(attempts: tuple[Attempt, ...]) -> tuple[int, int]:
    """Return the number of attempts, and the number of throttled ones among those kept."""
    if not attempts:
        return 0, 0
    if len(attempts) == 1:
        return attempts[0].number, int(attempts[0].kind is FailureKind.THROTTLED)
    return attempts[-1].number, sum(each.kind is FailureKind.THROTTLED for each in attempts)


def packed_id(request_id: str | None) -> bytes | str | None:
    """Return a request ID as 16 bytes if it has the format of AWS, otherwise as text."""
    if request_id is None or not _AWS_ID.fullmatch(request_id):
        return written(request_id)
    return bytes.fromhex(request_id.replace("-", ""))


def unpacked_id(request_id: bytes | str | None) -> str | None:
    """Return a request ID as AWS sent it."""
    if not isinstance(request_id, bytes):
        return request_id
    text = request_id.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def result_of(outcome: Outcome[Any], *, results: bool) -> tuple[bytes | None, str | None]:
    """Return the columns of `result`: the response's payload, and other facts as JSON.

    Args:
        outcome: The outcome.
        results: Whether to store what the function returned.
    """
    response, error = outcome.response, outcome.error
    facts = _error_facts(error, results=results)
    if isinstance(error, FunctionError) and response is None:
        response = error.response
    if response is None:
        return None, _facts(facts)
    if response.function_error is not None:
        facts["function_error"] = response.function_error
    if response.durable_execution_arn is not None:
        facts["durable_execution_arn"] = response.durable_execution_arn
    if results and response.log_result:
        facts["log_result"] = response.log_result
    body = response.payload if results and response.payload else None
    return body, _facts(facts) if facts else None


def _error_facts(error: AsyncInvokeError | None, *, results: bool) -> dict[str, object]:
    """Return what differs between errors of the same cause."""
    if error is None:
        return {}
    if not isinstance(error, InvocationError):
        return {"message": str(error)}
    facts: dict[str, object] = {"message": error.message, "retry_after": error.retry_after}
    if isinstance(error, FunctionError):
        facts = {"message": error.message if results else ""}  # the function's own words
    elif isinstance(error, ThrottledError):
        facts |= {"reason": error.reason.value, "scope": error.scope.value}
    return facts | {"function_name": error.function_name, "qualifier": error.qualifier}


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
        return kind(
            message,
            function_error=response.function_error or "",
            error_type=body.error_type or cause.error_type,
            error_message=body.error_message,
            stack_trace=body.stack_trace,
            by_platform=body.by_platform,
            response=response,
            **common,
        )
    return kind(message, **common)


def _facts(facts: Mapping[str, object]) -> str:
    kept = {name: each for name, each in facts.items() if each is not None}
    return json.dumps(kept, separators=(",", ":"))
