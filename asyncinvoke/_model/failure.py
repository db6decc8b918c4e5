"""Words for failure: throttle reasons and scopes, kinds, transport faults, limits hit, causes."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from asyncinvoke._model.delivery import Phase


class ThrottleReason(StrEnum):
    """The `Reason` of a `TooManyRequestsException`, as defined by Lambda's service model.

    Source: the enum `ThrottleReason` of botocore's `lambda/2015-03-31` model.
    """

    CONCURRENT_INVOCATION_LIMIT_EXCEEDED = "ConcurrentInvocationLimitExceeded"
    """The account's concurrency in this region is exhausted."""

    FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED = "FunctionInvocationRateLimitExceeded"
    """The function receives more requests per second than ten times its concurrency."""

    RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED = (
        "ReservedFunctionConcurrentInvocationLimitExceeded"
    )
    """The function's reserved concurrency is exhausted, or is zero."""

    RESERVED_FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED = "ReservedFunctionInvocationRateLimitExceeded"
    """The function receives more requests per second than ten times its reserved concurrency."""

    CALLER_RATE_LIMIT_EXCEEDED = "CallerRateLimitExceeded"
    """This caller sends more requests per second than the Lambda API accepts."""

    CONCURRENT_SNAPSHOT_CREATE_LIMIT_EXCEEDED = "ConcurrentSnapshotCreateLimitExceeded"
    """Too many SnapStart snapshots are being created concurrently."""

    UNKNOWN = "Unknown"
    """The response gave no reason, or one unknown to this version."""

    @classmethod
    def _missing_(cls, value: object) -> Self:  # noqa: ARG003
        return cls("Unknown")


class ThrottleScope(StrEnum):
    """What a throttle applies to, and therefore what has to slow down."""

    FUNCTION = "function"
    """The function that was called."""

    ACCOUNT = "account"
    """All functions in the account and region that share its unreserved concurrency."""

    CALLER = "caller"
    """All requests of this caller."""

    PROCESS = "process"
    """All requests of this process; the limit is its number of open files, not one of Lambda's."""


class FailureKind(StrEnum):
    """The kind of failure of an attempt; each kind has its own error type and backoff."""

    THROTTLED = "throttled"
    """A limit was reached: too many concurrent executions or too many requests."""

    NOT_READY = "not_ready"
    """The function cannot run yet: it is being created, updated, restored or connected."""

    FUNCTION = "function"
    """The function ran and failed."""

    SERVICE = "service"
    """Lambda itself failed."""

    TRANSPORT = "transport"
    """There was no usable response."""

    REJECTED = "rejected"
    """The request was permanently rejected."""


