"""`asyncinvoke runs set`, `pause`, `unpause` and `stop`: sends control requests, and shows the replies."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import click

from asyncinvoke import JournalError, Tolerance
from asyncinvoke.cli.errors import FAILED, CommandError, one_line, printable
from asyncinvoke.cli.map.settings import COMMAND, parse_tolerance
from asyncinvoke.cli.runs.control_file import (
    ControlFileError,
    ControlRequest,
    change_request,
    control_path,
)
from asyncinvoke.cli.runs.control_loop import answered_number
from asyncinvoke.cli.runs.group import opened_run, run_argument, runs
from asyncinvoke.cli.runs.parts import controlled_journals, even_shares, is_running, running_parts
from asyncinvoke.cli.values import WholeNumber
from asyncinvoke.runs import RunSummary, open_run

PATIENCE = 10.0
"""Seconds to wait for the reply of a running run."""

LOOKS = 0.1
"""Seconds between two checks for the reply."""

COMPARES = (
    "compares its input with what is recorded, and applies the request afterwards at the latest"
)
"""The rest of the message about a run that does not reply."""


@runs.command("set", short_help="Change the concurrency or tolerance of a run.")
@run_argument
@click.option(
    "--concurrency",
    type=WholeNumber(1),
    metavar="N",
    help="Number of items in progress at once; at most 1,000 are in flight, unless the run was "
    "started with more.",
)
@click.option(
    "--tolerate",
    metavar="N|P%|none",
    help="Number or percentage of items that may fail, including those that already have.",
)
def set_(path: str, concurrency: int | None, tolerate: str | None) -> None:
    """Change the settings of RUN while it is running, or from its next session on.

    They last until they are set again, or RUN is continued with another option than before.
    """
    if concurrency is None and tolerate is None:
        raise CommandError("nothing to set: give --concurrency, --tolerate, or both")
    if tolerate is not None:
        _checked(tolerate)

    said = [] if concurrency is None else [f"concurrency {concurrency:,}"]
    said += [] if tolerate is None else [f"tolerated: {tolerate}"]
    paths = controlled_journals(path)
    if concurrency is not None and concurrency < len(paths):
        raise CommandError(
            f"--concurrency {concurrency} applies to all {len(paths)} processes together: "
            f"it must be at least {len(paths)}"
        )
    shares = [None] * len(paths) if concurrency is None else even_shares(concurrency, len(paths))
    changes = {
        each: partial(_changed, concurrency=share, tolerate=tolerate)
        for each, share in zip(paths, shares, strict=True)
    }
    _send_to_each(changes, ", ".join(said))


def _changed(
    request: ControlRequest, *, concurrency: int | None, tolerate: str | None
) -> ControlRequest:
    return replace(
        request,
        concurrency=request.concurrency if concurrency is None else concurrency,
        tolerate=request.tolerate if tolerate is None else tolerate,
    )


@runs.command(short_help="Start no more items until unpause.")
@run_argument
def pause(path: str) -> None:
    """Start no more items of RUN until `unpause`; calls in flight finish."""
    _send(path, lambda request: replace(request, paused=True), "paused")


@runs.command(short_help="Continue a run after pause.")
@run_argument
def unpause(path: str) -> None:
    """Continue RUN after `pause`."""
    _send(path, lambda request: replace(request, paused=False), "unpaused")


@runs.command(short_help="Stop a run; the same command continues it.")
@run_argument
@click.option(
    "--now", is_flag=True, help="Abandon calls in flight; they are recorded as may have run."
)
def stop(path: str, now: bool) -> None:
    """Stop a running RUN: no more items start, and calls in flight finish.

    Its process exits with status 3. The same command continues it.
    """
    how = "now" if now else "drain"
    paths = running_parts(path) or [path]
    sent = [(each, _request_stop(each, how)) for each in paths]
    if not any(request for _, request in sent):
        raise CommandError(f"{path}: it is not running")
    said = "stopping now" if now else "stopping when calls in flight have finished"
    requests = {each: request for each, request in sent if request is not None}
    _await_answers(requests, said, ended="it has ended by itself")


def _request_stop(path: str, how: str) -> ControlRequest | None:
    """Request that the running session ends; return `None` if there is none."""
    with opened_run(path) as run:
        summary = run.summary()
    _check_controlled(path, summary)
    if not summary.running:
        return None
    # A session that still compares its input has no number yet; it will get the next one.
    session = max((each.number for each in summary.sessions), default=0) + (not has_begun(summary))
    return _written(path, lambda request: replace(request, stop=how, stop_session=session))


def _checked(tolerate: str) -> Tolerance | None:
    try:
        return parse_tolerance(tolerate)
    except ValueError as error:
        raise CommandError(f"--tolerate: {error}") from None


def _send(path: str, change: Callable[[ControlRequest], ControlRequest], said: str) -> None:
    _send_to_each(dict.fromkeys(controlled_journals(path), change), said)


def _send_to_each(
    changes: Mapping[str, Callable[[ControlRequest], ControlRequest]], said: str
) -> None:
    """Send a request to the parts of a run, or to its single journal."""
    if len(changes) == 1:
        (path,) = changes
        with opened_run(path) as run:  # fails if it is not a run
            _check_controlled(path, run.summary())
    sent = {path: _written(path, change) for path, change in changes.items()}
    running = [path for path in sent if is_running(path)]
    if not running:
        click.echo(f"{said}, from its next session: it is not running")
        return
    requests = {path: sent[path] for path in running}
    _await_answers(requests, said, ended=f"{said}, from its next session: it has ended")


def _check_controlled(path: str, summary: RunSummary) -> None:
    """Refuse to control a run that no command has started: a program does not read the control file."""
    if COMMAND not in summary.notes:
        raise CommandError(
            printable(
                f"{path}: it was not started by `asyncinvoke map`: only its program can control it, "
                "with run.pause(), run.set_concurrency() or run.stop()"
            )
        )


def _written(path: str, change: Callable[[ControlRequest], ControlRequest]) -> ControlRequest:
    control = control_path(path)
    # The control file may have been removed: its numbers continue after the last that was answered.
    answered = _answered(path)

    def changed(before: ControlRequest) -> ControlRequest:
        return change(replace(before, number=max(before.number, answered) + 1))

    try:
        return change_request(control, changed)
    except ControlFileError as error:
        raise CommandError(f"{control}: {error}: remove it and try again") from None
    except OSError as error:
        named = error.filename or control  # it may be the file that becomes the control file
        raise CommandError(f"cannot write {named}: {one_line(str(error.strerror))}") from error


def _answered(path: str) -> int:
    """Return the number of the last request that the run replied to; 0 if there is none."""
    try:
        with open_run(path) as run:
            return answered_number(run.summary().notes)
    except JournalError:  # a part that has not begun
        return 0


def _await_answers(sent: Mapping[str, ControlRequest], said: str, *, ended: str) -> None:
    """Wait for the replies, and print what the runs do, or will do; `ended` if all ended first."""
    until = time.monotonic() + PATIENCE
    applied = {path: _await_answer(path, request, until) for path, request in sent.items()}
    comparing = [path for path, is_applied in applied.items() if is_applied is False]
    if comparing:
        click.echo(printable(f"{said}: {', '.join(comparing)} {COMPARES}"))
    else:
        click.echo(said if any(applied.values()) else ended)


def _await_answer(path: str, request: ControlRequest, until: float) -> bool | None:
    """Wait until the run has applied the request, or has ended, but no longer than to a time.

    Returns:
        Whether it has applied it; `None` if it has ended without a reply. A run that still compares
        its input has recorded nothing, so no reply.
    """
    with opened_run(path) as run:
        while True:
            summary = run.summary()
            # A reply to a later request, by another process, is one to this request as well.
            if answered_number(summary.notes) >= request.number:
                return True
            if not summary.running:
                return None
            if time.monotonic() >= until:
                break
            time.sleep(LOOKS)
        sample = run.latest_sample()
    if not has_begun(summary) or sample is None or sample.session != summary.sessions[-1].number:
        return False
    raise CommandError(
        f"{path}: no reply from the run within {PATIENCE:g} s; it may still apply the request, "
        "unless a program has continued it",
        status=FAILED,
    )


def has_begun(summary: RunSummary) -> bool:
    """Return whether the running process has started its session, after comparing its input."""
    last = summary.sessions[-1] if summary.sessions else None
    holder = summary.holder or ""
    return last is not None and last.ended is None and f"process {last.pid} " in f"{holder} "
