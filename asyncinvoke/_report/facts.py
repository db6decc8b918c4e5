"""The contents of a report as values, made from a recorded run. Draws nothing and does no I/O."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asyncinvoke._inputs.files import name_of
from asyncinvoke._journal.measuring import Measures
from asyncinvoke._journal.values import RecordedCause, RecordedSession, RunSummary, Sample
from asyncinvoke._report.figures import Bar, bars, percentiles
from asyncinvoke._report.prices import NOTE, Cost, Sampled, estimated
from asyncinvoke._report.standing import idempotent_of, pending_of, total_of, unrecorded_of
from asyncinvoke._report.timeline import Timeline, timeline_of

SHOWN = 50
"""The maximum number of causes to show."""

_DELIVERIES = {
    "not_sent": "surely did not run: it was not sent",
    "rejected": "surely did not run: it was refused",
    "unknown": "may have run",
    "executed": "ran, and said that it failed",
    None: "was not sent",
}

_GAVE_UP = {
    "not_retryable": "trying again would not have helped",
    "attempts": "not tried more often than the policy says",
    "deadline": "its time was up",
    "budget": "the retry budget was used up",
    "delivery_unknown": "not tried again, because it is not idempotent",
    "closed": "the invoker was closed",
    "stopped": "the run was stopped",
}
_TONES = {
    "running": "open",
    "broke off": "bad",
    "stopped before the end": "open",
    "complete, and some may have run": "doubt",
    "complete, with failures": "bad",
    "complete": "good",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The number of items that ended in one way."""

    name: str
    number: int
    kind: str
    """`good`, `bad`, `doubt` or `open`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseRow:
    """A cause of failure, and what redrives its items: a command, or an option of a program."""

    number: int
    count: int
    named: str
    example: str | None
    delivery: str
    gave_up: str | None
    redrive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The contents of a report."""

    path: str
    function: str
    status: str
    tone: str
    """How the status is shown: `good`, `bad`, `doubt`, or `open` if the run has not ended."""

    about: Mapping[str, str]
    """The function, the input and the options, by label."""

    counts: tuple[Count, ...]
    total: int
    """The sum of the counts."""

    total_ended: int
    """The number of items that have ended."""

    sessions: tuple[RecordedSession, ...]
    lasted: Mapping[int, float]
    causes: tuple[CauseRow, ...]
    other_causes: int
    """The number of causes that are not shown."""

    percentiles: Mapping[float, float]
    bars: tuple[Bar, ...]
    timeline: Timeline
    attempts: int
    throttled: int
    cost: Cost | None


def facts_of(
    summary: RunSummary,
    causes: Sequence[RecordedCause],
    measures: Measures,
    samples: Iterable[Sample],
    *,
    price_per_gb_s: float | None = None,
) -> Facts:
    """Return the contents of the report about a run.

    Args:
        summary: The summary of the run.
        causes: The causes of failures, most frequent first.
        measures: The latencies and throughput.
        samples: The samples of the run.
        price_per_gb_s: The price of a GB-second in US dollars; by default that of the table.
    """
    status = _status(summary)
    counts = _counts(summary)
    return Facts(
        path=summary.path,
        function=summary.function_name + (f":{summary.qualifier}" if summary.qualifier else ""),
        status=status,
        tone=_TONES[status],
        about=_about(summary),
        counts=counts,
        total=sum(count.number for count in counts),
        total_ended=summary.ended,
        sessions=summary.sessions,
        lasted=measures.lasted,
        causes=tuple(
            _cause(cause, summary.path, is_command="command" in summary.notes)
            for cause in causes[:SHOWN]
        ),
        other_causes=max(len(causes) - SHOWN, 0),
        percentiles=percentiles(measures.latencies),
        bars=tuple(bars(measures.latencies)),
        timeline=timeline_of(summary.sessions, measures, samples),
        attempts=summary.attempts,
        throttled=summary.throttled,
        cost=_cost(summary, price_per_gb_s),
    )


def _counts(summary: RunSummary) -> tuple[Count, ...]:
    """Return the counts that are not 0, and always those of successes and failures."""
    in_flight = summary.in_flight if summary.running else 0
    succeeded = Count(name=_verb(summary), number=summary.succeeded, kind="good")
    failed = Count(name="failed", number=summary.failed, kind="bad")
    others = (
        Count(name="may have run", number=summary.may_have_run, kind="doubt"),
        Count(name="settled: they ran", number=summary.settled, kind="doubt"),
        Count(name="refused: no key of their own", number=unrecorded_of(summary), kind="bad"),
        Count(name="in flight", number=in_flight, kind="open"),
        Count(name="not started", number=pending_of(summary) or 0, kind="open"),
    )
    return (succeeded, failed, *(count for count in others if count.number))


def _cost(summary: RunSummary, price_per_gb_s: float | None) -> Cost | None:
    """Return the estimated cost; `None` if no billed durations were sampled."""
    sampled = Sampled.from_note(summary.notes.get(NOTE))
    if sampled is None:
        return None
    ran = summary.succeeded + summary.failed - summary.not_run + summary.settled
    return estimated(sampled, max(ran, sampled.count), price_per_gb_s=price_per_gb_s)


def _verb(summary: RunSummary) -> str:
    return {"Event": "accepted", "DryRun": "valid"}.get(summary.invocation_type, "succeeded")


def _status(summary: RunSummary) -> str:
    if summary.running:
        return "running"
    if not summary.sessions or summary.sessions[-1].ended is None:
        return "broke off"
    if not summary.complete:
        return "stopped before the end"
    if summary.may_have_run:
        return "complete, and some may have run"
    has_failed = summary.failed or unrecorded_of(summary)
    return "complete, with failures" if has_failed else "complete"


def _about(summary: RunSummary) -> dict[str, str]:
    command = summary.notes.get("command")
    command = command if isinstance(command, Mapping) else {}
    total = total_of(summary)
    about = {"Input": name_of(str(command["source"]))} if command.get("source") else {}
    if total is not None:
        about["Items"] = f"{total:,}"
    about["Known by"] = "their keys" if summary.keyed else "their positions"
    if command.get("key"):
        about["Known by"] = f"their keys, at {command['key']}"
    if summary.invocation_type != "RequestResponse":
        about["Invocation type"] = summary.invocation_type
    is_idempotent = idempotent_of(summary)
    if is_idempotent is not None:
        about["Idempotent"] = "yes" if is_idempotent else "no"
    if summary.versions:
        about["Versions"] = ", ".join(
            f"{name} ({count:,})" for name, count in summary.versions.items()
        )
    return about


def _cause(cause: RecordedCause, path: str, *, is_command: bool) -> CauseRow:
    doubtful = cause.delivery == "unknown"
    if is_command:
        redrive = f"asyncinvoke runs redrive {shlex.quote(path)} --cause {cause.number}"
        redrive += " --may-have-run" if doubtful else ""
    else:  # the command refuses the run of a program
        kind = "MAY_HAVE_RUN" if doubtful else "FAILED"
        redrive = f"Journal({path!r}, redrive=Redrive.{kind})"
    detail = cause.error_type or cause.code
    return CauseRow(
        number=cause.number,
        count=cause.count,
        named=cause.error + (f" {detail}" if detail else ""),
        example=cause.example,
        delivery=_DELIVERIES.get(cause.delivery, str(cause.delivery)),
        gave_up=None if cause.gave_up is None else _GAVE_UP.get(cause.gave_up, cause.gave_up),
        redrive=redrive,
    )