class TransportFault(StrEnum):
    """Why there was no usable response; the `code` of a transport failure."""

    NOT_BUILT = "RequestNotBuilt"
    """The SDK's own validation refused to build the request."""

    CREDENTIALS = "CredentialsUnavailable"
    """Credentials are temporarily unavailable: their provider returned an error, or nothing."""

    SET_UP = "SetUpInvalid"
    """The credentials or another setting are unusable; retrying does not help."""

    CONNECT = "ConnectFailed"
    """The connection failed: refused, unreachable or unknown host."""

    CONNECT_TIMEOUT = "ConnectTimeout"
    """The connection was not established in time."""

    TLS = "TLSFailed"
    """The TLS handshake failed."""

    PROXY = "ProxyFailed"
    """The proxy was unreachable or refused the connection."""

    FILES = "TooManyOpenFiles"
    """No file descriptor was available for the connection (EMFILE, ENFILE)."""

    POOL_TIMEOUT = "PoolTimeout"
    """No connection in the pool became available in time."""

    WRITE_TIMEOUT = "WriteTimeout"
    """The request could not be written in time; part of it may have arrived."""

    READ_TIMEOUT = "ReadTimeout"
    """The response, or the rest of it, did not arrive in time."""

    CONNECTION_LOST = "ConnectionLost"
    """The connection was closed before a response arrived."""

    CUT_SHORT = "RequestCutShort"
    """The connection was closed before the entire request was passed to the kernel."""

    TRUNCATED = "TruncatedBody"
    """The response body, or a response stream, ended early."""

    PROTOCOL = "InvalidAnswer"
    """The response is not HTTP, or cannot be parsed."""

    STATUS = "UnexpectedStatus"
    """The status is neither an error nor the expected success status."""

    CHECKSUM = "ChecksumMismatch"
    """A frame of a response stream was corrupted in transit."""

    CLOSED = "InvokerClosed"
    """The invoker's block was left during the attempt."""

    PROCESS_LOST = "ProcessLost"
    """The process running a map with a journal died while the item was in progress."""

    INTERRUPTED = "Interrupted"
    """The total timeout expired during the attempt."""

    UNEXPECTED = "UnexpectedError"
    """An unexpected error in a lower layer; see the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error response, or the lack of a response."""

    status_code: int | None = None
    """The HTTP status, if there was a response."""

    code: str | None = None
    """The AWS error code, such as `TooManyRequestsException`, or the bare status, such as `503`."""

    fault: TransportFault | None = None
    """Why there was no usable response; `None` if there was one."""

    phase: Phase = Phase.WRITTEN
    """The phase the attempt had reached if there was no usable response; if it is unknown, the
    furthest phase it may have reached."""

    message: str = ""
    """The error message; not used for decisions if there is a code."""

    reason: str | None = None
    """The `Reason` of a throttle, as sent."""

    retry_after: str | None = None
    """The `Retry-After` header, as sent: seconds or an HTTP date."""

    amz_retry_after: str | None = None
    """The `x-amz-retry-after` header, as sent: milliseconds."""

    request_id: str | None = None
    """The AWS request ID."""

    cause: Exception | None = field(default=None, repr=False, compare=False)
    """The underlying exception, kept for the cause chain."""


class LimitKind(StrEnum):
    """The quantity that is limited."""

    CONCURRENCY = "concurrency"
    """Attempts in flight."""

    RATE = "rate"
    """Attempts started per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitHit:
    """What a throttle slows down."""

    scope: ThrottleScope
    """The scope whose limit was hit."""

    quantity: LimitKind
    """Which of its limits was hit."""

    reserved: bool | None = None
    """Whether the reason implies that the function has reserved concurrency (`True`) or has none
    (`False`)."""

    pause: float = 0.0
    """The minimum pause of the scope after the throttle, in seconds."""


LIMIT_OF_REASON = {
    ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED: LimitHit(
        scope=ThrottleScope.ACCOUNT, quantity=LimitKind.CONCURRENCY, reserved=False
    ),
    ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED: LimitHit(
        scope=ThrottleScope.FUNCTION, quantity=LimitKind.CONCURRENCY, reserved=True
    ),
    ThrottleReason.FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED: LimitHit(
        scope=ThrottleScope.FUNCTION, quantity=LimitKind.RATE
    ),
    ThrottleReason.RESERVED_FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED: LimitHit(
        scope=ThrottleScope.FUNCTION, quantity=LimitKind.RATE, reserved=True
    ),
    ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED: LimitHit(
        scope=ThrottleScope.CALLER, quantity=LimitKind.RATE
    ),
    # A snapshot takes seconds to create, so retrying sooner cannot help.
    ThrottleReason.CONCURRENT_SNAPSHOT_CREATE_LIMIT_EXCEEDED: LimitHit(
        scope=ThrottleScope.FUNCTION, quantity=LimitKind.CONCURRENCY, pause=1.0
    ),
    ThrottleReason.UNKNOWN: LimitHit(scope=ThrottleScope.FUNCTION, quantity=LimitKind.CONCURRENCY),
}
"""Every reason in Lambda's service model, and what it slows down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Failures with the same cause: the same error class, code and error type."""

    error: str
    """The name of the error class, such as `FunctionError`."""

    code: str | None = None
    """The AWS error code or transport fault, if any, such as `AccessDeniedException`."""

    error_type: str | None = None
    """The error type reported by the function, for function errors, such as `ValueError`."""

    count: int
    """The number of failures."""

    example: str
    """The message of one of them, shortened to one line."""

    @property
    def what(self) -> str:
        """The error class with its error type or code, such as `FunctionError ValueError`."""
        return " ".join(part for part in (self.error, self.error_type or self.code) if part)

    def __str__(self) -> str:
        return f"{self.count:,} {self.what}" + (f": {self.example}" if self.example else "")
