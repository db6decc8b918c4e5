"""An embedded Lambda endpoint that runs real handlers: for trying out and for tests.

It speaks Lambda's wire protocol on loopback to any AWS SDK. It imports nothing from the client
except the throttle reasons, so that tests can detect disagreements between the two. The fault steps
(`Answer`, `Reset`, `throttle`, ...) also work with `asyncinvoke.testing.FakeLambda`.
"""

from asyncinvoke.local.counters import FunctionStatistics, LocalStatistics
from asyncinvoke.local.edge.observing import AnsweredInvocation
from asyncinvoke.local.events.queue import EventProgress
from asyncinvoke.local.execution.context import ClientContext, LambdaContext
from asyncinvoke.local.execution.logs import LogLine
from asyncinvoke.local.faults.injected import InjectedFault
from asyncinvoke.local.faults.steps import (
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
from asyncinvoke.local.functions.event_config import EventConfig
from asyncinvoke.local.handle import LocalFunction
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.received import ReceivedInvocation
from asyncinvoke.local.server import LocalLambda

__all__ = [
    "Answer",
    "AnsweredInvocation",
    "ClientContext",
    "Close",
    "EventConfig",
    "EventProgress",
    "FunctionStatistics",
    "InjectedFault",
    "LambdaContext",
    "LocalFunction",
    "LocalLambda",
    "LocalStatistics",
    "LogLine",
    "Raw",
    "ReceivedInvocation",
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
