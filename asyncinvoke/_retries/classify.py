"""What a failed attempt means: its kind, whether the function may have run, what is throttled.

The tables below decide: by HTTP status if that is conclusive, then by error code; or, if there was
no response, by how far the request got. The delay requested by the service is parsed here as well.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC

from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import (
    LIMIT_OF_REASON,
    Failure,
    FailureKind,
    ThrottleReason,
    ThrottleScope,
    TransportFault,
)


def parse_retry_after(
    retry_after: str | None, amz_retry_after: str | None, *, now: float
) -> float | None:
    """Parse both headers; the longer delay wins, and invalid values are ignored.

    Args:
        retry_after: `Retry-After`: seconds, fractions allowed, or an HTTP date.
        amz_retry_after: `x-amz-retry-after`: milliseconds.
        now: Seconds since the epoch, for a date.

    Returns:
        Seconds to wait, at least 0; `None` if neither header is valid.
    """
    if retry_after is None and amz_retry_after is None:
        return None
    milliseconds = _number(amz_retry_after)
    hints = [
        hint
        for hint in (
            _seconds(retry_after, now),
            None if milliseconds is None else milliseconds / 1000,
        )
        if hint is not None
    ]
    return max(hints, default=None)


def _seconds(value: str | None, now: float) -> float | None:
    number = _number(value)
    if number is not None or value is None:
        return number
    # Dates are rare, and importing their parser takes a tenth as long as importing asyncinvoke.
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(value)
        # An HTTP date is in GMT, even in the obsolete formats without a time zone.
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    except (ValueError, OverflowError, TypeError):
        return None


# Python accepts more as a number than a header allows: `1_000`, digits of other scripts.
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?", re.IGNORECASE)


def _number(value: str | None) -> float | None:
    # Only the whitespace of a header: `strip()` removes more, and `float` tolerates other characters.
    text = "" if value is None else value.strip(" \t")
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a failed attempt means."""

    kind: FailureKind
    """The kind of failure."""

    delivery: Delivery
    """Whether the function may have run."""

    retry_after: float | None = None
    """How long the service asked to wait, in seconds."""

    reason: ThrottleReason | None = None
    """Why it was throttled, if it was."""

    scope: ThrottleScope | None = None
    """What the throttle applies to."""

    outage_began: float | None = None
    """When the outage that the failure is part of began, on a monotonic clock; infinite if it is over,
    and `None` if the failure holds nothing back."""


THROTTLED = (FailureKind.THROTTLED, Delivery.REJECTED)
NOT_READY = (FailureKind.NOT_READY, Delivery.REJECTED)
REJECTED = (FailureKind.REJECTED, Delivery.REJECTED)
SERVICE = (FailureKind.SERVICE, Delivery.UNKNOWN)

FUNCTION_FAILED = Verdict(kind=FailureKind.FUNCTION, delivery=Delivery.EXECUTED)
"""The meaning of a response with a function error."""

