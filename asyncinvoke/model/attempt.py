"""One try of an execution, as kept in the history of responses, outcomes and errors."""

from dataclasses import dataclass

from asyncinvoke.model.delivery import Delivery
from asyncinvoke.model.failure import FailureKind
from asyncinvoke.model.throttling import ThrottleReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try: when, how long, and how it ended. Never holds the payload."""

    number: int
    """Which try of its execution this is, from 1."""

    started: float
    """When it began, in seconds since the epoch."""

    elapsed: float
    """How long it took, in seconds, without the wait for a permit."""

    kind: FailureKind | None = None
    """What went wrong; `None` if it succeeded."""

    delivery: Delivery | None = None
    """How far the request got, if it failed; `None` if it succeeded."""

    status_code: int | None = None
    """The HTTP status, if there was an answer."""

    code: str | None = None
    """AWS's error code, or a transport fault such as `ReadTimeout`; `None` if it succeeded."""

    reason: ThrottleReason | None = None
    """Why it was throttled, if it was."""

    request_id: str | None = None
    """AWS's id of the request, if there was an answer."""

    delay: float | None = None
    """The backoff before the next try, in seconds; `None` if there was no next try."""
