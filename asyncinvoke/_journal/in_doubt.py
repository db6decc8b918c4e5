"""The outcomes of items that may or may not have run: their process died, or the map was left."""

from typing import Any

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._journal.flights import Flight
from asyncinvoke._journal.rows import CauseKey
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import FailureKind, TransportFault
from asyncinvoke._model.response import Attempt
from asyncinvoke.errors import GaveUp, TransportError

LOST = "its process died while it was under way"
"""The error message of an item that may have run when its process died."""

LOST_CAUSE = CauseKey(
    "TransportError",
    TransportFault.PROCESS_LOST.value,
    None,
    Delivery.UNKNOWN.value,
    GaveUp.DELIVERY_UNKNOWN.value,
)
"""The cause of its failure."""


def lost_outcome(prepared: Prepared, left: Flight) -> Outcome[Any]:
    """Return the outcome of an item that may have run when its process died and is not run again."""
    return _in_doubt(
        prepared,
        LOST,
        TransportFault.PROCESS_LOST,
        GaveUp.DELIVERY_UNKNOWN,
        left.started,
    )


def left_outcome(prepared: Prepared, started: float) -> Outcome[Any]:
    """Return the outcome of an item that was in flight when the map's block was left."""
    return _in_doubt(
        prepared, "the map's block was left", TransportFault.CLOSED, GaveUp.CLOSED, started
    )


def _in_doubt(
    prepared: Prepared, message: str, fault: TransportFault, gave_up: GaveUp, started: float
) -> Outcome[Any]:
    attempt = Attempt(
        number=1,
        started=started,
        elapsed=0.0,
        kind=FailureKind.TRANSPORT,
        delivery=Delivery.UNKNOWN,
        code=fault.value,
    )
    target = None if prepared.call is None else prepared.call.parameters.target
    error = TransportError(
        message,
        function_name="" if target is None else target.function_name,
        qualifier=None if target is None else target.qualifier,
        code=fault.value,
        delivery=Delivery.UNKNOWN,
        attempts=(attempt,),
        gave_up=gave_up,
    )
    return Outcome(
        index=prepared.index,
        key=prepared.key,
        error=error,
        attempts=(attempt,),
        started=started,
        elapsed=0.0,
        take=prepared.take,
    )


def lost_attempt(left: Flight) -> Attempt:
    return Attempt(
        number=1,
        started=left.started,
        elapsed=0.0,
        kind=FailureKind.TRANSPORT,
        delivery=Delivery.UNKNOWN,
        code=TransportFault.PROCESS_LOST.value,
    )
