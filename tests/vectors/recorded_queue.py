"""The recorded output of the Event queue: records for destinations, and dead letters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST"


@dataclass(frozen=True, kw_only=True)
class QueueVector:
    """The end of one Event."""

    name: str
    """What it is."""
    source: str
    """Where it is from."""
    handler: str
    """The handler in `functions.py`."""
    expected: dict[str, Any]
    """The record or the dead letter, its keys in order; `<id>` is the answer's request ID."""
    receiver: str = "on_failure"
    """The receiver that gets it."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Options of `EventConfig`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `LocalLambda.function`."""


def _record(condition: str, runs: int, **response: Any) -> dict[str, Any]:
    return {
        "version": "1.0",
        "timestamp": "<when>",
        "requestContext": {
            "requestId": "<id>",
            "functionArn": ARN,
            "condition": condition,
            "approximateInvokeCount": runs,
        },
        "requestPayload": {"order": 7},
        **response,
    }


_FAILED = {
    "responseContext": {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    },
    "responsePayload": {
        "errorMessage": "no good",
        "errorType": "Exception",
        "requestId": "<id>",
        "stackTrace": [
            '  File "<path>", line <number>, in raises\n    raise Exception("no good")\n'
        ],
    },
}

RECORDS = [
    QueueVector(
        name="success",
        source="REC 2025-11-24..27",
        handler="echo",
        receiver="on_success",
        expected=_record(
            "Success",
            1,
            responseContext={"statusCode": 200, "executedVersion": "$LATEST"},
            responsePayload={"order": 7},
        ),
    ),
    QueueVector(
        name="three runs that failed",
        source="REC 2025-11-24..27",
        handler="raises",
        expected=_record("RetriesExhausted", 3, **_FAILED),
    ),
    QueueVector(
        name="the only run failed",
        source="REC 2025-11-24..27",
        handler="raises",
        config={"maximum_retry_attempts": 0},
        expected=_record("RetriesExhausted", 1, **_FAILED),
    ),
    QueueVector(
        name="too old after a run",
        source="REC 2025-11-24..27",
        handler="raises",
        config={"maximum_event_age": 60},
        expected=_record("EventAgeExceeded", 1, **_FAILED),
    ),
    QueueVector(
        name="a reserve of 0",
        source="REC 2025-11-24..27",
        handler="echo",
        options={"reserved_concurrency": 0},
        expected=_record("ZeroReservedConcurrency", 0),
    ),
    QueueVector(
        name="a dead letter",
        source="REC 2025-11-24..27",
        handler="raises",
        receiver="dead_letter",
        expected={
            "Body": '{"order":7}',
            "MessageAttributes": {
                "RequestID": {"StringValue": "<id>", "DataType": "String"},
                "ErrorCode": {"StringValue": "200", "DataType": "Number"},
                "ErrorMessage": {"StringValue": "no good", "DataType": "String"},
            },
        },
    ),
]
