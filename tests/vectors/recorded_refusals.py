"""The recorded refusals of the service: throttles, names, bodies, sizes, states, permissions."""

import base64
import io
import zipfile
from typing import Any

from asyncinvoke import ThrottleReason, ThrottleScope

from .recorded import ARN, EVENT, EVERY, SLOW
from .vector import NOT_READY, REJECTED, Call, Meaning, Vector, as_json, throttled


def error(
    name: str,
    source: str,
    status: int,
    code: str,
    body: dict[str, Any],
    means: Meaning,
    call: Call | None = None,
    operation: str = "Invoke",
) -> Vector:
    headers = {
        **EVERY,
        "Content-Type": "application/json",
        "Content-Length": "<number>",
        "x-amzn-ErrorType": code,
    }
    return Vector(
        name=name,
        source=source,
        status=status,
        headers=headers,
        body=as_json(body),
        call=call,
        means=means,
        operation=operation,
        message=body.get("message") or body["Message"],
    )


def _throttle(
    reason: str,
    scope: ThrottleScope,
    call: Call | None,
    *,
    source: str = "INFER",
    text: str = "Rate Exceeded.",
    operation: str = "Invoke",
) -> Vector:
    return error(
        f"throttled by {reason}",
        source,
        429,
        "TooManyRequestsException",
        {"Reason": reason, "Type": "User", "message": text},
        throttled(ThrottleReason(reason), scope),
        call,
        operation,
    )


_FAST = {"limit_request_rate": True, "account_concurrency": 1}

THROTTLES = [
    _throttle(
        "ReservedFunctionConcurrentInvocationLimitExceeded",
        ThrottleScope.FUNCTION,
        Call(options={"reserved_concurrency": 0}),
        source="REC 2025-11-24/25",
    ),
    _throttle(
        "ConcurrentInvocationLimitExceeded",
        ThrottleScope.ACCOUNT,
        Call(endpoint={"account_concurrency": 0}),
    ),
    _throttle(
        "FunctionInvocationRateLimitExceeded",
        ThrottleScope.FUNCTION,
        Call(endpoint=_FAST, times=60),
    ),
    _throttle(
        "ReservedFunctionInvocationRateLimitExceeded",
        ThrottleScope.FUNCTION,
        Call(endpoint=_FAST, options={"reserved_concurrency": 1}, times=60),
    ),
    _throttle(
        "CallerRateLimitExceeded",
        ThrottleScope.CALLER,
        Call(endpoint={"caller_rate": 0.001}, times=2),
        source="SEEN",
        text="Rate exceeded",
        operation="GetFunction and others that set functions up",
    ),
    _throttle("ConcurrentSnapshotCreateLimitExceeded", ThrottleScope.FUNCTION, None),
]


def _not_found(name: str, source: str, message: str, call: Call | None) -> Vector:
    body = {"Type": "User", "Message": message}
    return error(name, source, 404, "ResourceNotFoundException", body, REJECTED, call)


def _unknown(name: str, shown: str, call: Call | None, *, source: str = "REC 2025-11-24") -> Vector:
    return _not_found(name, source, f"Function not found: {ARN}{shown}", call)


_NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"


