"""What is reported about limits: events for hooks and log lines, never one per call."""

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from asyncinvoke._model.failure import LimitKind, ThrottleReason, ThrottleScope
from asyncinvoke._telemetry.hooks import Hooks

LOG_EVERY = 60.0
"""How many seconds lie between two lines that say that a limit of the same scope was lowered."""

LOG_PAUSES_FROM = 1.0
"""How long a pause has to be to be worth a line, in seconds."""

_logger = logging.getLogger("asyncinvoke")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged:
    """A limit has moved."""

    scope: ThrottleScope
    """Whose limit."""

    key: str
    """Which function (with qualifier and tenant), or account; empty for this caller and this
    process."""

    quantity: LimitKind
    """Attempts in flight, or attempts started each second."""

    before: float | None
    """What it was; `None` for no limit."""

    after: float
    """What it is."""

    reason: ThrottleReason | None
    """The throttle that lowered it; `None` where it rose, for want of any, and where the scope is
    this process, whose files ran out without Lambda's doing."""


class News:
    """Keeps what there is to tell until the books are in order, and then tells it.

    A hook is somebody else's code: it may raise, `KeyboardInterrupt` too, and it may ask the limiter
    for its statistics. So it is never called while counters are being changed. Whoever changes them
    adds to the news, and calls `deliver` last.

    Args:
        hooks: Those who listen.
    """

    __slots__ = ("_hooks", "is_heard", "pending")

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self.is_heard: bool = bool(hooks)
        """Whether there is anybody to tell that a limit has moved; lines go to the log all the same."""
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
        """Add that a limit has moved, if it has."""
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
        """Add a line for the log, with what it says as attributes."""
        self.pending.append((level, line, extra))

    def deliver(self) -> None:
        """Tell what there is to tell; of what a hook raises only a `BaseException` comes out."""
        while self.pending:
            news = self.pending.popleft()
            if isinstance(news, tuple):
                level, line, extra = news
                _logger.log(level, line, extra=extra)
            else:
                self._hooks.tell(news)
