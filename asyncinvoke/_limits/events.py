"""Events for those who listen; nothing is built when nobody does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from asyncinvoke._limits.reasons import LimitKind
from asyncinvoke._model.failure import ThrottleReason, ThrottleScope


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged:
    """A limit has moved."""

    scope: ThrottleScope
    """Whose limit."""

    key: str
    """Which function (with qualifier and tenant), or account; empty for this caller."""

    quantity: LimitKind
    """Attempts in flight, or attempts started each second."""

    before: float | None
    """What it was; `None` for no limit."""

    after: float
    """What it is."""

    reason: ThrottleReason | None
    """The throttle that lowered it; `None` where it rose, for want of any."""


Hook: TypeAlias = Callable[[LimitChanged], object]
"""A plain function that is given each event, in the task in which it happens; it must be quick."""
