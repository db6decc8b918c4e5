"""For testing code that invokes functions: an endpoint with scripted faults, and a clock."""

from asyncinvoke.local.steps import (
    Answer,
    Close,
    Raw,
    Reset,
    Stall,
    Step,
    Streamed,
    Truncated,
    error,
    function_error,
    stream,
    throttle,
)
from asyncinvoke.testing.clock import InstantClock
from asyncinvoke.testing.endpoint import FaultEndpoint
from asyncinvoke.testing.http import ReceivedRequest, RequestTarget

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
    "Streamed",
    "Truncated",
    "error",
    "function_error",
    "stream",
    "throttle",
]
