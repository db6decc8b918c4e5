"""A recorded answer: how to produce it, its bytes, and how a client reads it.

Texts are templates: `<id>` and the like stand for values that differ between answers.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncinvoke import (
    Delivery,
    FailureKind,
    FunctionError,
    InvocationError,
    NotReadyError,
    RejectedError,
    ThrottledError,
    ThrottleReason,
    ThrottleScope,
)

REQUEST_ID = "2b9a4c3e-7d51-4f0a-9c1b-5e8f6a7d0c12"

# The pattern of each token, and an example for clients.
TOKENS = {
    "id": (
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        REQUEST_ID,
    ),
    "when": (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "2025-11-24T10:00:00.123Z"),
    "date": (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "Mon, 24 Nov 2025 10:00:00 GMT"),
    "hex8": (r"[0-9a-f]{8}", "6924a1b2"),
    "hex24": (r"[0-9a-f]{24}", "0123456789abcdef01234567"),
    "number": (r"\d+", "4"),
    "ms": (r"\d+\.\d\d", "3.01"),
    "seconds": (r"\d+\.\d\d", "1.00"),
    "path": (r"/[^\"]+", "/var/task/functions.py"),
    "base64": (r"[A-Za-z0-9+/]+=*", "RU5E"),
    "lines": (r".*", "..."),
}
_TOKEN = re.compile("<(" + "|".join(TOKENS) + ")>")


def matches(template: str, text: str, **known: str) -> bool:
    """Return whether a text matches a template.

    Args:
        template: The template.
        text: The text.
        **known: The values that tokens must have in this text.
    """
    parts = _TOKEN.split(template)
    pattern = "".join(
        (re.escape(known[part]) if part in known else TOKENS[part][0])
        if number % 2
        else re.escape(part)
        for number, part in enumerate(parts)
    )
    return re.fullmatch(pattern, text) is not None


def filled(template: str) -> str:
    """Return an example of a text that matches a template."""
    return _TOKEN.sub(lambda match: TOKENS[match[1]][1], template)


def as_json(value: object) -> str:
    """Return JSON without white space, its keys in the order in which they are written."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class Call:
    """How to make the endpoint return an answer."""

    handler: str | None = "echo"
    """The handler in `functions.py`; None if nothing is registered."""
    kinds: tuple[str, ...] = ("callable",)
    """How it runs: `callable`, `process`, or both in turn."""
    source: str | None = None
    """The module whose `handler` runs instead of `functions.py`."""
    name: str = "f"
    """The function's name in the path, before it is encoded."""
    qualifier: str | None = None
    """The `Qualifier` of the query."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional headers of the request."""
    body: bytes = field(default=b"", repr=False)
    """The payload."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `LocalLambda.function`."""
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    """Options of `LocalLambda`."""
    before: tuple[tuple[str, str, bytes], ...] = ()
    """Requests to send first: method, path, body."""
    times: int = 1
    """The number of times it is sent, in one write; the last answer with the status counts."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """How the client reads an answer."""

    raises: type[InvocationError]
    """The error."""
    kind: FailureKind
    """The verdict's kind."""
    delivery: Delivery
    """Whether the function may have run."""
    is_repeated: bool
    """Whether it is retried although the call is not idempotent."""
    reason: ThrottleReason | None = None
    """The reason of the throttle."""
    scope: ThrottleScope | None = None
    """The scope of the throttle."""
    error_type: str | None = None
    """Of a function error: the type."""
    error_message: str | None = None
    """Of a function error: the text."""
    stack_trace: tuple[str, ...] = ()
    """Of a function error: the frames."""


REJECTED = Meaning(
    raises=RejectedError,
    kind=FailureKind.REJECTED,
    delivery=Delivery.REJECTED,
    is_repeated=False,
)

NOT_READY = Meaning(
    raises=NotReadyError,
    kind=FailureKind.NOT_READY,
    delivery=Delivery.REJECTED,
    is_repeated=True,
)


def throttled(reason: ThrottleReason, scope: ThrottleScope) -> Meaning:
    return Meaning(
        raises=ThrottledError,
        kind=FailureKind.THROTTLED,
        delivery=Delivery.REJECTED,
        is_repeated=True,
        reason=reason,
        scope=scope,
    )


def function_failed(
    error_type: str | None, error_message: str | None, stack_trace: tuple[str, ...] = ()
) -> Meaning:
    return Meaning(
        raises=FunctionError,
        kind=FailureKind.FUNCTION,
        delivery=Delivery.EXECUTED,
        is_repeated=False,
        error_type=error_type,
        error_message=error_message,
        stack_trace=stack_trace,
    )


@dataclass(frozen=True, kw_only=True)
class Vector:
    """One recorded answer."""

    name: str
    """What it is."""
    source: str
    """Its source: REC, recorded from AWS, with the day if known; SEEN by users; RAN in AWS's
    runtime; MODEL, the service model; INFER, inferred from others."""
    operation: str = "Invoke"
    """The operation that returned this answer. What was seen of another is a guess for Invoke."""
    status: int
    """The HTTP status."""
    headers: Mapping[str, str]
    """All headers, spelled as they are sent."""
    body: str = field(default="", repr=False)
    """The body: JSON without white space, or nothing."""
    log: str | None = field(default=None, repr=False)
    """The decoded value of `X-Amz-Log-Result`."""
    call: Call | None = None
    """How to get it; None if the endpoint never returns it."""
    means: Meaning | None = None
    """Its meaning for a client; None for a success."""
    message: str = ""
    """The text of a service's error."""

    @property
    def is_guess(self) -> bool:
        """Whether it has not been recorded from Invoke."""
        return self.operation != "Invoke" or self.source.startswith("INFER")

    @property
    def code(self) -> str | None:
        """AWS's error code."""
        return self.headers.get("x-amzn-ErrorType")
