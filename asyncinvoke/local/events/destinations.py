"""The records sent to destinations, as recorded from AWS, and their delivery."""

import inspect
import json
from pathlib import Path
from typing import Any

from asyncinvoke.local.execution import logs
from asyncinvoke.local.execution.invocation import Invocation, Result
from asyncinvoke.local.functions.event_config import Destination
from asyncinvoke.local.protocol.names import LATEST

# GUESS: not recorded from AWS (docs/fidelity.md)
NEVER_RAN_CODE = "429"
NEVER_RAN_MESSAGE = "Rate Exceeded."


def record(
    invocation: Invocation, *, condition: str, runs: int, result: Result | None
) -> dict[str, Any]:
    """Return the record for an on-success or on-failure destination.

    Args:
        invocation: The Event.
        condition: AWS's name for the reason why it left the queue.
        runs: The number of runs.
        result: The result of the last run; None if it never ran.
    """
    arn = invocation.arn
    made = {
        "version": "1.0",
        "timestamp": logs.timestamp(),
        "requestContext": {
            "requestId": invocation.request_id,
            "functionArn": arn if invocation.is_qualified else f"{arn}:{LATEST}",
            "condition": condition,
            "approximateInvokeCount": runs,
        },
        "requestPayload": invocation.event,
    }
    if result is not None:
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": invocation.version}
        if result.function_error is not None:
            context["functionError"] = result.function_error
        made["responseContext"] = context
        made["responsePayload"] = _decoded(result.payload)
    return made


def dead_letter(invocation: Invocation, result: Result | None) -> dict[str, Any]:
    """Return the message for a dead-letter queue, as SQS delivers it."""
    code, message = NEVER_RAN_CODE, NEVER_RAN_MESSAGE
    if result is not None:
        body = _decoded(result.payload)
        code, message = "200", body.get("errorMessage", "") if isinstance(body, dict) else ""
    return {
        "Body": invocation.payload.decode(),
        "MessageAttributes": {
            "RequestID": {"StringValue": invocation.request_id, "DataType": "String"},
            "ErrorCode": {"StringValue": code, "DataType": "Number"},
            "ErrorMessage": {"StringValue": message, "DataType": "String"},
        },
    }


async def deliver(destination: Destination, value: dict[str, Any]) -> None:
    """Pass a value to a callable, or append it to a file as one line of JSON."""
    if callable(destination):
        answer = destination(value)
        if inspect.isawaitable(answer):
            await answer
        return
    with Path(destination).open("a", encoding="utf-8") as file:  # noqa: ASYNC230  # one short line
        file.write(json.dumps(value) + "\n")


def _decoded(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):  # a function may send anything
        return payload.decode(errors="replace")
