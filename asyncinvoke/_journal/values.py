"""What a recorded run reads as: frozen values that pickle and convert to JSON by `dataclasses.asdict`."""

from collections.abc import Mapping
from dataclasses import dataclass

from asyncinvoke._journal.batch import COMPLETE
from asyncinvoke._journal.merged import PARTS, missing_shards


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
    """`complete` if every item had its outcome, `left` if it was stopped before, `None` as above."""

    host: str
    """The machine."""

    pid: int
    """The process."""

    argv: tuple[str, ...]
    """The program and its arguments, empty where that is not known."""

    options: Mapping[str, object]
    """The options that may change from one session to the next, as this one had them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run is, and how far it is."""

    path: str
    """The file."""

    id: str
    """Names the run, wherever its file lies."""

    running: bool
    """Whether a process is at work on it now: that of the last session, or one that compares its
    input with what is recorded before it begins one."""

    holder: str | None = None
    """Which process that is, in words, if one is."""

    function_name: str
    """The function, as the map was given it."""

    qualifier: str | None
    """The version or alias, if one was given."""

    invocation_type: str
    """`RequestResponse`, `Event` or `DryRun`."""

    keyed: bool
    """Whether its items are known by keys, or by their positions."""

    results: bool
    """Whether it keeps what the function returns."""

    identity: Mapping[str, object]
    """All that must be the same for the run to be continued, by name."""

    total: int | None
    """How many items the input has, where that is known."""

    succeeded: int
    """Items with a response."""

    failed: int
    """Items that failed, and of which it is known whether they ran: `not_run` and those that ran."""

    not_run: int
    """Those of `failed` that surely did not run."""

    may_have_run: int
    """Items of which nobody knows whether they ran."""

    settled: int
    """Items of which a person has said that they ran."""

    in_flight: int
    """Items under way, if the run is running; else those that its death left without a request:
    they surely did not run, and run when it is continued."""

    attempts: int
    """Attempts of the items that have ended."""

    throttled: int
    """Those of them that were throttled."""

    versions: Mapping[str, int]
    """How many items each version of the function has answered."""

    sessions: tuple[RecordedSession, ...]
    """The processes that worked on it, in order."""

    notes: Mapping[str, object]
    """Notes of the program that ran it, such as where its output ends."""

    @property
    def ended(self) -> int:
        """Items that are not run again unless they are redriven."""
        return self.succeeded + self.failed + self.may_have_run + self.settled

    @property
    def complete(self) -> bool:
        """Whether the whole input was read, and nothing of it was left open.

        A merged run is complete once each of its parts is and no shard is missing, until a session
        of its own says more.
        """
        if not self.sessions:
            return False
        parts = self.notes.get(PARTS)
        if isinstance(parts, list) and _sessions_of(parts) == len(self.sessions):
            is_complete = all(part.get("complete") is True for part in parts)
            return is_complete and not missing_shards(part.get("shard") for part in parts)
        return self.sessions[-1].status == COMPLETE


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCause:
    """Why items failed: all that failed for one reason."""

    number: int
    """Its number in this run."""

    error: str
    """The class of the error, such as `FunctionError`."""

    code: str | None
    """AWS's error code or the transport's fault, if there is one."""

    error_type: str | None
    """What the function calls its error, if the function failed."""

    delivery: str | None
    """How far the requests got; `None` where none was made."""

    gave_up: str | None
    """Why they were not tried again."""

    example: str | None
    """What the first of them said."""

    count: int
    """How many items it holds now; those that ended otherwise in a later take are not among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTake:
    """One take of an item that a later one has replaced."""

    number: int
    """From 1."""

    state: str
    """How it ended: `not_run`, `may_have_run` or `failed`."""

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
    """AWS's id of its last request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedItem:
    """One item of a run, without its response."""

    position: int
    """Its index in the input; in a run with keys, where it was when it was first seen."""

    key: str | None
    """Its key, in a run with keys."""

    state: str
    """`succeeded`, `not_run`, `failed`, `may_have_run`, `settled`, or `in_flight`."""

    digest: str | None
    """The first 12 bytes of the SHA-256 of what was sent, in hexadecimal; `None` where it could
    not be."""

    cause: int | None
    """The number of its cause, if it failed."""

    session: int
    """The session that ran it last."""

    started: float | None
    """When its execution began, in seconds since the epoch; `None` if that was not recorded."""

    elapsed: float | None
    """How long it took, in seconds."""

    request_id: str | None
    """AWS's id of its last request: what to look for in the logs."""

    attempts: int
    """How many attempts its last take made; 0 where that was not recorded."""

    take: int
    """How often it was run."""

    earlier: tuple[RecordedTake, ...] = ()
    """The takes before; only where one item was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A second of a run."""

    session: int
    """The session."""

    at: float
    """When, in seconds since the epoch."""

    succeeded: int
    """Items that had succeeded, in this session."""

    failed: int
    """Items that had failed, in this session."""

    in_flight: int
    """Attempts on the wire, of the whole invoker."""

    waiting: int
    """Executions that waited for a permit."""

    limit: int
    """How many attempts might be in flight."""

    rate: float | None
    """How many attempts might start each second, if that was limited."""

    throttles: Mapping[str, int]
    """Attempts that were throttled since the invoker was opened, by reason."""


def _sessions_of(parts: list[object]) -> int | None:
    """Return how many sessions the parts of a merged run have; `None` if somebody else noted them."""
    counts = [part.get("sessions") if isinstance(part, dict) else None for part in parts]
    known = [count for count in counts if isinstance(count, int)]
    return sum(known) if len(known) == len(parts) else None
