"""The vocabulary of failure: throttle reasons and scopes, failure kinds, transport faults, limit hits."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from asyncinvoke._model.delivery import Phase


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

    PROCESS = "process"
    """Everything that this process sends: its own limit, open files, and not one of Lambda's."""


class FailureKind(StrEnum):
    """What went wrong with an attempt; each kind has its own error type and its own backoff."""

    THROTTLED = "throttled"
    """A limit was reached: too many concurrent executions or too many requests."""

    NOT_READY = "not_ready"
    """The function cannot run yet: it is being created, updated, restored or connected."""

    FUNCTION = "function"
    """The function ran and failed."""

    SERVICE = "service"
    """Lambda itself failed."""

    TRANSPORT = "transport"
    """There was no usable answer."""

    REJECTED = "rejected"
    """The request was refused for good."""


class TransportFault(StrEnum):
    """Why there was no usable answer; given as the `code` of a transport failure."""

    NOT_BUILT = "RequestNotBuilt"
    """The SDK's own validation refused to build the request."""

    CREDENTIALS = "CredentialsUnavailable"
    """The credentials could not be had now: whatever gives them answered an error, or nothing."""

    SET_UP = "SetUpInvalid"
    """The credentials, or another setting, cannot be used as they are; trying again changes nothing."""

    CONNECT = "ConnectFailed"
    """No connection was made: refused, unreachable or no such host."""

    CONNECT_TIMEOUT = "ConnectTimeout"
    """No connection was made in time."""

    TLS = "TLSFailed"
    """The TLS handshake failed."""

    PROXY = "ProxyFailed"
    """The proxy could not be reached or refused."""

    FILES = "TooManyOpenFiles"
    """This process, or the machine, has no file left for another connection (EMFILE, ENFILE)."""

    POOL_TIMEOUT = "PoolTimeout"
    """No connection of the pool became free in time."""

    WRITE_TIMEOUT = "WriteTimeout"
    """The request could not be written in time; part of it may have arrived."""

    READ_TIMEOUT = "ReadTimeout"
    """No answer, or no more of it, came in time."""

    CONNECTION_LOST = "ConnectionLost"
    """The connection ended before an answer came."""

    CUT_SHORT = "RequestCutShort"
    """The connection ended before the whole request was handed to the kernel."""

    TRUNCATED = "TruncatedBody"
    """The answer's body, or a response stream, ended early."""

    PROTOCOL = "InvalidAnswer"
    """What came back is not HTTP, or not an answer that can be read."""

    STATUS = "UnexpectedStatus"
    """The answer is neither an error nor the one status that means success."""

    CHECKSUM = "ChecksumMismatch"
    """A frame of a response stream was damaged on its way."""

    CLOSED = "InvokerClosed"
    """The invoker's block was left while the attempt was under way."""

    PROCESS_LOST = "ProcessLost"
    """The process that ran a map with a journal died while the item was under way."""

    INTERRUPTED = "Interrupted"
    """The total timeout passed while the attempt was under way."""

    UNEXPECTED = "UnexpectedError"
    """Something else failed below us; the cause says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An answer that is an error, or the lack of an answer."""

    status_code: int | None = None
    """The HTTP status, if there was an answer."""

    code: str | None = None
    """AWS's error code, such as `TooManyRequestsException`, or the bare status, such as `503`."""

    fault: TransportFault | None = None
    """Why there was no usable answer; `None` if there was one."""

    phase: Phase = Phase.WRITTEN
    """How far the attempt had come when there was no usable answer; where nobody noted it, as far as
    it may have come."""

    message: str = ""
    """The text that came with it; never matched upon where a code will do."""

    reason: str | None = None
    """The `Reason` of a throttle, as sent."""

    retry_after: str | None = None
    """The `Retry-After` header, as sent: seconds or an HTTP date."""

    amz_retry_after: str | None = None
    """The `x-amz-retry-after` header, as sent: milliseconds."""

    request_id: str | None = None
    """AWS's id of the request."""

    cause: Exception | None = field(default=None, repr=False, compare=False)
    """The foreign exception behind it, kept for the cause chain."""


class LimitKind(StrEnum):
    """What is limited."""

    CONCURRENCY = "concurrency"
    """Attempts in flight."""

    RATE = "rate"
    """Attempts started each second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitHit:
    """What a throttle slows down."""

    scope: ThrottleScope
    """Whose limit was hit."""

    quantity: LimitKind
    """Which of its limits."""

    reserved: bool | None = None
    """Whether the reason shows that the function has concurrency of its own (`True`), or has none
    (`False`)."""

    pause: float = 0.0
    """The shortest pause of that scope after the throttle, in seconds."""


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
    # A snapshot takes seconds to make: asking again sooner cannot help.
    ThrottleReason.CONCURRENT_SNAPSHOT_CREATE_LIMIT_EXCEEDED: LimitHit(
        scope=ThrottleScope.FUNCTION, quantity=LimitKind.CONCURRENCY, pause=1.0
    ),
    ThrottleReason.UNKNOWN: LimitHit(scope=ThrottleScope.FUNCTION, quantity=LimitKind.CONCURRENCY),
}
"""Every reason of Lambda's service model, and what it slows down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Failures that have one cause: the same error, with the same code and type."""

    error: str
    """The name of the error's class, such as `FunctionError`."""

    code: str | None = None
    """AWS's code or the transport fault, if there is one, such as `AccessDeniedException`."""

    error_type: str | None = None
    """What the function calls its error, if it is one of a function's, such as `ValueError`."""

    count: int
    """How many failed for it."""

    example: str
    """What one of them says, on one line and not endless."""

    @property
    def what(self) -> str:
        """The error and what distinguishes it within its class, such as `FunctionError ValueError`."""
        return " ".join(part for part in (self.error, self.error_type or self.code) if part)

    def __str__(self) -> str:
        return f"{self.count:,} {self.what}" + (f": {self.example}" if self.example else "")
