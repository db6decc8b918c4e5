"""What all worker processes of one endpoint have around them."""

from dataclasses import dataclass

from asyncinvoke.local.execution.guardian import Guardian
from asyncinvoke.local.execution.logs import LogListener


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all worker processes of one endpoint have around them."""

    guardian: Guardian
    """Knows of them, should the endpoint be killed."""
    endpoint_url: str
    """Where they find this endpoint."""
    on_log: LogListener | None = None
    """Called with each line of their logs."""
    sandbox: bool = False
    """Whether each has a `/tmp` of its own and code that it cannot write to."""
    freeze: bool = False
    """Whether nothing of them runs between two invocations."""
