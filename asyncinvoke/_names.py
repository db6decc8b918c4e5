"""The public names of `asyncinvoke`."""

from asyncinvoke._batches.batch import Batch
from asyncinvoke._batches.shape import ItemFailed
from asyncinvoke._diagnosis.checks import Check, CheckStatus, Diagnosis
from asyncinvoke._diagnosis.diagnose import diagnose
from asyncinvoke._engine.events import (
    AttemptEnded,
    AttemptStarted,
    ExecutionEnded,
    ExecutionStarted,
    RunEnded,
    RunSample,
    RunStarted,
)
from asyncinvoke._engine.journal import Changed, Journal, Redrive
from asyncinvoke._engine.map import MapRun
from asyncinvoke._engine.outcome import MapStatistics, Outcome
from asyncinvoke._engine.shard import Shard
from asyncinvoke._engine.stream import ResponseStream
from asyncinvoke._engine.tolerance import Tolerance
from asyncinvoke._function import Function
from asyncinvoke._invoker import Invoker
from asyncinvoke._limits.events import LimitChanged
from asyncinvoke._limits.limit import AdaptiveLimit, FixedLimit
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import Cause, FailureKind, LimitKind, ThrottleReason, ThrottleScope
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._request.request import InvocationType, LogType, Request
from asyncinvoke._retries.policy import Backoff, RetryBudget, RetryPolicy
from asyncinvoke._statistics import (
    ExecutionOutcome,
    FunctionStatistics,
    InvokerStatistics,
    ScopeStatistics,
)
from asyncinvoke._telemetry.trace import trace_header
from asyncinvoke.errors import (
    AsyncInvokeError,
    ConfigurationError,
    DeadlineExceededError,
    FunctionError,
    GaveUp,
    InvalidRequestError,
    InvocationError,
    JournalError,
    JournalMismatchError,
    NotReadyError,
    RejectedError,
    ServiceError,
    ThrottledError,
    ToleranceExceededError,
    TransportError,
)

__all__ = [
    "AdaptiveLimit",
    "AsyncInvokeError",
    "Attempt",
    "AttemptEnded",
    "AttemptStarted",
    "Backoff",
    "Batch",
    "Cause",
    "Changed",
    "Check",
    "CheckStatus",
    "ConfigurationError",
    "DeadlineExceededError",
    "Delivery",
    "Diagnosis",
    "ExecutionEnded",
    "ExecutionOutcome",
    "ExecutionStarted",
    "FailureKind",
    "FixedLimit",
    "Function",
    "FunctionError",
    "FunctionStatistics",
    "GaveUp",
    "InvalidRequestError",
    "InvocationError",
    "InvocationType",
    "Invoker",
    "InvokerStatistics",
    "ItemFailed",
    "Journal",
    "JournalError",
    "JournalMismatchError",
    "LimitChanged",
    "LimitKind",
    "LogType",
    "MapRun",
    "MapStatistics",
    "NotReadyError",
    "Outcome",
    "Redrive",
    "RejectedError",
    "Request",
    "Response",
    "ResponseStream",
    "RetryBudget",
    "RetryPolicy",
    "RunEnded",
    "RunSample",
    "RunStarted",
    "ScopeStatistics",
    "ServiceError",
    "Shard",
    "ThrottleReason",
    "ThrottleScope",
    "ThrottledError",
    "Tolerance",
    "ToleranceExceededError",
    "TransportError",
    "diagnose",
    "trace_header",
]
