"""The attributes of a call, shared by log records and spans, and the log lines themselves.

The names are OpenTelemetry's where it defines one (semantic conventions 1.44), and otherwise begin
with `asyncinvoke.`. Nothing here shows a payload, a credential or a client context.
"""

import logging
from typing import Any

from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._request.target import Target
from asyncinvoke.errors import FunctionError, InvocationError

_logger = logging.getLogger("asyncinvoke")


NAME = "faas.invoked_name"
QUALIFIER = "asyncinvoke.qualifier"
REQUEST_ID = "aws.request_id"
STATUS = "http.response.status_code"
ERROR = "error.type"
ATTEMPT = "asyncinvoke.attempt"
ATTEMPTS = "asyncinvoke.attempts"
DELIVERY = "asyncinvoke.delivery"
GAVE_UP = "asyncinvoke.gave_up"
REASON = "asyncinvoke.throttle.reason"
DELAY = "asyncinvoke.retry.delay"
WAITED = "asyncinvoke.permit.wait"
SCOPE = "asyncinvoke.limit.scope"
KEY = "asyncinvoke.limit.key"
QUANTITY = "asyncinvoke.limit.quantity"
LIMIT = "asyncinvoke.limit.value"
LIMIT_BEFORE = "asyncinvoke.limit.before"
LOWERED = "asyncinvoke.limit.lowered"

_LONGEST_TYPE = 128


def of_function(name: str, qualifier: str | None) -> dict[str, Any]:
    """Return the attributes of the called function."""
    return there({NAME: name, QUALIFIER: qualifier})


def of_reason(reason: ThrottleReason | None) -> dict[str, Any]:
    """Return the reason a limit was lowered, if a throttle gave one."""
    return there({REASON: _word(reason)})


def of_attempt(attempt: Attempt) -> dict[str, Any]:
    """Return the attributes of an attempt."""
    return there(
        {
            ATTEMPT: attempt.number,
            ERROR: attempt.code or _word(attempt.kind),
            STATUS: attempt.status_code,
            REQUEST_ID: attempt.request_id,
            DELIVERY: _word(attempt.delivery),
            REASON: _word(attempt.reason),
            DELAY: attempt.delay,
        }
    )


def of_result(result: Response[Any] | InvocationError) -> dict[str, Any]:
    """Return the attributes of a completed execution."""
    attempts = result.attempts
    attributes = {
        ERROR: error_type(result),
        STATUS: result.status_code,
        REQUEST_ID: result.request_id,
        ATTEMPTS: attempts[-1].number if attempts else 0,
    }
    if isinstance(result, InvocationError):
        attributes[DELIVERY] = _word(result.delivery)
        attributes[GAVE_UP] = _word(result.gave_up)
        attributes[REASON] = _word(getattr(result, "reason", None))
    return there(attributes)


def error_type(result: Response[Any] | InvocationError) -> str | None:
    """Return a low-cardinality error type; `None` if there was no error."""
    if isinstance(result, Response):
        return result.function_error
    if isinstance(result, FunctionError):
        # The function can report anything here; it should be the name of an exception.
        return (result.error_type or result.function_error)[:_LONGEST_TYPE]
    return result.code or type(result).__name__


def _word(value: object) -> str | None:
    return None if value is None else str(value)


def there(values: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that have a value."""
    return {name: value for name, value in values.items() if value is not None}


def log_retry(target: Target, attempt: Attempt) -> None:
    """Log that an attempt failed and will be retried, at level DEBUG."""
    because = "" if attempt.reason is None else f" ({attempt.reason})"
    _logger.debug(
        "%s: attempt %d failed with %s%s, the next one in %.3g s",
        target,
        attempt.number,
        attempt.code or attempt.kind,
        because,
        attempt.delay,
        extra={**of_function(target.name, target.qualifier), **of_attempt(attempt)},
    )


def log_given_up(target: Target, ended: Response[Any] | InvocationError) -> None:
    """Log that an execution was given up, at level DEBUG."""
    if isinstance(ended, InvocationError) and _logger.isEnabledFor(logging.DEBUG):
        attributes = of_result(ended)
        _logger.debug(
            "%s: given up after %d attempts in %.3g s (%s): %s",
            target,
            attributes[ATTEMPTS],
            ended.elapsed,
            ended.gave_up,
            attributes[ERROR],
            extra={**of_function(target.name, target.qualifier), **attributes},
        )