def _broken(member: str, value: str, rule: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: Member must {rule}"


def _invalid(name: str, message: str, call: Call) -> Vector:
    body = {"message": message}
    return error(name, "REC 2025-11-25", 400, "ValidationException", body, REJECTED, call)


_WRONG_NAME = _broken(
    "functionName", "no/name", f"satisfy regular expression pattern: {_NAME_PATTERN}"
)
_WRONG_QUALIFIER = _broken(
    "qualifier", "no.qualifier", f"satisfy regular expression pattern: {_QUALIFIER_PATTERN}"
)
_LONG_QUALIFIER = _broken("qualifier", "q" * 129, "have length less than or equal to 128")

NAMES = [
    _unknown("an unknown function", "nope:$LATEST", Call(name="nope")),
    _unknown(
        "a name of 65 letters", f"{'n' * 65}:$LATEST", Call(name="n" * 65), source="REC 2025-11-25"
    ),
    _unknown("an unknown version", "f:7", Call(qualifier="7"), source="REC"),
    _unknown("an unknown alias", "f:dead", Call(name="f:dead"), source="REC"),
    _unknown("$LATEST in small letters", "f:$latest", Call(qualifier="$latest"), source="REC"),
    _unknown("an unknown function in 2023", "nope", None, source="REC 2023"),
    _not_found(
        "another region",
        "REC",
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        Call(name=f"{ARN}f".replace("us-east-1", "eu-west-1")),
    ),
    error(
        "two qualifiers that differ",
        "REC",
        400,
        "InvalidParameterValueException",
        {
            "Type": "User",
            "message": "The derived qualifier from the function name does not match the specified "
            "qualifier.",
        },
        REJECTED,
        Call(name="f:1", qualifier="2"),
    ),
    _invalid("one fault", f"1 validation error detected: {_WRONG_NAME}", Call(name="no/name")),
    _invalid(
        "two faults",
        f"2 validation errors detected: {_WRONG_NAME}; {_WRONG_QUALIFIER}",
        Call(name="no/name", qualifier="no.qualifier"),
    ),
    _invalid(
        "a qualifier of 129 letters",
        f"1 validation error detected: {_LONG_QUALIFIER}",
        Call(qualifier="q" * 129),
    ),
]

_JACKSON = (
    "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
    "line: 1, column: {}]"
)


def _bad_json(name: str, source: str, body: bytes, words: str, column: int) -> Vector:
    message = (
        "Could not parse request body into json: Could not parse payload into json: "
        f"{words}{_JACKSON.format(column)}"
    )
    return error(
        name,
        source,
        400,
        "InvalidRequestContentException",
        {"Type": "User", "message": message},
        REJECTED,
        Call(body=body),
    )


_EXPECTED = (
    "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
)

BODIES = [
    _bad_json(
        "a control character in place of a value",
        "REC 2025-11-24",
        b"\x99\xeb,j\x07",
        f"Unexpected character ((CTRL-CHAR, code 153)): {_EXPECTED}",
        1,
    ),
    _bad_json(
        "a byte that begins no character",
        "REC 2025-11-24",
        b'"\x87"',
        "Invalid UTF-8 start byte 0x87",
        3,
    ),
    _bad_json(
        "a quote that JSON does not know",
        "SEEN",
        b"'text'",
        f"Unexpected character (''' (code 39)): {_EXPECTED}",
        1,
    ),
    _bad_json(
        "a byte that ends a character too early",
        "SEEN",
        b'"\xe9-"',
        "Invalid UTF-8 middle byte 0x2d",
        4,
    ),
]


def _too_large(name: str, source: str, message: str, call: Call | None, code: str = "") -> Vector:
    body = {"Type": "User", "message": message}
    return error(name, source, 413, code or "RequestEntityTooLargeException", body, REJECTED, call)


def _too_large_event(limit: int, source: str, call: Call | None = None) -> Vector:
    message = (
        f"{limit + 1} byte payload is too large for the Event invocation type (limit {limit} bytes)"
    )
    return _too_large(f"an Event of more than {limit} bytes", source, message, call)


_LARGEST = 6_291_456
_TOO_LARGE = f"Request must be smaller than {_LARGEST} bytes for the InvokeFunction operation"

SIZES = [
    _too_large("a payload that is too large", "SEEN", _TOO_LARGE, Call(body=b"1" * (_LARGEST + 1))),
    _too_large(
        "a payload that is too large, in the model's code",
        "MODEL",
        _TOO_LARGE,
        None,
        "RequestTooLargeException",
    ),
    _too_large_event(1_048_576, "SEEN", Call(headers=EVENT, body=b"1" * 1_048_577)),
    _too_large_event(262_144, "SEEN 2024-05"),
    _too_large_event(131_072, "SEEN before 2017"),
]


def _conflict(
    name: str, source: str, why: str, means: Meaning, call: Call | None, operation: str = "Invoke"
) -> Vector:
    message = f"The operation cannot be performed at this time. {why}"
    body = {"Type": "User", "message": message}
    return error(name, source, 409, "ResourceConflictException", body, means, call, operation)


def _package() -> str:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("functions.py", "def echo(event, context):\n    return event\n")
    return base64.b64encode(held.getvalue()).decode()


ZIP_OF_FUNCTIONS = _package()
_CREATE = (
    "POST",
    "/2015-03-31/functions",
    as_json(
        {
            "FunctionName": "f",
            "Runtime": "python3.11",
            "Role": "arn:aws:iam::123456789012:role/any",
            "Handler": "functions.echo",
            "Code": {"ZipFile": ZIP_OF_FUNCTIONS},
        }
    ).encode(),
)
_STATE = "The function is currently in the following state: "

STATES = [
    _conflict(
        "Pending",
        "REC",
        f"{_STATE}Pending",
        NOT_READY,
        Call(handler=None, endpoint=SLOW, before=(_CREATE,)),
    ),
    _conflict("Failed", "REC", f"{_STATE}Failed", REJECTED, None),
    _conflict(
        "an update in progress",
        "SEEN",
        f"An update is in progress for resource: {ARN}f",
        NOT_READY,
        None,  # Invoke succeeds meanwhile, see `recorded.SUCCESSES`
        "UpdateFunctionConfiguration, UpdateFunctionCode, PublishVersion",
    ),
]


def _forbidden(code: str, body: dict[str, Any]) -> Vector:
    return error(
        f"403 {code}", "REC of the code", 403, code, body, REJECTED, operation="any operation"
    )


FORBIDDEN = [
    _forbidden(
        "AccessDeniedException",
        {
            "Message": "User: arn:aws:iam::123456789012:user/any is not authorized to perform: "
            f"lambda:InvokeFunction on resource: {ARN}f because no identity-based policy allows the "
            "lambda:InvokeFunction action"
        },
    ),
    error(
        "403 MissingAuthenticationTokenException",
        "SEEN, github.com/brefphp/bref/issues/1250, 2022-07-19",
        403,
        "MissingAuthenticationTokenException",
        {"message": "Missing Authentication Token"},
        REJECTED,
    ),
    _forbidden("UnrecognizedClientException", {"message": "The security token is invalid."}),
    _forbidden("InvalidSignatureException", {"message": "The signature does not match."}),
    _forbidden("ExpiredTokenException", {"message": "The security token is expired."}),
]

REFUSALS = [*THROTTLES, *NAMES, *BODIES, *SIZES, *STATES, *FORBIDDEN]
