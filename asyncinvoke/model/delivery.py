"""How far a request got: whether the function may have run."""

from collections.abc import Iterable
from enum import StrEnum


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
        failed = [delivery for delivery in deliveries if delivery is not None]
        return max(failed, key=list(cls).index, default=cls.NOT_SENT)
