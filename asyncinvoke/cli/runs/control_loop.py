"""Applies control requests to a running run: checks twice a second, and replies in the journal."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio

from asyncinvoke import MapRun
from asyncinvoke.cli.errors import one_line
from asyncinvoke.cli.map.settings import parse_tolerance
from asyncinvoke.cli.runs.control_file import ControlFileError, ControlRequest, read_request

INTERVAL = 0.5
"""Seconds between two checks; a check is one `stat`."""

ANSWER = "control"
"""The name of the note that holds the reply."""


def answered_number(notes: Mapping[str, object]) -> int:
    """Return the number of the last request that a run replied to, from its notes; 0 if none."""
    answer = notes.get(ANSWER)
    number = answer.get("number") if isinstance(answer, dict) else None
    return number if isinstance(number, int) else 0


class ControlLoop:
    """Applies control requests to one session of a run.

    Args:
        path: The control file.
        run: The session's map.
        session: Its number.
        stop: Stops the session: immediately if called with `True`, else after draining.
        say: Prints a message.
    """

    def __init__(
        self,
        path: Path,
        run: MapRun[Any],
        *,
        session: int,
        stop: Callable[[bool], None],
        say: Callable[[str], None],
    ) -> None:
        self._path = path
        self._run = run
        self._session = session
        self._stop = stop
        self._say = say
        self._seen: tuple[int, int, int] | None = None
        self._applied = ControlRequest()

    async def watch(self) -> None:
        """Check for requests periodically, until cancelled."""
        while True:
            self.check()
            await anyio.sleep(INTERVAL)

    def check(self) -> None:
        """Check for a new request once, and apply it."""
        try:
            status = os.stat(self._path)
        except OSError:
            return  # no request, or it was removed: what was applied stays in effect
        seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            request = read_request(self._path)
        except (ControlFileError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            self._say(f"{self._path}: {one_line(str(why))}; ignored")
            return
        self._apply(request)

    def _apply(self, request: ControlRequest) -> None:
        run, before, self._applied = self._run, self._applied, request
        if request.concurrency is not None and request.concurrency != before.concurrency:
            run.set_concurrency(request.concurrency)
            self._say(f"concurrency {request.concurrency:,}, as requested")
        if request.tolerate is not None and request.tolerate != before.tolerate:
            run.set_tolerance(parse_tolerance(request.tolerate))
            self._say(f"tolerated: {request.tolerate}, as requested")
        if request.paused and not before.paused:
            run.pause()
            self._say("paused, as requested: nothing starts until `asyncinvoke runs unpause`")
        elif before.paused and not request.paused:
            run.resume()
            self._say("continued, as requested")
        self._answer(request)
        if request.stop is not None and request.stop_session == self._session:
            self._stop(request.stop == "now")

    def _answer(self, request: ControlRequest) -> None:
        statistics = self._run.statistics()
        self._run.note(
            ANSWER,
            {
                "number": request.number,
                "session": self._session,
                "concurrency": statistics.concurrency,
                "paused": statistics.paused,
                "tolerate": request.tolerate,
            },
        )
