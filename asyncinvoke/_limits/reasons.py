"""What each throttle reason slows down, and how: the one table from reason to limit."""

from dataclasses import dataclass
from enum import StrEnum

from asyncinvoke._model.failure import ThrottleReason, ThrottleScope


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
    """Whether the reason tells that the function has concurrency of its own (`True`), or has none
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
