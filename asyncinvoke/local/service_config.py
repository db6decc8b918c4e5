"""The settings of the endpoint that do not change while it is running, validated."""

import inspect
import logging
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from asyncinvoke.local.edge.observing import Listener
from asyncinvoke.local.events.queue import ProgressListener
from asyncinvoke.local.execution.logs import LogListener
from asyncinvoke.local.numbers import flag, number, shown, whole_number
from asyncinvoke.local.protocol.names import REGION

_TWELVE_DIGITS = re.compile("[0-9]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """The settings of a service, which do not change while it is running.

    Raises:
        ValueError: A value is out of range.
    """

    region_name: str
    """The region to report."""
    account_id: str
    """The account id to report, twelve digits."""
    settling_time: float
    """Seconds for which a function created through the API is Pending, and an update InProgress."""
    event_time_scale: float
    """Real seconds per second of the Event queue."""
    idle_timeout: float | None
    """Seconds after which an idle worker process is ended; None for no limit."""
    reload: bool
    """Whether changes to code start new worker processes."""
    keep_requests: int
    """The number of latest Invoke requests to keep."""
    on_invocation: Listener | None
    """Called with each answered invocation."""
    sandbox: bool
    """Whether each worker process has its own `/tmp` and read-only code."""
    freeze: bool
    """Whether worker processes are suspended between invocations."""
    on_log: LogListener | None
    """Called with each log line of worker processes."""
    on_event: ProgressListener | None
    """Called with the progress of each Event."""
    s3: str | Path | None
    """The source of packages in S3; None for none."""
    allow_unsigned: bool
    """Whether to accept unsigned requests."""
    allowed_hosts: frozenset[str]
    """Host names to accept besides those of this machine."""

    def __post_init__(self) -> None:
        """Check every value."""
        if not (isinstance(self.account_id, str) and _TWELVE_DIGITS.fullmatch(self.account_id)):
            raise ValueError(f"account_id={shown(self.account_id)} must be twelve digits")
        if not (isinstance(self.region_name, str) and REGION.fullmatch(self.region_name)):
            raise ValueError(f"region_name={shown(self.region_name)} must be one such as us-east-1")
        for name in ("reload", "sandbox", "freeze", "allow_unsigned"):
            flag(name, getattr(self, name))
        scale, rule = self.event_time_scale, "above 0 and at most 1"
        number("event_time_scale", scale, lambda value: 0 < value <= 1, rule)
        if self.idle_timeout is not None:
            rule = "above 0 seconds, or None"
            number("idle_timeout", self.idle_timeout, lambda seconds: seconds > 0, rule)
        settling_time, rule = self.settling_time, "0 seconds or more"
        number("settling_time", settling_time, lambda seconds: seconds >= 0, rule)
        whole_number("keep_requests", self.keep_requests)


_logger = logging.getLogger(__name__)
_Value = TypeVar("_Value")


def guarded(
    name: str, listener: Callable[[_Value], None] | None
) -> Callable[[_Value], None] | None:
    """Return a listener whose exceptions are logged, by type and place, and not raised.

    Args:
        name: The name of the option, for the log.
        listener: The listener; None if there is none.

    Raises:
        ValueError: It is not a sync callable.
    """
    if listener is None:
        return None
    if not callable(listener) or inspect.iscoroutinefunction(listener):
        raise ValueError(f"{name}={listener!r} must be a callable that is not async")

    def call(value: _Value) -> None:
        try:
            listener(value)
        except Exception as error:  # noqa: BLE001  # it must not end the endpoint
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{last.filename}:{last.lineno}"
            _logger.warning("%s failed: %s at %s", name, type(error).__name__, where)

    return call
