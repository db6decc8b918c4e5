"""The matrix as data: each kind of answer that Lambda has, and how every client must read it.

`test_matrix.py` makes each call with each client; `endpoints.py` holds the endpoints and functions
that the calls are for. Leaving out a client needs a reason.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .readings import Reading, StartsWith

ACCOUNT = "123456789012"
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function"

BOTO3, AIOBOTOCORE, AWSCLI = "boto3", "aiobotocore", "awscli"
JAVASCRIPT, GO = "JavaScript", "Go"
CLIENTS = (BOTO3, AIOBOTOCORE, AWSCLI, JAVASCRIPT, GO)

# Reasons why awscli is left out.
NO_COMMAND = "version 1 has no command for streams"
SAME_PARSER = "a process for each call takes a second; its parser has been shown by another case"
SHOWN_ONLY_BY_REASON = "it shows no Reason, by which alone this differs from another case"

# Reasons why Go is left out: Debian's package of its SDK is of 2022.
BEFORE_STREAMS = "its version is older than streams"
BEFORE_TENANTS = "its version is older than tenants"
A_READER = "it takes InvokeArgs as a reader, which no JSON holds"

VALIDATION = "1 validation error detected: Value "
RATE = "Rate Exceeded."
BUSY = "The operation cannot be performed at this time. "


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A kind of answer."""

    name: str
    """The name of the case."""
    arguments: Mapping[str, Any]
    """The arguments of the call, as AWS spells them."""
    reading: Reading
    """How every client must read the answer."""
    endpoint: str = "plain"
    """The endpoint that is called."""
    operation: str = "Invoke"
    """The operation, as AWS spells it."""
    without: Mapping[str, str] = field(default_factory=dict)
    """The excluded clients, each with the reason."""

    @property
    def members(self) -> Mapping[str, object]:
        """The members of the answer to read, if it is not an invocation."""
        return self.reading


def _invoke(
    name: str, function: str, reading: Reading, cli: str | None = None, **more: Any
) -> Case:
    """Write a case of `Invoke`.

    Args:
        name: The name of the case.
        function: The function's name.
        reading: The reading expected of every client.
        cli: The reason why awscli is left out, or None.
        **more: The endpoint, the reason why Go is left out, and further arguments of the call.
    """
    endpoint = more.pop("endpoint", "plain")
    without = {AWSCLI: cli, GO: more.pop("go", None)}
    return Case(
        name=name,
        endpoint=endpoint,
        arguments={"FunctionName": function, **more},
        reading=reading,
        without={client: why for client, why in without.items() if why is not None},
    )


def _ok(payload: object, version: str = "$LATEST", **more: object) -> Reading:
    return {"status": 200, "version": version, "payload": payload, **more}


def _failed(error_type: str, message: object, *, trace: bool = False) -> Reading:
    return {
        "status": 200,
        "version": "$LATEST",
        "function_error": "Unhandled",
        "error_type": error_type,
        "error_message": message,
        "has_trace": trace,
    }


def _refused(status: int, code: str, message: object, reason: str | None = None) -> Reading:
    refused: Reading = {"status": status, "code": code, "message": message}
    return refused if reason is None else refused | {"reason": reason}


def _throttled(reason: str, message: str = RATE) -> Reading:
    return _refused(429, "TooManyRequestsException", message, reason)


CONTEXT = base64.b64encode(json.dumps({"custom": {"shop": "north"}}).encode()).decode()
TOO_LARGE_SYNC = b'"' + b"x" * 6_291_455 + b'"'
TOO_LARGE_EVENT = b'"' + b"x" * 1_048_575 + b'"'
CHUNKS = [f"chunk {number} ".encode() * (number % 50 + 1) for number in range(300)]

INVOCATIONS = [
    _invoke("success", "echo", _ok({"name": "Zoë"}), Payload='{"name": "Zoë"}'.encode()),
    _invoke("no payload", "echo", _ok({})),
    _invoke("null result", "nothing", _ok(None), SAME_PARSER),
    _invoke("Event", "echo", {"status": 202, "payload": b""}, InvocationType="Event"),
    _invoke("dry run", "echo", {"status": 204, "payload": b""}, InvocationType="DryRun"),
    _invoke(
        "log tail",
        "say",
        _ok("hello", log=["START", "echo", "END", "REPORT"]),
        LogType="Tail",
        Payload=b'"hello"',
    ),
    _invoke("client context", "context", _ok({"shop": "north"}), ClientContext=CONTEXT),
    _invoke("tenant id", "tenant", _ok("shop 1"), go=BEFORE_TENANTS, TenantId="shop 1"),
    _invoke("version in the name", "tell:1", _ok(f"{ARN}:tell:1", "1"), SAME_PARSER),
    _invoke("alias", "tell", _ok(f"{ARN}:tell:live", "1"), Qualifier="live"),
    _invoke(
        "partial ARN and $LATEST",
        f"{ACCOUNT}:function:tell",
        _ok(f"{ARN}:tell:$LATEST"),
        SAME_PARSER,
        Qualifier="$LATEST",
    ),
    _invoke(
        "largest answer",
        "letters",
        _ok("x" * 6_291_454),
        "six megabytes more say nothing more of it",
        Payload=b"6291454",
    ),
]

