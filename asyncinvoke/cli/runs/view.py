"""The text that shows a recorded run, made from what was read of it. Does no I/O."""

import time
from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from asyncinvoke import Outcome
from asyncinvoke._inputs.files import name_of
from asyncinvoke._report.standing import idempotent_of, pending_of, total_of, unrecorded_of
from asyncinvoke.cli.errors import one_line, printable
from asyncinvoke.cli.map.progress import PAUSED, counted
from asyncinvoke.cli.map.settings import COMMAND
from asyncinvoke.cli.runs.control_loop import ANSWER
from asyncinvoke.runs import RecordedCause, RecordedItem, RunSummary, Sample

SHOWN = 20
"""The maximum number of causes to show; --json has them all."""

PAUSED_UNTIL = "paused: no session starts anything until asyncinvoke runs unpause"
"""The text for a run that is paused, and not running."""

_INDENT = "  "


def summary_lines(
    summary: RunSummary,
    causes: Sequence[RecordedCause],
    *,
    sample: Sample | None,
    now: float,
    width: int,
    whole: str | None = None,
    paused: bool = False,
) -> list[str]:
    """Return the lines that `runs show` prints for a run.

    Args:
        summary: The run.
        causes: The causes of failures, most frequent first.
        sample: The statistics of the last second, if the run is running.
        now: The current time, in seconds since the epoch.
        width: The number of columns.
        whole: The run that it was merged into, if any; that one is redriven instead.
        paused: Whether the last request was to pause it; a session that begins would start nothing.
    """
    about = [_what(summary), _who(summary, now)]
    if summary.running and sample is not None:
        about.append(_pace(sample))
    if (held := held_back(summary)) is not None:
        about.append(held)
    elif paused and not summary.running and not summary.complete:
        about.append(PAUSED_UNTIL)
    lines = [_cut(line, width) for line in about]
    pending = pending_of(summary)
    rows: list[tuple[str, int | None, str]] = [
        ("succeeded" if summary.invocation_type != "Event" else "accepted", summary.succeeded, ""),
        ("failed", summary.failed, ""),
        ("may have run", summary.may_have_run, f"runs export {summary.path} - --may-have-run"),
        ("refused", unrecorded_of(summary), "their keys are missing or duplicate"),
        ("settled", summary.settled, "recorded as run by `runs settle`"),
        ("under way", summary.in_flight if summary.running else 0, ""),
        ("not started", pending, "" if summary.running else "the same command continues it"),
    ]
    shown = [(name, number, hint) for name, number, hint in rows if _is_shown(name, number)]
    digits = max(len(_number(number)) for _, number, _ in shown)
    names = max(len(name) for name, _, _ in shown)
    for name, number, hint in shown:
        said = f"{_INDENT}{name:<{names}}  {_number(number):>{digits}}"
        lines += _with_hint(said, hint if number != 0 else "", width)
        if name == "failed":
            # A running run cannot be redriven; if it has parts, the numbers change with each failure.
            hints = not summary.running
            lines += cause_lines(
                _failed(causes),
                summary.path,
                digits=names + 2 + digits,
                width=width,
                hints=hints,
                is_command=COMMAND in summary.notes,
                whole=whole,
            )
    doubtful = [cause for cause in causes if cause.delivery == "unknown"]
    if doubtful:
        lines.append("what may have run:")
        lines += cause_lines(
            doubtful, summary.path, digits=names + 2 + digits, width=width, hints=False
        )
    return lines


def _with_hint(said: str, hint: str, width: int) -> list[str]:
    """Return a line with what to do, or two if it would be too long: what people copy is never cut."""
    line = printable(f"{said}   {hint}".rstrip())
    if cell_len(line) <= width:
        return [line]
    return [_cut(said, width), printable(f"{_INDENT * 2}{hint}")]


def _cut(line: str, width: int) -> str:
    """Return a line cut to a number of columns, of which a Chinese character or an emoji takes two."""
    line = printable(line)
    return line if cell_len(line) <= width else f"{set_cell_size(line, width - 1).rstrip()}…"


def held_back(summary: RunSummary) -> str | None:
    """Return what holds a running run back, if somebody has paused it."""
    answer = summary.notes.get(ANSWER)
    is_paused = isinstance(answer, dict) and answer.get("paused") is True
    return PAUSED if summary.running and is_paused else None


def cause_lines(
    causes: Sequence[RecordedCause],
    path: str,
    *,
    digits: int,
    width: int,
    hints: bool = True,
    is_command: bool = True,
    whole: str | None = None,
) -> list[str]:
    """Return a line for each cause, with its number and how to redrive its items."""
    lines = []
    for cause in causes[:SHOWN]:
        said = f"{_INDENT}{cause.count:>{digits},}  cause {cause.number}  {_named(cause)}"
        lines.append(_cut(said, width))
    rest = sum(cause.count for cause in causes[SHOWN:])
    if rest:
        lines.append(
            f"{_INDENT}{rest:>{digits},}  of {counted(len(causes) - SHOWN, 'other cause')}"
        )
    if causes and hints:
        again = f"runs redrive {path}, or --cause {causes[0].number}, runs them again"
        if not is_command:
            again = "Journal(path, redrive=Redrive.FAILED) runs them again"
        elif whole is not None:  # its causes have other numbers
            again = f"runs redrive {whole} runs them again"
        line = printable(f"{_INDENT}{'':>{digits}}  {again}")
        lines.append(line if cell_len(line) <= width else f"{_INDENT}{line.lstrip()}")
    return lines


