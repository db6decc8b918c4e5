"""Async, retry-aware invocation of AWS Lambda functions."""

from asyncinvoke.engine.fanout import MapRun, MapStatistics
from asyncinvoke.engine.statistics import InvokerStatistics, ScopeStatistics
from asyncinvoke.engine.stream import ResponseStream
from asyncinvoke.errors import (
    AsyncInvokeError,
    ConfigurationError,
    DeadlineExceededError,
    FunctionError,
    GaveUp,
    InvalidRequestError,
    InvocationError,
    NotReadyError,
    RejectedError,
    ServiceError,
    ThrottledError,
    TransportError,
)
from asyncinvoke.invoker import Function, Invoker
from asyncinvoke.model.attempt import Attempt
from asyncinvoke.model.delivery import Delivery
from asyncinvoke.model.failure import FailureKind
from asyncinvoke.model.outcome import Outcome
from asyncinvoke.model.request import InvocationType, LogType, Request
from asyncinvoke.model.response import Response
from asyncinvoke.model.throttling import ThrottleReason, ThrottleScope
from asyncinvoke.policy.budget import RetryBudget
from asyncinvoke.policy.limit import AdaptiveLimit, FixedLimit
from asyncinvoke.policy.retry import Backoff, RetryPolicy
from asyncinvoke.policy.slowdown import Quantity
from asyncinvoke.telemetry import LimitChanged

__all__ = [
    "AdaptiveLimit",
    "AsyncInvokeError",
    "Attempt",
    "Backoff",
    "ConfigurationError",
    "DeadlineExceededError",
    "Delivery",
    "FailureKind",
    "FixedLimit",
    "Function",
    "FunctionError",
    "GaveUp",
    "InvalidRequestError",
    "InvocationError",
    "InvocationType",
    "Invoker",
    "InvokerStatistics",
    "LimitChanged",
    "LogType",
    "MapRun",
    "MapStatistics",
    "NotReadyError",
    "Outcome",
    "Quantity",
    "RejectedError",
    "Request",
    "Response",
    "ResponseStream",
    "RetryBudget",
    "RetryPolicy",
    "ScopeStatistics",
    "ServiceError",
    "ThrottleReason",
    "ThrottleScope",
    "ThrottledError",
    "TransportError",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        # Reading the metadata costs as much time as all the rest of this import.
        from importlib.metadata import version

        return version("asyncinvoke")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
