"""How far a request got, and so whether the function may have run."""

import math
from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum


class Delivery(StrEnum):
    """What is known of one attempt, or of a whole execution, in rising order of consequence."""

    NOT_SENT = "not_sent"
    """The request never left: no connection, no credentials, no permit."""

    REJECTED = "rejected"
    """Lambda answered that it did not run the function."""

    UNKNOWN = "unknown"
    """The request may have arrived and the function may have run."""

    EXECUTED = "executed"
    """The function ran."""

    @property
    def may_have_run(self) -> bool:
        """Whether the function may have run, in part or in full."""
        return self in (Delivery.UNKNOWN, Delivery.EXECUTED)

    @classmethod
    def of_all(cls, deliveries: Iterable["Delivery | None"]) -> "Delivery":
        """Return the delivery of a failed execution: the furthest that any of its attempts got."""
        return max(filter(None, deliveries), key=list(cls).index, default=cls.NOT_SENT)


class Phase(IntEnum):
    """How far one attempt has come, in the order in which it gets there."""

    NOT_BEGUN = 0
    """Nothing was done yet."""

    CREDENTIALS = 1
    """Credentials are being fetched, or the request is being built and signed."""

    CONNECTING = 2
    """A connection is being opened: names resolved, TCP, the proxy, TLS."""

    CONNECTED = 3
    """There is a connection, and no byte of the request was handed to the kernel."""

    WRITTEN_IN_PART = 4
    """A part of the request was handed to the kernel. A part cannot run: the signature covers the
    whole body."""

    WRITTEN = 5
    """The whole request was handed to the kernel, or may have been."""

    HEAD_READ = 6
    """The status line and the headers of the answer were read."""

    BODY_READ = 7
    """The whole answer was read."""

    @property
    def delivery(self) -> Delivery:
        """What an attempt that ends here, without an answer that says more, may have done."""
        return Delivery.UNKNOWN if self >= Phase.WRITTEN else Delivery.NOT_SENT


class Progress:
    """How far an attempt has come, noted by the transport as it goes and read by whoever ends it.

    Args:
        deadline: When the attempt must have ended, on `time.monotonic()`; `math.inf` for never.
    """

    __slots__ = ("deadline", "head", "phase")

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline: float = deadline
        self.phase: Phase = Phase.NOT_BEGUN
        self.head: tuple[int, Mapping[str, str]] | None = None
        """Status and headers of an answer whose body has not come whole: whoever ends the attempt
        then may know from these that the function did not run."""

    def __repr__(self) -> str:
        return f"<Progress {self.phase.name}>"
