"""Applies control requests to a running run: checks twice a second, and replies in the journal."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from asyncinvoke import MapRun
from asyncinvoke.cli.errors import one_line
from asyncinvoke.cli.map.settings import parse_tolerance
from asyncinvoke.cli.runs.wishes import Wishes, WishesError, read_wishes

INTERVAL = 0.5
"""Seconds between two checks; a check is one `stat`."""

ANSWER = "control"
"""The name of the note that holds the reply."""


class Obedience:
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
        self._obeyed = Wishes()

    async def watch(self) -> None:
        """Check for requests periodically, until cancelled."""
        while True:
            self.look()
            await anyio.sleep(INTERVAL)

    def look(self) -> None:
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
            wishes = read_wishes(self._path)
        except (WishesError, OSError) as error:
            self._say(f"{self._path}: {one_line(str(error))}; ignored")
            return
        self._obey(wishes)

    def _obey(self, wishes: Wishes) -> None:
        run, before, self._obeyed = self._run, self._obeyed, wishes
        if wishes.concurrency is not None and wishes.concurrency != before.concurrency:
            run.set_concurrency(wishes.concurrency)
            self._say(f"concurrency {wishes.concurrency:,}, as requested")
        if wishes.tolerate is not None and wishes.tolerate != before.tolerate:
            run.set_tolerance(parse_tolerance(wishes.tolerate))
            self._say(f"tolerated: {wishes.tolerate}, as requested")
        if wishes.paused and not before.paused:
            run.pause()
            self._say("paused, as requested: nothing starts until `asyncinvoke runs unpause`")
        elif before.paused and not wishes.paused:
            run.resume()
            self._say("continued, as requested")
        self._answer(wishes)
        if wishes.stop is not None and wishes.stop_session == self._session:
            self._stop(wishes.stop == "now")

    def _answer(self, wishes: Wishes) -> None:
        statistics = self._run.statistics()
        self._run.note(
            ANSWER,
            {
                "number": wishes.number,
                "session": self._session,
                "concurrency": statistics.concurrency,
                "paused": statistics.paused,
                "tolerate": wishes.tolerate,
            },
        )