FUNCTION_ERRORS = [
    _invoke(
        "function error", "fail", _failed("LookupError", "no cat", trace=True), Payload=b'"cat"'
    ),
    _invoke(
        "timeout",
        "slow",
        _failed("Sandbox.Timedout", "RequestId: ID Error: Task timed out after 0.05 seconds"),
        SAME_PARSER,
    ),
    _invoke(
        "dead process",
        "leave",
        _failed(
            "Runtime.ExitError", "RequestId: ID Error: Runtime exited with error: exit status 3"
        ),
        SAME_PARSER,
        Payload=b"3",
    ),
    _invoke(
        "out of memory",
        "devour",
        _failed(
            "Runtime.ExitError", "RequestId: ID Error: Runtime exited with error: signal: killed"
        ),
        SAME_PARSER,
        Payload=b"300",
    ),
    _invoke(
        "answer too large",
        "letters",
        _failed(
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        ),
        SAME_PARSER,
        Payload=b"6291555",
    ),
    _invoke(
        "result that is not JSON",
        "unserializable",
        _failed(
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
        SAME_PARSER,
    ),
]

REFUSALS = [
    _invoke(
        "unknown function",
        "nobody",
        _refused(404, "ResourceNotFoundException", f"Function not found: {ARN}:nobody:$LATEST"),
    ),
    _invoke(
        "unknown alias",
        "echo",
        _refused(404, "ResourceNotFoundException", f"Function not found: {ARN}:echo:blue"),
        SAME_PARSER,
        Qualifier="blue",
    ),
    _invoke(
        "another region",
        f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:echo",
        _refused(
            404,
            "ResourceNotFoundException",
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
        SAME_PARSER,
    ),
    _invoke(
        "qualifiers that differ",
        "echo:1",
        _refused(
            400,
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        ),
        Qualifier="2",
    ),
    _invoke(
        "one fault",
        "no such name",
        _refused(
            400,
            "ValidationException",
            StartsWith(
                f"{VALIDATION}'no such name' at 'functionName' failed to satisfy constraint: "
            ),
        ),
        SAME_PARSER,
    ),
    _invoke(
        "two faults",
        "no such name",
        _refused(
            400,
            "ValidationException",
            StartsWith(
                "2 validation errors detected: Value 'no such name' at 'functionName' failed "
            ),
        ),
        SAME_PARSER,
        Qualifier="no qualifier",
    ),
    _invoke(
        "payload that is not JSON",
        "echo",
        _refused(
            400,
            "InvalidRequestContentException",
            StartsWith(
                "Could not parse request body into json: Could not parse payload into json: "
            ),
        ),
        Payload=b'{"cut": ',
    ),
    _invoke(
        "payload too large",
        "echo",
        _refused(
            413,
            "RequestEntityTooLargeException",
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        ),
        SAME_PARSER,
        Payload=TOO_LARGE_SYNC,
    ),
    _invoke(
        "Event too large",
        "echo",
        _refused(
            413,
            "RequestEntityTooLargeException",
            "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
        ),
        InvocationType="Event",
        Payload=TOO_LARGE_EVENT,
    ),
    _invoke(
        "pending function",
        "pending",
        _refused(
            409,
            "ResourceConflictException",
            f"{BUSY}The function is currently in the following state: Pending",
        ),
        endpoint="settling",
    ),
    _invoke(
        "function that is updated",
        "updating",
        _ok({}),
        SAME_PARSER,
        endpoint="settling",
    ),
    _invoke(
        "Event to a function that is updated",
        "updating",
        {"status": 202, "payload": b""},
        SAME_PARSER,
        endpoint="settling",
        InvocationType="Event",
    ),
]

THROTTLES = [
    _invoke(
        "reserved concurrency",
        "closed",
        _throttled("ReservedFunctionConcurrentInvocationLimitExceeded"),
    ),
    _invoke(
        "account concurrency",
        "echo",
        _throttled("ConcurrentInvocationLimitExceeded"),
        SHOWN_ONLY_BY_REASON,
        endpoint="full",
    ),
    _invoke(
        "function rate",
        "echo",
        _throttled("FunctionInvocationRateLimitExceeded"),
        SHOWN_ONLY_BY_REASON,
        endpoint="rates",
    ),
    _invoke(
        "reserved function rate",
        "narrow",
        _throttled("ReservedFunctionInvocationRateLimitExceeded"),
        SHOWN_ONLY_BY_REASON,
        endpoint="rates",
    ),
    _invoke(
        "caller rate",
        "echo",
        _throttled("CallerRateLimitExceeded", "Rate exceeded"),
        endpoint="caller",
    ),
    _invoke(
        "Event to a reserve of zero",
        "closed",
        {"status": 202, "payload": b""},
        SAME_PARSER,
        InvocationType="Event",
    ),
]


def _stream(
    name: str, function: str, reading: Reading, endpoint: str = "plain", **more: Any
) -> Case:
    return Case(
        name=name,
        endpoint=endpoint,
        operation="InvokeWithResponseStream",
        arguments={"FunctionName": function, **more},
        reading=reading,
        without={AWSCLI: NO_COMMAND, GO: BEFORE_STREAMS},
    )


def _chunks(*chunks: bytes, **more: object) -> Reading:
    return {"status": 200, "version": "$LATEST", "chunks": [*chunks], "completed": True, **more}


STREAMS = [
    _stream("stream", "count", _chunks(b"1\n", b"2\n", b"3\n"), Payload=b"3"),
    _stream("stream of many chunks", "chunks", _chunks(*CHUNKS)),
    _stream("stream of a function that does not yield", "nothing", _chunks(b"null")),
    _stream(
        "stream with a log",
        "count",
        _chunks(b"1\n", log=["START", "END", "REPORT"]),
        Payload=b"1",
        LogType="Tail",
    ),
    _stream(
        "stream that fails in the middle",
        "break",
        _chunks(
            b"one",
            function_error="Unhandled",
            error_type="LookupError",
            error_message="no two",
            has_trace=True,
        ),
    ),
    _stream("stream as a dry run", "count", {"status": 204, "chunks": []}, InvocationType="DryRun"),
    _stream(
        "stream of an unknown function",
        "nobody",
        _refused(404, "ResourceNotFoundException", f"Function not found: {ARN}:nobody:$LATEST"),
    ),
    _stream(
        "stream that is throttled",
        "echo",
        _throttled("ConcurrentInvocationLimitExceeded"),
        endpoint="full",
    ),
]


def _manage(operation: str, reading: Reading, cli: str | None = None, **arguments: Any) -> Case:
    return Case(
        name=operation,
        endpoint="managed",
        operation=operation,
        arguments=arguments,
        reading=reading,
        without={} if cli is None else {AWSCLI: cli},
    )


# These cases are independent of each other, in any order.
MANAGEMENT = [
    _manage(
        "GetFunction",
        {
            "Configuration.FunctionArn": f"{ARN}:tell:1",
            "Configuration.State": "Active",
            "Configuration.LastUpdateStatus": "Successful",
            "Concurrency.ReservedConcurrentExecutions": 5,
        },
        FunctionName="tell",
        Qualifier="live",
    ),
    _manage(
        "GetFunctionConfiguration",
        {"FunctionName": "tell", "Timeout": 7, "MemorySize": 256, "Version": "$LATEST"},
        SAME_PARSER,
        FunctionName="tell",
    ),
    _manage(
        "ListFunctions",
        {"Functions.0.FunctionName": "echo", "Functions.1.FunctionArn": f"{ARN}:tell"},
    ),
    _manage(
        "ListVersionsByFunction", {"Versions.1.Version": "1"}, SAME_PARSER, FunctionName="tell"
    ),
    _manage("ListAliases", {"Aliases.0.Name": "live"}, SAME_PARSER, FunctionName="tell"),
    _manage(
        "GetAlias",
        {"AliasArn": f"{ARN}:tell:live", "FunctionVersion": "1", "Description": ""},
        SAME_PARSER,
        FunctionName="tell",
        Name="live",
    ),
    _manage("PublishVersion", {"Version": "1"}, SAME_PARSER, FunctionName="tell"),
    _manage(
        "UpdateAlias",
        {"FunctionVersion": "1"},
        SAME_PARSER,
        FunctionName="tell",
        Name="live",
        FunctionVersion="1",
    ),
    _manage(
        "PutFunctionConcurrency",
        {"ReservedConcurrentExecutions": 5},
        SAME_PARSER,
        FunctionName="tell",
        ReservedConcurrentExecutions=5,
    ),
    _manage(
        "GetFunctionConcurrency",
        {"ReservedConcurrentExecutions": 5},
        SAME_PARSER,
        FunctionName="tell",
    ),
    _manage(
        "GetAccountSettings", {"AccountLimit.UnreservedConcurrentExecutions": 995}, SAME_PARSER
    ),
    _manage(
        "DeleteFunction",
        _refused(
            409,
            "ResourceConflictException",
            "Unable to delete version because the following aliases reference it: [live]",
        ),
        SAME_PARSER,
        FunctionName="tell",
        Qualifier="1",
    ),
    _manage(
        "CreateAlias",
        _refused(409, "ResourceConflictException", f"Alias already exists: {ARN}:tell:live"),
        FunctionName="tell",
        Name="live",
        FunctionVersion="1",
    ),
    Case(
        name="InvokeAsync",
        endpoint="managed",
        operation="InvokeAsync",
        arguments={"FunctionName": "echo", "InvokeArgs": b"{}"},
        reading={"Status": 202},
        without={AWSCLI: SAME_PARSER, GO: A_READER},
    ),
]

CASES = [*INVOCATIONS, *FUNCTION_ERRORS, *REFUSALS, *THROTTLES, *STREAMS, *MANAGEMENT]
