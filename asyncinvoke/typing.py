"""The types for annotations: parameters of `Invoker`, and arguments of its callbacks."""

from asyncinvoke._batches.shape import BatchItem, Shape, ShapeName
from asyncinvoke._clock import Clock
from asyncinvoke._engine.events import Event, Hook
from asyncinvoke._engine.journal import JournalOrPath
from asyncinvoke._engine.options import (
    CommonOptions,
    EventOptions,
    InvokeOptions,
    MapOptions,
    StreamOptions,
)
from asyncinvoke._engine.outcome import Failed, Succeeded
from asyncinvoke._limits.scopes import FunctionKey
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Decode, Reply, StreamEnd, StreamHead
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._request.payload import Encode
from asyncinvoke._request.request import InvocationTypeName, LogTypeName
from asyncinvoke._request.target import Target
from asyncinvoke._retries.strategies import Stop, Wait
from asyncinvoke._transport.base import LambdaClient, Stream, WholeTransport

__all__ = [
    "BatchItem",
    "Clock",
    "CommonOptions",
    "Decode",
    "Encode",
    "Event",
    "EventOptions",
    "Failed",
    "Failure",
    "FunctionKey",
    "Hook",
    "InvocationTypeName",
    "InvokeOptions",
    "InvokeParameters",
    "JournalOrPath",
    "LambdaClient",
    "LogTypeName",
    "MapOptions",
    "Phase",
    "Progress",
    "Reply",
    "Shape",
    "ShapeName",
    "Stop",
    "Stream",
    "StreamEnd",
    "StreamHead",
    "StreamOptions",
    "Succeeded",
    "Target",
    "Transport",
    "TransportFault",
    "Wait",
]

Transport = WholeTransport
