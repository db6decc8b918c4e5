"""What an operation refuses, as the service words it."""

from asyncinvoke.local.protocol import answers
from asyncinvoke.local.protocol.answers import Answer


class ApiError(Exception):
    """An operation is refused.

    Args:
        status: The HTTP status.
        code: AWS's error code.
        message: The text.
        key: How this error spells the key of its text.
        is_typed: Whether the body says that it is the user's fault.
    """

    def __init__(
        self, status: int, code: str, message: str, *, key: str = "message", is_typed: bool = True
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self._body = {"Type": "User", key: message} if is_typed else {key: message}

    def answer(self, request_id: str) -> Answer:
        """Return the answer."""
        return answers.error(request_id, self.status, self.code, self._body)


def not_found(message: str) -> ApiError:
    """There is no such function, version or alias."""
    return ApiError(404, "ResourceNotFoundException", message, key="Message")


def conflict(message: str) -> ApiError:
    """It exists already, or cannot be changed now."""
    return ApiError(409, "ResourceConflictException", message)


def invalid(message: str) -> ApiError:
    """A value is not allowed here, or not supported."""
    return ApiError(400, "InvalidParameterValueException", message)


def broken(faults: list[str]) -> ApiError:
    """Parameters break the constraints of the service's model."""
    message = answers.broken_constraints(faults)
    return ApiError(400, "ValidationException", message, is_typed=False)


def unreadable(message: str) -> ApiError:
    """The body is not what the service's model says."""
    return ApiError(400, "SerializationException", message)


def changed_meanwhile() -> ApiError:
    """The caller knows an older revision."""
    return ApiError(
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the "
        "GetFunction/GetAlias API to retrieve the latest Revision Id",
    )
