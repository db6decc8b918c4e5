"""An embedded Lambda endpoint that runs real handlers: for trying out and for tests.

It speaks Lambda's wire protocol on loopback to any AWS SDK. It imports nothing of the client but
the throttle reasons, so that the two ends of the wire can disagree in a test.
"""

from asyncinvoke.local.events.config import EventConfig
from asyncinvoke.local.execution.context import ClientContext, LambdaContext
from asyncinvoke.local.faults.fault import InjectedFault
from asyncinvoke.local.handle import LocalFunction
from asyncinvoke.local.observing import AnsweredInvocation
from asyncinvoke.local.server import LocalLambda
from asyncinvoke.local.statistics import FunctionStatistics, LocalStatistics
from asyncinvoke.local.wire.received import ReceivedInvocation

__all__ = [
    "AnsweredInvocation",
    "ClientContext",
    "EventConfig",
    "FunctionStatistics",
    "InjectedFault",
    "LambdaContext",
    "LocalFunction",
    "LocalLambda",
    "LocalStatistics",
    "ReceivedInvocation",
]
