"""What stays the same for every payload of an invocation: where it goes and how it is treated."""

from dataclasses import dataclass

from asyncinvoke.model.codec import Decode
from asyncinvoke.model.envelope import Envelope
from asyncinvoke.policy.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An envelope and the caller's wishes for its execution."""

    envelope: Envelope
    """The function and AWS's options."""

    policy: RetryPolicy
    """What is repeated, and how."""

    decode: Decode
    """The codec of the response."""

    timeout: float | None = None
    """Total time for an execution, in seconds; `None` for no end."""

    idempotent: bool = False
    """Whether the caller says that running it twice does no harm."""

    raise_on_function_error: bool = True
    """Whether a function that failed is an error, or a response."""

    @property
    def repeatable(self) -> bool:
        """Whether an attempt that may have run may be repeated."""
        return self.idempotent or self.envelope.repeatable