def item_lines(
    item: RecordedItem, outcome: Outcome | None, cause: RecordedCause | None, *, keyed: bool
) -> list[str]:
    """Return the lines that `runs show --item` and `--key` print for an item."""
    numbered, key = f"item {item.position:,}", f"key {item.key!r}"
    named = key if keyed else numbered if item.key is None else f"{numbered}, {key}"
    lines = [f"{named}: {_STATES.get(item.state, item.state)}"]
    if item.started is not None:
        lines.append(
            f"{_INDENT}take {item.take}, session {item.session}, {_moment(item.started)}, "
            f"{item.elapsed or 0.0:.3f} s, {counted(item.attempts, 'attempt')}"
        )
    if item.request_id is not None:
        lines.append(f"{_INDENT}request id {item.request_id}")
    if cause is not None:
        lines.append(f"{_INDENT}cause {cause.number}: {_named(cause)}")
    if outcome is not None and outcome.error is not None:
        lines.append(f"{_INDENT}{one_line(str(outcome.error))}")
    if item.digest is not None:
        lines.append(f"{_INDENT}SHA-256 of what was sent begins with {item.digest}")
    lines.extend(
        f"{_INDENT}before, take {take.number}: {_STATES.get(take.state, take.state)}, session "
        f"{take.session}, {_moment(take.started)}, {take.elapsed:.3f} s, "
        f"{counted(take.attempts, 'attempt')}"
        + (f", request id {take.request_id}" if take.request_id else "")
        for take in item.earlier
    )
    return list(map(printable, lines))


_STATES = {
    "succeeded": "succeeded",
    "not_run": "failed, and surely did not run",
    "failed": "ran and failed",
    "may_have_run": "may have run",
    "settled": "settled: it ran",
    "in_flight": "in flight",
}


def _is_shown(name: str, number: int | None) -> bool:
    return bool(number) or name in ("succeeded", "accepted", "failed", "not started")


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _failed(causes: Sequence[RecordedCause]) -> list[RecordedCause]:
    return [cause for cause in causes if cause.delivery != "unknown"]


def _named(cause: RecordedCause) -> str:
    what = " ".join(part for part in (cause.error, cause.error_type or cause.code) if part)
    return one_line(f"{what}: {cause.example}" if cause.example else what)


def _what(summary: RunSummary) -> str:
    function = summary.function_name
    if summary.qualifier is not None:
        function += f":{summary.qualifier}"
    command = summary.notes.get(COMMAND)
    source = command.get("source") if isinstance(command, Mapping) else None
    total = total_of(summary)
    items = "items" if total is None else counted(total, "item")
    if isinstance(source, str):
        source = name_of(source) if "://" in source else source.rpartition("/")[2]
    parts = [f"{function}, {items}" + (f" of {source}" if source else "")]
    if summary.invocation_type != "RequestResponse":
        parts.append(summary.invocation_type)
    if summary.keyed:
        parts.append("by key")
    is_idempotent = idempotent_of(summary)
    if is_idempotent is not None:
        parts.append("idempotent" if is_idempotent else "not idempotent")
    if len(summary.versions) > 1 or "$LATEST" not in summary.versions:
        versions = [f"{name} ({number:,})" for name, number in summary.versions.items()]
        parts += [f"versions {', '.join(versions)}"] if versions else []
    return ", ".join(parts)


def _who(summary: RunSummary, now: float) -> str:
    sessions = counted(len(summary.sessions), "session")
    if not summary.sessions:
        return sessions
    last = summary.sessions[-1]
    who = f"process {last.pid} on {last.host}"
    if summary.running and summary.holder not in (None, who):
        return f"{sessions}; {summary.holder} is comparing its input with that of the run"
    if summary.running:
        return f"{sessions}; running for {_lasted(now - last.started)} in {who}"
    if last.ended is None:
        return f"{sessions}; the last one was killed"
    how = "complete since" if summary.complete else "stopped before the end on"
    return f"{sessions}; {how} {_moment(last.ended)}"


def _pace(sample: Sample) -> str:
    parts = [f"{sample.in_flight:,} in flight"]
    if sample.waiting:
        parts.append(f"{sample.waiting:,} waiting for a permit")
    throttled = sum(sample.throttles.values())
    if throttled:
        reason = max(sample.throttles, key=lambda each: sample.throttles[each])
        parts.append(f"{throttled:,} throttled ({reason})")
    return ", ".join(parts)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _lasted(seconds: float) -> str:
    minutes, second = divmod(int(max(seconds, 0)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute} min" if hours else f"{minute} min {second} s"
