"""Converts outcomes to rows, in a compact form: words as numbers, IDs as bytes."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from asyncinvoke._engine.causes import MOST_CAUSES, OTHERS, cause_key
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._journal.schema import STATE_OF, State
from asyncinvoke._model.failure import FailureKind
from asyncinvoke._model.response import Attempt
from asyncinvoke.errors import (
    AsyncInvokeError,
    FunctionError,
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


def kept_cause(key: CauseKey, known: Collection[CauseKey]) -> CauseKey:
    """Return the cause under which a failure is recorded.

    Functions may make up their error types, and whatever answers in Lambda's place its codes: beyond
    `MOST_CAUSES` causes no new type is recorded, and beyond twice as many no new code.

    Args:
        key: Its own cause.
        known: The causes that are recorded.
    """
    if key not in known and len(known) >= MOST_CAUSES:
        key = key._replace(error_type=OTHERS)
    if key not in known and len(known) >= 2 * MOST_CAUSES:
        key = key._replace(code=None)
    return key


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


def _facts(facts: Mapping[str, object]) -> str:
    kept = {name: each for name, each in facts.items() if each is not None}
    return json.dumps(kept, separators=(",", ":"))