CODES = {
    # Throttles. The second group is what AWS's front ends and SDKs treat as throttling.
    "TooManyRequestsException": THROTTLED,
    "EC2ThrottledException": THROTTLED,
    "LimitExceededException": THROTTLED,
    "RequestLimitExceeded": THROTTLED,
    "RequestThrottled": THROTTLED,
    "RequestThrottledException": THROTTLED,
    "SlowDown": THROTTLED,
    "Throttling": THROTTLED,
    "ThrottledException": THROTTLED,
    "ThrottlingException": THROTTLED,
    # The function is getting ready: refused before it ran, and worth a retry.
    "CodeArtifactUserPendingException": NOT_READY,
    "EC2UnexpectedException": NOT_READY,
    "EFSMountConnectivityException": NOT_READY,
    "EFSMountTimeoutException": NOT_READY,
    "ENILimitReachedException": NOT_READY,
    "ENINotReadyException": NOT_READY,
    "ResourceConflictException": NOT_READY,
    "ResourceNotReadyException": NOT_READY,
    "S3FilesMountConnectivityException": NOT_READY,
    "S3FilesMountTimeoutException": NOT_READY,
    "SnapStartNotReadyException": NOT_READY,
    "SnapStartRegenerationFailureException": NOT_READY,
    "SnapStartTimeoutException": NOT_READY,
    "SubnetIPAddressLimitReachedException": NOT_READY,
    # Lambda failed; the function may have run.
    "InternalFailure": SERVICE,
    "InternalServerError": SERVICE,
    "ServiceException": SERVICE,
    "ServiceUnavailable": SERVICE,
    "ServiceUnavailableException": SERVICE,
    # Permanently rejected, some of them with a 5xx status that only looks transient.
    "AccessDeniedException": REJECTED,
    "CodeArtifactUserDeletedException": REJECTED,
    "CodeArtifactUserFailedException": REJECTED,
    "DurableExecutionAlreadyStartedException": REJECTED,
    "EC2AccessDeniedException": REJECTED,
    "EFSMountFailureException": REJECTED,
    "ExpiredTokenException": REJECTED,
    "IncompleteSignatureException": REJECTED,
    "InvalidParameterValueException": REJECTED,
    "InvalidRequestContentException": REJECTED,
    "InvalidRuntimeException": REJECTED,
    "InvalidSecurityGroupIDException": REJECTED,
    "InvalidSignatureException": REJECTED,
    "InvalidSubnetIDException": REJECTED,
    "InvalidZipFileException": REJECTED,
    "KMSAccessDeniedException": REJECTED,
    "KMSDisabledException": REJECTED,
    "KMSInvalidStateException": REJECTED,
    "KMSNotFoundException": REJECTED,
    "MissingAuthenticationTokenException": REJECTED,
    "ModeNotSupportedException": REJECTED,
    "NoPublishedVersionException": REJECTED,
    "RecursiveInvocationException": REJECTED,
    "RequestEntityTooLargeException": REJECTED,
    "RequestTooLargeException": REJECTED,
    "ResourceNotFoundException": REJECTED,
    "RuntimeAliasDeletedException": REJECTED,
    "RuntimeVersionDeletedException": REJECTED,
    "S3FilesMountFailureException": REJECTED,
    "SerializedRequestEntityTooLargeException": REJECTED,
    "ServiceQuotaExceededException": REJECTED,
    "SnapStartException": REJECTED,
    "UnknownOperationException": REJECTED,
    "UnrecognizedClientException": REJECTED,
    "UnsupportedMediaTypeException": REJECTED,
    "ValidationException": REJECTED,
    # Reading or writing the file system failed, which can happen in the middle of a run.
    "EFSIOException": (FailureKind.REJECTED, Delivery.UNKNOWN),
}
"""The meaning of each error code: all codes that the service model lists for Invoke, and unlisted
ones that occur in practice."""

STATUSES = {
    408: SERVICE,
    429: THROTTLED,
}
"""The meaning of these statuses: 429 always, 408 if the code is not conclusive. Other 4xx statuses
and redirects mean rejected, unless the code says otherwise. Anything else means that Lambda, or
something in front of it, failed, and the function may have run."""

NEVER_SENT = (TransportFault.NOT_BUILT, TransportFault.SET_UP)
"""Faults of the request itself or of the configuration: a retry would fail in the same way."""

# The one response whose code is not conclusive: a function in this state stays in it.
_FAILED_STATE = "state: Failed"


def classify(failure: Failure, *, now: float) -> Verdict:
    """Classify a failed attempt.

    Args:
        failure: The failure reported by the transport.
        now: Seconds since the epoch, to read a `Retry-After` that is a date.
    """
    kind, delivery = _look_up(failure)
    reason = scope = None
    if kind is FailureKind.THROTTLED:
        reason = ThrottleReason(failure.reason or ThrottleReason.UNKNOWN)
        ours = failure.fault is TransportFault.FILES
        scope = ThrottleScope.PROCESS if ours else LIMIT_OF_REASON[reason].scope
    return Verdict(
        kind=kind,
        delivery=delivery,
        retry_after=parse_retry_after(failure.retry_after, failure.amz_retry_after, now=now),
        reason=reason,
        scope=scope,
    )


def _look_up(failure: Failure) -> tuple[FailureKind, Delivery]:
    if failure.fault is TransportFault.FILES:
        return FailureKind.THROTTLED, failure.phase.delivery
    if failure.fault is not None:
        kind = FailureKind.REJECTED if failure.fault in NEVER_SENT else FailureKind.TRANSPORT
        return kind, failure.phase.delivery
    status = failure.status_code or 0
    if status == 429:
        return STATUSES[429]
    if failure.code == "ResourceConflictException" and _FAILED_STATE in failure.message:
        return REJECTED
    refused = 300 <= status < 500 and status not in STATUSES
    by_status = STATUSES.get(status, REJECTED if refused else SERVICE)
    by_code = CODES.get(failure.code or "", by_status)
    # Regardless of the body: if the status line says refused, the function did not run.
    return REJECTED if refused and by_code is SERVICE else by_code
