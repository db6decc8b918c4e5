"""What a recorded run reads as: frozen values that pickle and convert to JSON by `dataclasses.asdict`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncinvoke._journal.schema import COMPLETE
from asyncinvoke._journal.shards import PARTS, is_of_merge, missing_shards


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """One process's work on a run, from its start or continuation to its end."""

    number: int
    """From 1."""

    started: float
    """When it began, in seconds since the epoch."""

    ended: float | None
    """When it ended; `None` while it runs, and if its process died."""

    status: str | None
    """`complete` if every item had an outcome, `left` if it stopped early, else `None`."""

    host: str
    """The name of the host."""

    pid: int
    """The process ID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """The identity and progress of a run."""

    path: str
    """The path of the journal."""

    id: str
    """The unique ID of the run, independent of the file's location."""

    running: bool
    """Whether a process is using the journal now: it runs the last session, or is checking its
    input against the journal before starting a session."""

    holder: str | None = None
    """A description of that process, if there is one."""

    function_name: str
    """The function name as passed to the map."""

    qualifier: str | None
    """The version or alias, if one was given."""

    invocation_type: str
    """`RequestResponse`, `Event` or `DryRun`."""

    keyed: bool
    """Whether items are identified by key; otherwise by position."""

    results: bool
    """Whether the journal stores the function's responses."""

    identity: Mapping[str, object] = field(repr=False)
    """The settings, by name, that must match for the run to be continued."""

    total: int | None
    """The number of items in the input, if known."""

    succeeded: int
    """Items with a response."""

    failed: int
    """Items that failed and are known to have run or not; includes `not_run`."""

    not_run: int
    """Failed items that certainly did not run; included in `failed`."""

    may_have_run: int
    """Items that may or may not have run."""

    settled: int
    """Items that may have run and were settled by hand as having run."""

    in_flight: int
    """Items in progress if the run is running. Otherwise, items that had not sent a request when
    the process died: they certainly did not run, and will run when the run is continued."""

    attempts: int
    """Attempts made by items that have ended."""

    throttled: int
    """How many of `attempts` were throttled."""

    versions: Mapping[str, int]
    """The number of items answered by each version of the function."""

    sessions: tuple[RecordedSession, ...]
    """The sessions of the run, in order."""

    notes: Mapping[str, object] = field(repr=False)
    """Notes stored by the program that ran it, such as the end offset of its output."""

    @property
    def ended(self) -> int:
        """The number of items that have ended and run again only if redriven."""
        return self.succeeded + self.failed + self.may_have_run + self.settled

    @property
    def shards(self) -> tuple[str, ...]:
        """The shards of the input that it has, such as `3/10`; empty if it has all of the input.

        A run that was merged from shards has all of it once it has run without a shard.
        """
        shard = self.identity.get("shard")
        if shard is not None:
            return (str(shard),)
        parts = self._parts
        if parts is None:
            return ()
        shards = sorted({each for part in parts for each in _shards_of(part)})
        return tuple(shards) if missing_shards(shards) else ()

    @property
    def complete(self) -> bool:
        """Whether the whole input was read and every item has ended.

        A merged run is complete if all its parts are complete and no shard is missing. Once it has
        a session of its own, the status of that session decides.
        """
        if not self.sessions:
            return False
        parts = self._parts
        if parts is not None:
            is_complete = all(part.get("complete") is True for part in parts)
            shards = [each for part in parts for each in _shards_of(part) or (None,)]
            return is_complete and not missing_shards(shards)
        return self.sessions[-1].status == COMPLETE

    @property
    def _parts(self) -> list[Any] | None:
        """What a merge noted of its parts; `None` if it was not merged, or has run itself since."""
        parts: Any = self.notes.get(PARTS)
        if not is_of_merge(parts) or sum(part["sessions"] for part in parts) != len(self.sessions):
            return None
        return list(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCause:
    """A cause of failure, shared by all items that failed for the same reason."""

    number: int
    """Its number in this run."""

    error: str
    """The class of the error, such as `FunctionError`."""

    code: str | None
    """AWS's error code or the transport's fault, if there is one."""

    error_type: str | None
    """The error type reported by the function, if the function failed."""

    delivery: str | None
    """How far the requests got; `None` if no request was made."""

    gave_up: str | None
    """Why the items were not retried further."""

    example: str | None
    """The error message of the first such item."""

    count: int
    """The number of items that have this cause now; items with a later outcome are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTake:
    """An earlier take of an item, replaced by a later one."""

    number: int
    """From 1."""

    state: str
    """How it ended, as in `RecordedItem.state`."""

    cause: int | None
    """The number of its cause."""

    attempts: int
    """How many attempts it made."""

    session: int
    """The session that ran it."""

    started: float
    """When it began, in seconds since the epoch."""

    elapsed: float
    """How long it took, in seconds."""

    request_id: str | None
    """The AWS request ID of its last request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedItem:
    """One item of a run, without its response."""

    position: int
    """Its index in the input; in a run with keys, the number of its row, which is often the index
    at which it was first seen, but another if a process has died."""

    key: str | None
    """Its key, in a run with keys."""

    state: str
    """`succeeded`, `not_run`, `failed`, `may_have_run`, `settled`, or `in_flight`."""

    digest: str | None
    """The first 12 bytes of the payload's SHA-256, in hexadecimal; `None` if the payload could not
    be encoded."""

    cause: int | None
    """The number of its cause, if it failed."""

    session: int
    """The number of the session that ran it last."""

    started: float | None
    """When its execution began, in seconds since the epoch; `None` if not recorded."""

    elapsed: float | None
    """How long it took, in seconds."""

    request_id: str | None
    """The AWS request ID of its last request, for finding it in the function's logs."""

    attempts: int
    """The number of attempts of its last take; 0 if not recorded."""

    take: int
    """The number of its current take, from 1."""

    earlier: tuple[RecordedTake, ...] = ()
    """Its earlier takes; only set by `RecordedRun.item`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The state of a run at one point in time, taken about once a second."""

    session: int
    """The session."""

    at: float
    """When it was taken, in seconds since the epoch."""

    succeeded: int
    """Items that had succeeded in this session."""

    failed: int
    """Items that had failed in this session."""

    in_flight: int
    """Attempts in flight in the whole invoker."""

    waiting: int
    """Executions waiting for a permit."""

    limit: int
    """The concurrency limit: the most attempts that may be in flight."""

    rate: float | None
    """The rate limit in attempts per second; `None` if there was none."""

    throttles: Mapping[str, int]
    """Throttled attempts since the invoker was opened, by reason."""


def _shards_of(part: Mapping[str, object]) -> tuple[str, ...]:
    """Return the shards that a merged journal had; empty if it had the whole input."""
    shards = part.get("shards")
    if isinstance(shards, list):
        return tuple(map(str, shards))
    shard = part.get("shard")
    return () if shard is None else (str(shard),)
