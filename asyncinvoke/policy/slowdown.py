"""What each throttle reason slows down, and how: the one table from reason to limit."""

from dataclasses import dataclass
from enum import StrEnum

from asyncinvoke.model.throttling import ThrottleReason, ThrottleScope


class Quantity(StrEnum):
    """What is limited."""

    CONCURRENCY = "concurrency"
    """Attempts in flight."""

    RATE = "rate"
    """Attempts started each second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowdown:
    """What a throttle slows down."""

    scope: ThrottleScope
    """Whose limit was hit."""

    quantity: Quantity
    """Which of its limits."""

    reserved: bool | None = None
    """Whether the reason tells that the function has concurrency of its own (`True`), or has none
    (`False`)."""

    pause: float = 0.0
    """The shortest pause of that scope after the throttle, in seconds."""


SLOWDOWNS = {
    ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED: Slowdown(
        scope=ThrottleScope.ACCOUNT, quantity=Quantity.CONCURRENCY, reserved=False
    ),
    ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED: Slowdown(
        scope=ThrottleScope.FUNCTION, quantity=Quantity.CONCURRENCY, reserved=True
    ),
    ThrottleReason.FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED: Slowdown(
        scope=ThrottleScope.FUNCTION, quantity=Quantity.RATE
    ),
    ThrottleReason.RESERVED_FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED: Slowdown(
        scope=ThrottleScope.FUNCTION, quantity=Quantity.RATE, reserved=True
    ),
    ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED: Slowdown(
        scope=ThrottleScope.CALLER, quantity=Quantity.RATE
    ),
    # A snapshot takes seconds to make: asking again sooner cannot help.
    ThrottleReason.CONCURRENT_SNAPSHOT_CREATE_LIMIT_EXCEEDED: Slowdown(
        scope=ThrottleScope.FUNCTION, quantity=Quantity.CONCURRENCY, pause=1.0
    ),
    ThrottleReason.UNKNOWN: Slowdown(scope=ThrottleScope.FUNCTION, quantity=Quantity.CONCURRENCY),
}
"""Every reason of Lambda's service model, and what it slows down."""
