"""`Request`, one item of a map with its own options; invocation types and log types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    import typing_extensions

    Payload_co = typing_extensions.TypeVar("Payload_co", default=object, covariant=True)
else:
    Payload_co = TypeVar("Payload_co", covariant=True)


class InvocationType(StrEnum):
    """How Lambda runs the function; the value of `X-Amz-Invocation-Type`."""

    REQUEST_RESPONSE = "RequestResponse"
    """Run the function and return its result (200)."""

    EVENT = "Event"
    """Queue the event (202); Lambda runs the function later, and retries it if it fails."""

    DRY_RUN = "DryRun"
    """Only validate the arguments and the caller's permissions (204)."""


class LogType(StrEnum):
    """Whether the response includes the log tail; the value of `X-Amz-Log-Type`."""

    NONE = "None"
    """No log."""

    TAIL = "Tail"
    """The last 4,096 bytes of the log; RequestResponse only."""


InvocationTypeName: TypeAlias = InvocationType | Literal["RequestResponse", "Event", "DryRun"]
"""An invocation type, or its name."""

LogTypeName: TypeAlias = LogType | Literal["None", "Tail"]
"""A log type, or its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Generic[Payload_co]):
    """One item of a `map` with its own options; `None` means the map's option."""

    payload: Payload_co | None = field(default=None, repr=False, kw_only=False)
    """`None`, bytes, or any value that the codec accepts."""

    key: str | None = None
    """The key of the item in its outcome; by default the result of the map's `key`."""

    function_name: str | None = None
    """A function to use instead of the map's, in any form that `invoke` accepts. If it denotes the
    map's function, the map's qualifier applies unless one is given."""

    qualifier: str | None = None
    """A version, an alias or `$LATEST`."""

    invocation_type: InvocationTypeName | None = None
    """`RequestResponse`, `Event` or `DryRun`."""

    log_type: LogTypeName | None = None
    """`None` or `Tail`."""

    client_context: Mapping[str, object] | None = field(default=None, repr=False)
    """The value of `context.client_context` in the function; at most 3,583 bytes when encoded."""

    tenant_id: str | None = None
    """The tenant, for a function with tenant isolation."""

    durable_execution_name: str | None = None
    """The name of a durable execution, which makes retries safe."""

    timeout: float | None = None
    """The total timeout for this item, in seconds."""

    idempotent: bool | None = None
    """Whether running the function twice is harmless."""

    @property
    def has_options(self) -> bool:
        """Whether it overrides any option of the map."""
        return any(getattr(self, name) is not None for name in OPTIONS_OF_AN_ITEM)


OPTIONS_OF_AN_ITEM = tuple(
    name for name in Request.__dataclass_fields__ if name not in ("payload", "key")
)
"""The options of a map that one of its items may override."""
