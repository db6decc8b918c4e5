"""The endpoint's settings that do not change while it runs, validated."""

from dataclasses import dataclass
from pathlib import Path

from asyncinvoke.local.edge.observing import Listener
from asyncinvoke.local.events.queue import ProgressListener
from asyncinvoke.local.execution.logs import LogListener
from asyncinvoke.local.numbers import whole_number
from asyncinvoke.local.protocol.names import REGION


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """What stays the same while the service runs.

    Raises:
        ValueError: A value is out of range.
    """

    region_name: str
    """The region it says it is in."""
    account_id: str
    """The account it says it is."""
    settling_time: float
    """Seconds for which a function that was created or updated by a request is not ready."""
    event_time_scale: float
    """What one second of the Event queue takes here, in seconds."""
    idle_timeout: float | None
    """Seconds after which an idle worker process is ended; None for never."""
    reload: bool
    """Whether a change of a handler's file makes new worker processes."""
    keep_requests: int
    """How many of the latest Invoke requests are kept."""
    on_invocation: Listener | None
    """Who is told about each answer."""
    sandbox: bool
    """Whether worker processes have a `/tmp` of their own and code that they cannot write to."""
    freeze: bool
    """Whether worker processes are stopped between invocations."""
    on_log: LogListener | None
    """Who is told each line of the logs of worker processes."""
    on_event: ProgressListener | None
    """Who is told what becomes of Events."""
    s3: str | Path | None
    """Where packages in S3 are found; None for nowhere."""
    allow_unsigned: bool
    """Whether requests are answered that nobody signed."""
    allowed_hosts: frozenset[str]
    """Names that a request may be for, beside those of this machine."""

    def __post_init__(self) -> None:
        """Check every value."""
        account_id = self.account_id
        if not (len(account_id) == 12 and account_id.isascii() and account_id.isdigit()):
            raise ValueError(f"account_id={account_id!r} must be twelve digits")
        if REGION.fullmatch(self.region_name) is None:
            raise ValueError(f"region_name={self.region_name!r} must be one such as us-east-1")
        scale = self.event_time_scale
        if not 0 < scale <= 1:
            raise ValueError(f"event_time_scale={scale!r} must be above 0 and at most 1")
        if self.idle_timeout is not None and not self.idle_timeout > 0:
            raise ValueError(f"idle_timeout={self.idle_timeout!r} must be above 0 seconds, or None")
        if not self.settling_time >= 0:
            raise ValueError(f"settling_time={self.settling_time!r} must be 0 seconds or more")
        whole_number("keep_requests", self.keep_requests)
