"""The known differences between MiniStack and the local endpoint, and why the endpoint is right.

Recordings of AWS decide; the dates say when they were made. A difference that disappears fails the
test, as a new one does.
"""

from dataclasses import dataclass

from .deployed import ACCOUNT
from .script import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference in one fact of one call."""

    ministack: object
    """The value on MiniStack; None if the call has no such fact there."""
    local: object
    """The value on the local endpoint; None if the call has no such fact there."""
    reason: str
    """The reason, and how AWS behaves."""


KNOWN: dict[tuple[str, str], Difference] = {}
"""Every difference, by call and fact."""


def _differ(*calls: str, ministack: Facts, local: Facts, reason: str) -> None:
    """Declare a difference that several calls have in common."""
    for call in calls:
        for fact in {**ministack, **local}:
            KNOWN[call, fact] = Difference(
                ministack=ministack.get(fact), local=local.get(fact), reason=reason
            )


ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function"

# Facts that only successful, refused, throttled or failed calls have.
SUCCESS: Facts = {"status": 200, "executed_version": "$LATEST", "request_id": True, "attempts": 1}
FAILURE: Facts = {
    "error": "FunctionError",
    "status_code": "200",
    "delivery": "executed",
    "gave_up": "not_retryable",
    "function_error": "Unhandled",
}
REJECTED: Facts = {"error": "RejectedError", "delivery": "rejected", "gave_up": "not_retryable"}

_differ(
    "dry run",
    "event",
    "event to a reserve of zero",
    ministack={"executed_version": "$LATEST"},
    local={"executed_version": None},
    reason="AWS names no version for what has not run (Event 2025-11-24, DryRun 2023-04-26)",
)
_differ(
    "stream",
    ministack={"executed_version": None},
    local={"executed_version": "$LATEST"},
    reason="AWS's model has X-Amz-Executed-Version in the head of a stream",
)
_differ(
    "unknown function",
    "event to an unknown function",
    "stream of an unknown function",
    ministack={"message": f"Function not found: {ARN}:nobody"},
    local={"message": f"Function not found: {ARN}:nobody:$LATEST"},
    reason="AWS names the version, $LATEST without a qualifier (2025-11-24)",
)
_differ(
    "another region",
    ministack={
        "message": f"Function not found: {ARN}:arn:aws:lambda:eu-west-1:{ACCOUNT}:function:echo"
    },
    local={"message": "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"},
    reason="AWS reads the ARN and says this (recorded)",
)
_differ(
    "reserve of zero",
    "stream to a reserve of zero",
    ministack={
        "message": "Rate Exceeded: function closed at ReservedConcurrentExecutions",
        "retry_after": "1.0",
    },
    local={"message": "Rate Exceeded.", "retry_after": None},
    reason="AWS has this text and sent no Retry-After (2025-11-24)",
)
_differ(
    "function error",
    ministack={"error_type": "Runtime.HandlerError", "has_trace": False},
    local={"error_type": "ValueError", "has_trace": True},
    reason="AWS's Python runtime names the exception and gives its trace (2026-01-12)",
)
_differ(
    "timeout",
    ministack={"error_message": "Task timed out after 1.00 seconds"},
    local={"error_message": "RequestId: ID Error: Task timed out after 1.00 seconds"},
    reason="AWS's text since 2025 (2025-11-25)",
)
_differ(
    "exit status",
    ministack={"error_type": "Runtime.HandlerError", "error_message": "Worker process died"},
    local={
        "error_type": "Runtime.ExitError",
        "error_message": "RequestId: ID Error: Runtime exited with error: exit status 3",
    },
    reason="AWS tells how the process ended (recorded for status 127)",
)
_differ(
    "exit without a status",
    ministack={"error_type": "Runtime.HandlerError", "error_message": "Worker process died"},
    local={
        "error_type": "Runtime.ExitError",
        "error_message": "RequestId: ID Error: Runtime exited without providing a reason",
    },
    reason="AWS tells how the process ended (recorded)",
)
_differ(
    "result that is not JSON",
    ministack={
        "error_type": "Runtime.HandlerError",
        "error_message": "Object of type set is not JSON serializable",
    },
    local={
        "error_type": "Runtime.MarshalError",
        "error_message": "Unable to marshal response: Object of type set is not JSON serializable",
    },
    reason="the words of AWS's own runtime, which runs here",
)
_differ(
    "handler that is not there",
    ministack={
        "error_type": "RuntimeError",
        "error_message": "Worker init failed: module 'lambda_functions' has no attribute 'not_there'",
    },
    local={
        "error_type": "Runtime.HandlerNotFound",
        "error_message": "Handler 'not_there' missing on module 'lambda_functions'",
    },
    reason="the words of AWS's own runtime, which runs here",
)
_differ(
    "answer too large",
    ministack={
        "error": "TransportError",
        "delivery": "unknown",
        "code": "InvalidAnswer",
        "message": "the answer cannot be read: its body is longer than 6357092 bytes",
    },
    local={key: value for key, value in FAILURE.items() if key != "gave_up"}
    | {
        "executed_version": "$LATEST",
        "error_type": "Function.ResponseSizeTooLarge",
        "error_message": (
            "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
        ),
        "has_trace": False,
    },
    reason="AWS has this limit (recorded); MiniStack has none, and we read no further",
)
_differ(
    "payload that is not JSON",
    ministack=SUCCESS | {"payload": {}},
    local=REJECTED
    | {
        "status_code": "400",
        "code": "InvalidRequestContentException",
        "message": "the payload is not JSON that Lambda can parse",
    },
    reason="AWS refuses it with this code (2025-11-24); MiniStack takes it for {}",
)
_differ(
    "client context",
    ministack=FAILURE
    | {
        "error_type": "Runtime.HandlerError",
        "error_message": "'NoneType' object has no attribute 'custom'",
        "has_trace": False,
    },
    local={key: value for key, value in SUCCESS.items() if key != "executed_version"}
    | {"payload": {"shop": "north"}},
    reason="AWS hands it to the function; MiniStack does not",
)
_differ(
    "context",
    "version",
    "alias in the name",
    ministack={"same_request_id": False},
    local={"same_request_id": True},
    reason="the answer's id is the context's aws_request_id in AWS (recorded)",
)
_differ(
    "partial ARN",
    ministack=REJECTED
    | {
        "status_code": "404",
        "code": "ResourceNotFoundException",
        "message": f"Function not found: {ARN}:{ACCOUNT}",
    },
    local=SUCCESS
    | {
        "executed_version": "1",
        "arn": f"{ARN}:tell:live",
        "version": "1",
        "memory": "256",
        "has_time": True,
        "shop": "north",
        "same_request_id": True,
    },
    reason="AWS's model allows ACCOUNT:function:NAME; MiniStack takes the account for the name",
)
_differ(
    "log tail",
    ministack={"begins": ["echo"], "ends": ["echo"]},
    local={"begins": ["START"], "ends": ["END", "REPORT"]},
    reason="AWS's log has these lines around what was printed (2025-11-24)",
)
_differ(
    "stream of a function error",
    ministack={
        "status": 200,
        "content_type": "application/vnd.amazon.eventstream",
        "ended": True,
        "data": {"errorMessage": "cannot use 7", "errorType": "Runtime.HandlerError"},
    },
    local=FAILURE
    | {
        "error_type": "ValueError",
        "error_message": "cannot use 7",
        "has_trace": True,
        "executed_version": "$LATEST",
        "data": b"",
    },
    reason="AWS's model has the error in InvokeComplete; MiniStack sends it as if it were the answer",
)
_differ(
    "more callers than a reserve has room for",
    ministack={"left_for_others": 5},
    local={"left_for_others": 3},
    reason="what a function reserves is taken from the account's (AWS's documentation)",
)
