"""For testing code that invokes functions: faults on demand, a fake, and waits that take no time.

Names are imported when they are first used: pytest loads this package at each of its starts, for
the plugin in it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncinvoke.local.faults.steps import (
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
    from asyncinvoke.testing.fake.fake_lambda import FakeLambda
    from asyncinvoke.testing.http import ReceivedRequest, RequestTarget
    from asyncinvoke.testing.waits import NoWaits, no_waits

__all__ = [
    "Answer",
    "Close",
    "FakeLambda",
    "FaultEndpoint",
    "InstantClock",
    "NoWaits",
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
    "no_waits",
    "stream",
    "throttle",
]

_HOMES = {
    "FakeLambda": "asyncinvoke.testing.fake.fake_lambda",
    "FaultEndpoint": "asyncinvoke.testing.endpoint",
    "InstantClock": "asyncinvoke.testing.clock",
    "NoWaits": "asyncinvoke.testing.waits",
    "ReceivedRequest": "asyncinvoke.testing.http",
    "RequestTarget": "asyncinvoke.testing.http",
    "no_waits": "asyncinvoke.testing.waits",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "asyncinvoke.local.faults.steps")), name)
    globals()[name] = value
    return value
