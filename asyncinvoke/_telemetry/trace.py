"""The trace header of a call, as a context variable whose values are validated when set."""

import re
from contextvars import ContextVar, Token

from asyncinvoke.errors import InvalidRequestError

LONGEST = 1024
"""Longest value, in characters; X-Ray's own have about 100."""

TRACE: ContextVar[str | None] = ContextVar("asyncinvoke.trace_header", default=None)
"""What transports read, once for each attempt."""

_VISIBLE = re.compile(r"[!-~]+")


class TraceHeader:
    """A context variable: each attempt sends its value as the header `X-Amzn-Trace-Id`.

    `get`, `set` and `reset` are those of `contextvars.ContextVar`, and it is inherited by tasks in
    the same way. AWS reads the header: it becomes the trace of the function's run, which X-Ray, ADOT
    and Powertools find as `_X_AMZN_TRACE_ID`. A value looks like
    `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`. The signature does
    not cover it. Without a value, a call made inside of a Lambda function passes on the trace of
    that function's run, as the SDK does.
    """

    __slots__ = ()

    def get(self) -> str | None:
        """Return the value in this context; `None` if there is none."""
        return TRACE.get()

    def set(self, value: str | None) -> Token[str | None]:
        """Set the value in this context.

        Args:
            value: What to send; 1 to 1,024 visible ASCII characters. `None` for nothing.

        Returns:
            What `reset` takes.

        Raises:
            InvalidRequestError: It could not be sent as it is.
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
        """Give it back the value that it had before a `set`.

        Raises:
            ValueError: The token is another variable's, or another context's.
        """
        TRACE.reset(token)

    def __repr__(self) -> str:
        return "<TraceHeader: a context variable>"


trace_header: TraceHeader = TraceHeader()
"""The one that there is."""
