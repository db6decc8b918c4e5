"""An embedded Lambda endpoint that runs real handlers: for trying out and for tests.

It speaks Lambda's wire protocol on loopback to any AWS SDK. It imports nothing of the client but
the throttle reasons, so that the two ends of the wire can disagree in a test.
"""

from asyncinvoke.local.edge.observing import AnsweredInvocation
from asyncinvoke.local.edge.received import ReceivedInvocation
from asyncinvoke.local.execution.context import ClientContext, LambdaContext
from asyncinvoke.local.faults.injected import InjectedFault
from asyncinvoke.local.functions.event_config import EventConfig
from asyncinvoke.local.handle import LocalFunction
from asyncinvoke.local.server import LocalLambda
from asyncinvoke.local.statistics import FunctionStatistics, LocalStatistics

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
