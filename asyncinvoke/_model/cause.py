"""What failures of a run have in common, with an example and how many there are."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Failures that have one cause: the same error, with the same code and type."""

    error: str
    """The name of the error's class, such as `FunctionError`."""

    code: str | None = None
    """AWS's code or the transport fault, if there is one, such as `AccessDeniedException`."""

    error_type: str | None = None
    """What the function calls its error, if it is one of a function's, such as `ValueError`."""

    count: int
    """How many failed for it."""

    example: str
    """What one of them says, on one line and not endless."""

    @property
    def what(self) -> str:
        """The error and what tells it from others of its class, such as `FunctionError ValueError`."""
        return " ".join(part for part in (self.error, self.error_type or self.code) if part)

    def __str__(self) -> str:
        return f"{self.count:,} {self.what}" + (f": {self.example}" if self.example else "")
