"""All errors of the service: status, error code and message, as recorded from AWS.

No I/O, no clock. The case of keys (`message`, `Message`) differs by error, as in the service's model
and in SDKs.
"""

from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke.local.protocol import answers
from asyncinvoke.local.protocol.answers import Answer

SYNC_LIMIT = 6_291_456
"""The maximum RequestResponse payload, in bytes (AWS's own error text)."""

EVENT_LIMIT = 1_048_576
"""The maximum Event payload, in bytes (AWS's own error text)."""

# GUESS: not recorded from AWS (docs/fidelity.md)
TOO_LARGE_STATUS = 413
TOO_LARGE_TYPE = "User"
BAD_CLIENT_CONTEXT = "Client context must be a valid Base64-encoded JSON object."
INTERNAL_ERROR = "The service encountered an internal error."
INTERNAL_ERROR_TYPE = "Service"
UNKNOWN_OPERATION = "UnknownOperationException"
NOT_AUTHORIZED = "User is not authorized to perform: lambda:CreateFunction on resource: {}"  # without the name of the user
CALLER_THROTTLED = "Rate exceeded"  # as in other operations of the service
OTHER_THROTTLED = "Rate Exceeded."  # as for the reserved concurrency

_THROTTLED = {
    ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED: "Rate Exceeded.",
    ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED: CALLER_THROTTLED,
}


class Refusal(Exception):  # noqa: N818  # it is a response, and not an error of the endpoint
    """Raised by any check to refuse a request; the service turns it into the response.

    Args:
        status_code: The HTTP status.
        code: AWS's error code.
        **members: The members of the body.
    """

    def __init__(self, status_code: int, code: str, **members: str) -> None:
        super().__init__(code)
        self._status_code = status_code
        self._code = code
        self._members = members

    def answer(self, request_id: str) -> Answer:
        """Return the response."""
        return answers.of_json(request_id, self._status_code, self._members, error_code=self._code)


def unsigned() -> Refusal:
    """Return the error for an unsigned request."""
    # Seen of Invoke: github.com/brefphp/bref/issues/1250, 2022-07-19.
    code = "MissingAuthenticationTokenException"
    return Refusal(403, code, message="Missing Authentication Token")


def throttled(reason: ThrottleReason) -> Refusal:
    """Return the error for a throttled request; AWS sends no `Retry-After`."""
    message = _THROTTLED.get(reason, OTHER_THROTTLED)
    code = "TooManyRequestsException"
    return Refusal(429, code, Reason=reason.value, Type="User", message=message)


def violated(violations: list[str]) -> Refusal:
    """Return the error for parameters that violate constraints of the service's model."""
    errors = "error" if len(violations) == 1 else "errors"
    message = f"{len(violations)} validation {errors} detected: {'; '.join(violations)}"
    return Refusal(400, "ValidationException", message=message)


def invalid(message: str) -> Refusal:
    """Return the error for a value that is not allowed or not supported."""
    return Refusal(400, "InvalidParameterValueException", Type="User", message=message)


def latest_shares() -> Refusal:
    """Return the error for an alias of `$LATEST` with weights; as recorded, without a `Type`."""
    message = "$LATEST is not supported for an alias pointing to more than 1 version"
    return Refusal(400, "InvalidParameterValueException", message=message)


def qualifiers_differ() -> Refusal:
    """Return the error for conflicting qualifiers."""
    return invalid(
        "The derived qualifier from the function name does not match the specified qualifier."
    )


def unreadable(message: str) -> Refusal:
    """Return the error for a management request whose body does not match the service's model."""
    return Refusal(400, "SerializationException", Type="User", message=message)


def bad_json(detail: str) -> Refusal:
    """Return the error for invalid JSON; clients can rely on the beginning of the message only."""
    return _bad_content(
        f"Could not parse request body into json: Could not parse payload into json: {detail}"
    )


def bad_client_context() -> Refusal:
    """Return the error for a client context that is not base64-encoded JSON."""
    return _bad_content(BAD_CLIENT_CONTEXT)


def not_found(message: str) -> Refusal:
    """Return the error for a missing function, version or alias."""
    return Refusal(404, "ResourceNotFoundException", Type="User", Message=message)


def nothing_there() -> Refusal:
    """Return the error for a resource that does not exist."""
    return not_found("The resource you requested does not exist.")


def no_provisioned_concurrency() -> Refusal:
    """Return the error for missing provisioned concurrency."""
    code = "ProvisionedConcurrencyConfigNotFoundException"
    message = "No Provisioned Concurrency Config found for this function"
    return Refusal(404, code, Type="User", message=message)


def function_not_found(arn: str) -> Refusal:
    """Return the error for a missing function, version or alias, by its ARN."""
    return not_found(f"Function not found: {arn}")


def wrong_region(requested: str, here: str) -> Refusal:
    """Return the error for an ARN of another region."""
    return not_found(f"Functions from '{requested}' are not reachable in this region ('{here}')")


def unknown_operation(method: str, path: str) -> Refusal:
    """Return the error for an unknown operation."""
    return Refusal(
        404, UNKNOWN_OPERATION, Message=f"{method} {path} is no operation of this endpoint."
    )


def conflict(message: str) -> Refusal:
    """Return the error for a conflict with the current state."""
    return Refusal(409, "ResourceConflictException", Type="User", message=message)


def not_active(state: str) -> Refusal:
    """Return the error for a function that is `Pending` or `Failed`."""
    return conflict(
        "The operation cannot be performed at this time. "
        f"The function is currently in the following state: {state}"
    )


def updating(arn: str) -> Refusal:
    """Return the error for a function that is being updated."""
    return conflict(
        "The operation cannot be performed at this time. "
        f"An update is in progress for resource: {arn}"
    )


def changed_meanwhile() -> Refusal:
    """Return the error for an outdated revision id."""
    return Refusal(
        412,
        "PreconditionFailedException",
        Type="User",
        message="The Revision Id provided does not match the latest Revision Id. Call the "
        "GetFunction/GetAlias API to retrieve the latest Revision Id",
    )


def too_large(size: int, *, event: bool) -> Refusal:
    """Return the error for a payload that exceeds the limit of its invocation type."""
    if event:
        return _too_large(
            f"{size} byte payload is too large for the Event invocation type "
            f"(limit {EVENT_LIMIT} bytes)"
        )
    return _too_large(
        f"Request must be smaller than {SYNC_LIMIT} bytes for the InvokeFunction operation"
    )


def upload_too_large(limit: int, operation: str) -> Refusal:
    """Return the error for a management request that is too large."""
    return _too_large(f"Request must be smaller than {limit} bytes for the {operation} operation")


def package_too_large(limit: int) -> Refusal:
    """Return the error for a package in a request that is too large."""
    return _too_large(f"Zipped size must be smaller than {limit} bytes")


def wrong_account(arn: str) -> Refusal:
    """Return the error for an ARN of another account."""
    message = NOT_AUTHORIZED.format(arn)
    return Refusal(403, "AccessDeniedException", Message=message)


def internal_error() -> Refusal:
    """Return the error for a failure of the endpoint itself."""
    return Refusal(500, "ServiceException", Type=INTERNAL_ERROR_TYPE, Message=INTERNAL_ERROR)


def _bad_content(message: str) -> Refusal:
    return Refusal(400, "InvalidRequestContentException", Type="User", message=message)


def _too_large(message: str) -> Refusal:
    code = "RequestEntityTooLargeException"
    return Refusal(TOO_LARGE_STATUS, code, Type=TOO_LARGE_TYPE, message=message)
