"""From the result of a batch to the result of each of its items: a decision on values."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from asyncinvoke._batches.formats import BatchFormat
from asyncinvoke._batches.shape import BatchItem, ItemFailed, MisfitError
from asyncinvoke._engine.calls import Call
from asyncinvoke._engine.outcome import copied
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.response import Response
from asyncinvoke._model.text import in_one_line, legible
from asyncinvoke._request.request import InvocationType
from asyncinvoke._retries.raising import LONGEST_MESSAGE
from asyncinvoke.errors import FunctionError, GaveUp, InvocationError

BAD_ANSWER = "BadBatchAnswer"
"""The code if the function ran but its response does not match the shape of the batch."""

FAILED = "Unhandled"
"""The `function_error` of items reported as failed; Lambda's value for a failed function."""


def ends_of(
    executed: Response[Any] | InvocationError,
    *,
    call: Call,
    items: Sequence[BatchItem],
    batch_format: BatchFormat,
    elapsed: float,
) -> list[Response[Any] | InvocationError]:
    """Return the result of each item of a batch.

    If the batch failed, or its response is a function error, all items end the same way. Otherwise
    the shape unpacks the response; if it does not match, all items fail although the function ran.
    """
    if isinstance(executed, InvocationError):
        return [executed, *(copied(executed) for _ in items[1:])]
    is_answer = call.parameters.invocation_type is InvocationType.REQUEST_RESPONSE
    if executed.function_error is not None or not is_answer:
        return [executed] * len(items)
    try:
        results = batch_format.unpack(executed.payload, items)
    except MisfitError as misfit:
        why = str(misfit)
        error = _failed(
            replace(executed, function_error=BAD_ANSWER, attempts=()),
            call,
            elapsed,
            attempts=executed.attempts,
            code=BAD_ANSWER,
            error_type=BAD_ANSWER,
            error_message=why,
        )
        return [error, *(copied(error) for _ in items[1:])]
    ended: list[Response[Any] | InvocationError] = []
    for result in results:
        if isinstance(result, ItemFailed):
            ended.append(_named(executed, call, elapsed, result))
        else:
            ended.append(replace(executed, payload=result))
    return ended


def _named(
    executed: Response[Any], call: Call, elapsed: float, failed: ItemFailed
) -> Response[Any] | InvocationError:
    """Return the result of an item that the function reported as failed."""
    members = {"errorType": failed.error_type, "errorMessage": failed.error_message}
    body = {name: text for name, text in members.items() if text is not None}
    response = replace(
        executed, payload=json.dumps(body).encode(), function_error=FAILED, attempts=()
    )
    if not call.raise_on_function_error:
        return replace(response, attempts=executed.attempts)
    return _failed(
        response,
        call,
        elapsed,
        attempts=executed.attempts,
        error_type=None if failed.error_type is None else legible(failed.error_type),
        error_message=None if failed.error_message is None else legible(failed.error_message),
    )


def _failed(
    response: Response[Any],
    call: Call,
    elapsed: float,
    *,
    error_type: str | None,
    error_message: str | None,
    **facts: Any,
) -> FunctionError:
    target = call.parameters.target
    return FunctionError(
        in_one_line(error_message or "", LONGEST_MESSAGE),
        function_error=response.function_error or FAILED,
        error_type=error_type,
        error_message=error_message,
        stack_trace=(),
        response=response,
        function_name=target.function_name,
        qualifier=target.qualifier,
        delivery=Delivery.EXECUTED,
        request_id=response.request_id,
        status_code=response.status_code,
        elapsed=elapsed,
        gave_up=GaveUp.NOT_RETRYABLE,
        **facts,
    )
