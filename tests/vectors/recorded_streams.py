"""Response streams: the known frames, and how a client reads each ending."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from asyncinvoke import Delivery, FailureKind, ServiceError, TransportError

from .recorded_functions import TAIL
from .vector import Meaning, as_json, function_failed

Frame = tuple[dict[str, str], str]
"""Headers, and a payload that is a template."""


@dataclass(frozen=True, kw_only=True)
class StreamVector:
    """One stream."""

    name: str
    """What it is."""
    source: str
    """Where it is from."""
    frames: tuple[Frame, ...]
    """Its frames."""
    handler: str | None = None
    """The handler in `functions.py` that writes it; None if the endpoint never sends it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional headers of the request."""
    means: Meaning | None = None
    """Its meaning for a client; None for a success."""
    code: str | None = None
    """The error's code."""


def _event(event_type: str, content_type: str, payload: str) -> Frame:
    headers = {
        ":event-type": event_type,
        ":content-type": content_type,
        ":message-type": "event",
    }
    return headers, payload


def _chunk(text: str) -> Frame:
    return _event("PayloadChunk", "application/octet-stream", text)


def _complete(**members: str) -> Frame:
    return _event("InvokeComplete", "application/json", as_json(members))


_ONE = _chunk("one")
_BODY = {
    "errorMessage": "no good",
    "errorType": "Exception",
    "requestId": "<id>",
    "stackTrace": [
        '  File "<path>", line <number>, in writes_and_raises\n    raise Exception("no good")\n'
    ],
}
_FAILED = function_failed("Exception", "no good", tuple(_BODY["stackTrace"]))
_DETAILS = json.dumps(_BODY)
_LOST = Meaning(
    raises=TransportError,
    kind=FailureKind.TRANSPORT,
    delivery=Delivery.EXECUTED,
    is_repeated=False,
)

STREAMS = [
    StreamVector(
        name="success",
        source="MODEL; RAN botocore, aiobotocore and JS",
        frames=(_ONE, _chunk("two"), _complete()),
        handler="writes",
    ),
    StreamVector(
        name="the log",
        source="MODEL; RAN botocore, aiobotocore and JS",
        frames=(_ONE, _chunk("two"), _complete(LogResult="<base64>")),
        handler="writes",
        headers=TAIL,
    ),
    StreamVector(
        name="an error after a chunk",
        source="INFER",
        frames=(_ONE, _complete(ErrorCode="Unhandled", ErrorDetails=_DETAILS)),
        handler="writes_and_raises",
        means=_FAILED,
    ),
    StreamVector(
        name="an error whose body is a chunk",
        source="INFER",
        frames=(_chunk(_DETAILS), _complete(ErrorCode="Unhandled", ErrorDetails=_DETAILS)),
        means=_FAILED,
    ),
    StreamVector(
        name="an error of another code",
        source="INFER",
        frames=(_complete(ErrorCode="Sandbox.Timedout", ErrorDetails="too late"),),
        means=function_failed("Sandbox.Timedout", "too late"),
    ),
    StreamVector(
        name="no InvokeComplete",
        source="INFER",
        frames=(_ONE,),
        means=_LOST,
        code="TruncatedBody",
    ),
    StreamVector(
        name="an exception",
        source="INFER",
        frames=(
            _ONE,
            (
                {
                    ":exception-type": "ServiceException",
                    ":content-type": "application/json",
                    ":message-type": "exception",
                },
                '{"Message":"oops"}',
            ),
        ),
        means=Meaning(
            raises=ServiceError,
            kind=FailureKind.SERVICE,
            delivery=Delivery.EXECUTED,
            is_repeated=False,
        ),
        code="ServiceException",
    ),
]
