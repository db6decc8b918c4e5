"""Why Lambda throttles, and what a throttle slows down."""

from enum import StrEnum
from typing import Self


class ThrottleReason(StrEnum):
    """The `Reason` of a `TooManyRequestsException`, as Lambda's service model spells it.

    Source: the enum `ThrottleReason` of botocore's `lambda/2015-03-31` model.
    """

    CONCURRENT_INVOCATION_LIMIT_EXCEEDED = "ConcurrentInvocationLimitExceeded"
    """The account's concurrency in this region is used up."""

    FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED = "FunctionInvocationRateLimitExceeded"
    """The function gets more requests per second than ten times its concurrency."""

    RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED = (
        "ReservedFunctionConcurrentInvocationLimitExceeded"
    )
    """The function's reserved concurrency is used up, or is zero."""

    RESERVED_FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED = "ReservedFunctionInvocationRateLimitExceeded"
    """The function gets more requests per second than ten times its reserved concurrency."""

    CALLER_RATE_LIMIT_EXCEEDED = "CallerRateLimitExceeded"
    """This caller sends more requests per second than the Lambda API takes."""

    CONCURRENT_SNAPSHOT_CREATE_LIMIT_EXCEEDED = "ConcurrentSnapshotCreateLimitExceeded"
    """Too many SnapStart snapshots are being made at once."""

    UNKNOWN = "Unknown"
    """The answer named no reason, or one that this version does not know."""

    @classmethod
    def _missing_(cls, value: object) -> Self:  # noqa: ARG003
        return cls("Unknown")


class ThrottleScope(StrEnum):
    """What a throttle applies to, and so what has to slow down."""

    FUNCTION = "function"
    """The one function that was called."""

    ACCOUNT = "account"
    """All functions of the account in this region that share its unreserved concurrency."""

    CALLER = "caller"
    """Everything that this caller sends."""
