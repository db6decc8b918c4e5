"""`Request`, one item of a map with its own options; invocation types and log types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias


class InvocationType(StrEnum):
    """How Lambda runs the function, as `X-Amz-Invocation-Type` spells it."""

    REQUEST_RESPONSE = "RequestResponse"
    """Run it now and answer with its result (200)."""

    EVENT = "Event"
    """Put it in the queue (202); Lambda runs it later, and again if it fails."""

    DRY_RUN = "DryRun"
    """Only check the arguments and the caller's permission (204)."""


class LogType(StrEnum):
    """Whether the answer carries the end of the log, as `X-Amz-Log-Type` spells it."""

    NONE = "None"
    """No log."""

    TAIL = "Tail"
    """The last 4,096 bytes of the log; RequestResponse only."""


InvocationTypeName: TypeAlias = InvocationType | Literal["RequestResponse", "Event", "DryRun"]
"""An invocation type, or its name as AWS spells it."""

LogTypeName: TypeAlias = LogType | Literal["None", "Tail"]
"""A log type, or its name as AWS spells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One item of a `map` with options of its own; what is `None` is as the map says."""

    payload: object = field(default=None, repr=False)
    """`None`, bytes, or anything that the codec takes."""

    key: str | None = None
    """Names the item in its outcome; by default what the map's `key` gives."""

    function_name: str | None = None
    """Another function than the map's, in any form that `invoke` takes. The map's own, in whatever
    spelling, keeps the map's qualifier unless it is given one."""

    qualifier: str | None = None
    """A version, an alias or `$LATEST`."""

    invocation_type: InvocationTypeName | None = None
    """`RequestResponse`, `Event` or `DryRun`."""

    log_type: LogTypeName | None = None
    """`None` or `Tail`."""

    client_context: Mapping[str, object] | None = field(default=None, repr=False)
    """Passed to the function as `context.client_context`; at most 3,583 bytes once encoded."""

    tenant_id: str | None = None
    """The tenant, for a function with tenant isolation."""

    durable_execution_name: str | None = None
    """Names a durable execution, which makes repeating it safe."""

    timeout: float | None = None
    """Total time for this item, in seconds."""

    idempotent: bool | None = None
    """Whether running it twice does no harm."""

    @property
    def has_options(self) -> bool:
        """Whether it has any options of its own, so that it is sent in another way than others."""
        return any(getattr(self, name) is not None for name in _OPTIONS)


_OPTIONS = tuple(name for name in Request.__dataclass_fields__ if name not in ("payload", "key"))
