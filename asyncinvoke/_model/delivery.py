"""How far a request got, and so whether the function may have run."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Delivery(StrEnum):
    """How far an attempt, or an entire execution, got; in ascending order."""

    NOT_SENT = "not_sent"
    """The request was not sent, or only in part: no connection, no credentials, or no permit."""

    REJECTED = "rejected"
    """Lambda responded that it did not run the function."""

    UNKNOWN = "unknown"
    """The request may have arrived and the function may have run."""

    EXECUTED = "executed"
    """The function ran."""

    @property
    def may_have_run(self) -> bool:
        """Whether the function may have run, partially or completely."""
        return self in (Delivery.UNKNOWN, Delivery.EXECUTED)

    @classmethod
    def of_all(cls, deliveries: Iterable["Delivery | None"]) -> "Delivery":
        """Return the delivery of a failed execution: the furthest that any of its attempts got.

        Args:
            deliveries: Those of the attempts; `None` is ignored.
        """
        return max(filter(None, deliveries), key=list(cls).index, default=cls.NOT_SENT)


class Phase(IntEnum):
    """The progress of one attempt, in chronological order."""

    NOT_BEGUN = 0
    """Nothing has happened yet."""

    CREDENTIALS = 1
    """Credentials are being fetched, or the request is being built and signed."""

    CONNECTING = 2
    """A connection is being opened: DNS, TCP, proxy, TLS."""

    CONNECTED = 3
    """The connection is open, and no byte of the request has been passed to the kernel."""

    WRITTEN_IN_PART = 4
    """Part of the request was passed to the kernel. A partial request cannot run, since the
    signature covers the entire body."""

    WRITTEN = 5
    """The entire request was passed to the kernel, or may have been."""

    HEAD_READ = 6
    """The status line and headers of the response were read."""

    BODY_READ = 7
    """The entire response was read."""

    @property
    def delivery(self) -> Delivery:
        """The delivery of an attempt that ends in this phase without a conclusive response."""
        return Delivery.UNKNOWN if self >= Phase.WRITTEN else Delivery.NOT_SENT


@dataclass(slots=True, eq=False)
class Progress:
    """The progress of an attempt, updated by the transport and read when the attempt ends."""

    deadline: float = math.inf
    """The deadline of the attempt, on `time.monotonic()`; `math.inf` for none."""

    phase: Phase = field(default=Phase.NOT_BEGUN, init=False)
    """How far it has come."""

    head: tuple[int, Mapping[str, str]] | None = field(default=None, init=False, repr=False)
    """Status and headers of a response whose body is incomplete. They may prove that the function
    did not run."""

    def __getstate__(self) -> object:
        return object.__getstate__(self)  # protocols 0 and 1 of pickle refuse slots without it
