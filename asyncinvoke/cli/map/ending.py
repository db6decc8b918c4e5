"""How a recorded run ends: its exit status and its closing message, from the journal."""

from asyncinvoke._report.standing import pending_of, unrecorded_of
from asyncinvoke.cli.errors import FAILED, IN_DOUBT, STOPPED
from asyncinvoke.cli.map.progress import counted
from asyncinvoke.runs import RunSummary


def exit_status(summary: RunSummary, *, failed: int = 0, is_stopped: bool) -> int:
    """Return the exit status of a session that ended without a signal or an error.

    It covers all sessions: 0 means that every item of the run has succeeded.

    Args:
        summary: The summary of the run after the session.
        failed: The number of failed outcomes of this session. Those of items whose key is missing
            or a duplicate are not in the journal.
        is_stopped: Whether it was stopped on request before its end.
    """
    if is_stopped:
        return STOPPED
    if summary.may_have_run:
        return IN_DOUBT
    return FAILED if summary.failed or failed else 0


def as_json(summary: RunSummary) -> dict[str, object]:
    """Return the totals for the last line of `--progress json`."""
    return {
        "path": summary.path,
        "succeeded": summary.succeeded,
        "failed": summary.failed,
        "may_have_run": summary.may_have_run,
        "settled": summary.settled,
        "not_started": pending_of(summary),
        "sessions": len(summary.sessions),
    }


def closing_lines(summary: RunSummary, *, verb: str) -> list[str]:
    """Return the lines about the whole run, which follow those about the session.

    Args:
        summary: The summary of the run after the session.
        verb: The word for items that did not fail.
    """
    parts = [f"{summary.succeeded:,} {verb}", f"{summary.failed:,} failed"]
    if summary.may_have_run:
        parts.append(f"{summary.may_have_run:,} may have run")
    if summary.settled:
        parts.append(f"{summary.settled:,} settled")
    pending = pending_of(summary)
    if not summary.complete and pending is not None:
        parts.append(f"{pending:,} not started")
    sessions = counted(len(summary.sessions), "session")
    path = summary.path
    said = [f"{path}: {', '.join(parts)}, in {sessions} (asyncinvoke runs show {path})"]
    if not summary.complete:
        said.append("unfinished: the same command continues it")
    if summary.failed:
        said.append(f"to run failed items again: asyncinvoke runs redrive {summary.path}")
    if summary.may_have_run:
        said.append(
            f"check before you redrive: asyncinvoke runs export {summary.path} - --may-have-run"
        )
    return said


def incomplete_lines(summary: RunSummary, output: str) -> list[str]:
    """Return a line if an output that was written from the journal is incomplete."""
    number = unrecorded_of(summary)
    if not number:
        return []
    what = "1 outcome that is" if number == 1 else f"{number:,} outcomes that are"
    return [f"{output}: lacks {what} not in the journal: their keys are missing or duplicate"]
