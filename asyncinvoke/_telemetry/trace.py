"""The trace header of a call, as a context variable whose values are validated when set."""

import os
import re
from contextvars import ContextVar, Token
from urllib.parse import quote

from asyncinvoke.errors import InvalidRequestError

LONGEST = 1024
"""The maximum length of a value, in characters; X-Ray's own have about 100."""

TRACE: ContextVar[str | None] = ContextVar("asyncinvoke.trace_header", default=None)
"""The variable that transports read, once per attempt."""

IN_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME"
"""The environment variable that is set inside a Lambda function."""

_VISIBLE = re.compile(r"[!-~]+")
_OF_A_SPAN = ("root", "parent", "sampled")


class TraceHeader:
    """A context variable: each attempt sends its value as the header `X-Amzn-Trace-Id`.

    `get`, `set` and `reset` work like those of `contextvars.ContextVar`, and tasks inherit the
    value in the same way. AWS uses the header as the trace of the function's invocation, which
    X-Ray, ADOT and Powertools read from `_X_AMZN_TRACE_ID`. A value looks like
    `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`. The signature does
    not cover the header. If no value is set, a call made inside a Lambda function propagates the
    trace of that function, as the SDK does.
    """

    __slots__ = ()

    def get(self) -> str | None:
        """Return the value in this context; `None` if it is not set."""
        return TRACE.get()

    def set(self, value: str | None) -> Token[str | None]:
        """Set the value in this context.

        Args:
            value: The header value, 1 to 1,024 visible ASCII characters; `None` to send none.

        Returns:
            A token for `reset`.

        Raises:
            InvalidRequestError: The value is not a valid header.
        """
        if value is not None:
            if not isinstance(value, str):
                raise InvalidRequestError(
                    f"trace_header must be a string or None, not {type(value).__name__}"
                )
            if len(value) > LONGEST or not _VISIBLE.fullmatch(value):
                raise InvalidRequestError(
                    f"trace_header of {len(value)} characters must be 1 to {LONGEST} visible "
                    "ASCII characters"
                )
        return TRACE.set(value)

    def reset(self, token: Token[str | None]) -> None:
        """Restore the value from before a `set`.

        Raises:
            ValueError: The token belongs to another variable or context.
        """
        TRACE.reset(token)

    def __repr__(self) -> str:
        return "<TraceHeader: a context variable>"


trace_header: TraceHeader = TraceHeader()
"""The only instance."""


def of_this_run() -> str:
    """Return the trace header of the invocation that this process serves, as botocore sends it."""
    return quote(os.environ.get("_X_AMZN_TRACE_ID", ""), safe="-=;:+&[]{}\"',")


def with_other_fields(header: str, before: str | None) -> str:
    """Return a span's header with the fields of another one that do not name a span.

    One of them, `Lineage`, counts the functions that invoked each other: without it, AWS does not
    stop a loop of them.
    """
    for field in (before or "").split(";"):
        name, equals, _ = field.partition("=")
        is_kept = name and equals and name.lower() not in _OF_A_SPAN
        if is_kept and len(header) + 1 + len(field) <= LONGEST:
            header += f";{field}"
    return header
