"""What is reported about limits: events for hooks and log lines, never one per call."""

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from asyncinvoke._model.failure import LimitKind, ThrottleReason, ThrottleScope
from asyncinvoke._telemetry.hooks import Hooks

LOG_EVERY = 60.0
"""The minimum interval between two log records about lowered limits of one scope, or about its
pauses, in seconds."""

LOG_PAUSES_FROM = 1.0
"""The minimum length of a pause that is logged, in seconds."""

_logger = logging.getLogger("asyncinvoke")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged:
    """A limit has changed."""

    scope: ThrottleScope
    """The scope of the limit."""

    key: str
    """The function (with qualifier and tenant) or account; empty for the caller and the process."""

    quantity: LimitKind
    """What is limited: attempts in flight, or attempts started per second."""

    before: float | None
    """The previous limit; `None` if there was none."""

    after: float
    """The new limit."""

    reason: ThrottleReason | None
    """The throttle that lowered it. `None` if the limit rose, or if the scope is the process, which
    ran out of file descriptors."""


class LimitEvents:
    """Queues events and log records until the limiter's state is consistent, then delivers them.

    Hooks are foreign code: they may raise, even `KeyboardInterrupt`, and may read the limiter's
    statistics. So they are never called while counters are being updated. Code that changes the
    counters queues its events here, and calls `deliver` at the end.

    Args:
        hooks: The hooks to call.
    """

    __slots__ = ("_hooks", "is_heard", "pending")

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self.is_heard: bool = bool(hooks)
        """Whether there are hooks for limit changes; log records are written in any case."""
        self.pending: deque[LimitChanged | tuple[int, str, Mapping[str, object]]] = deque()

    def changed(
        self,
        scope: ThrottleScope,
        key: object,
        quantity: LimitKind,
        *,
        before: float | None,
        after: float,
        reason: ThrottleReason | None,
    ) -> None:
        """Queue a `LimitChanged` event, if the limit has changed."""
        if before != after:
            self.pending.append(
                LimitChanged(
                    scope=scope,
                    key=str(key),
                    quantity=quantity,
                    before=before,
                    after=after,
                    reason=reason,
                )
            )

    def log(self, level: int, line: str, extra: Mapping[str, object]) -> None:
        """Queue a log record with attributes."""
        self.pending.append((level, line, extra))

    def deliver(self) -> None:
        """Deliver everything queued; of what hooks raise, only a `BaseException` propagates."""
        while self.pending:
            event = self.pending.popleft()
            if isinstance(event, tuple):
                level, line, extra = event
                _logger.log(level, line, extra=extra)
            else:
                self._hooks.emit(event)
