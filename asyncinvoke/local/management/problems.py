"""What an operation refuses, as the service words it."""

import json
from typing import Any

from asyncinvoke.local.answers import Answer, error


class ApiError(Exception):
    """An operation is refused.

    Args:
        status: The HTTP status.
        code: AWS's error code.
        message: The text.
        key: How this error spells the key of its text.
    """

    def __init__(self, status: int, code: str, message: str, *, key: str = "message") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.key = key

    def answer(self, request_id: str) -> Answer:
        """Give the answer."""
        body = {"Type": "User", self.key: str(self)}
        return error(request_id, self.status, self.code, body)


def not_found(message: str) -> ApiError:
    """There is no such function, version or alias."""
    return ApiError(404, "ResourceNotFoundException", message, key="Message")


def conflict(message: str) -> ApiError:
    """It exists already, or cannot be changed now."""
    return ApiError(409, "ResourceConflictException", message)


def invalid(message: str) -> ApiError:
    """A value is out of range, or not supported."""
    return ApiError(400, "InvalidParameterValueException", message)


def parse_body(body: bytes) -> dict[str, Any]:
    """Read the members of a request.

    Raises:
        ApiError: It is not a JSON object.
    """
    try:
        members = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise ApiError(400, "SerializationException", "the body is not a JSON object")
    return members
