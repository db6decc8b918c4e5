"""For testing code that invokes functions: an endpoint with scripted faults, and a clock."""

from asyncinvoke.testing.clock import InstantClock
from asyncinvoke.testing.endpoint import FaultEndpoint
from asyncinvoke.testing.http import ReceivedRequest, RequestTarget
from asyncinvoke.testing.steps import (
    Answer,
    Close,
    Raw,
    Reset,
    Stall,
    Step,
    Truncated,
    error,
    function_error,
    throttle,
)

__all__ = [
    "Answer",
    "Close",
    "FaultEndpoint",
    "InstantClock",
    "Raw",
    "ReceivedRequest",
    "RequestTarget",
    "Reset",
    "Stall",
    "Step",
    "Truncated",
    "error",
    "function_error",
    "throttle",
]
