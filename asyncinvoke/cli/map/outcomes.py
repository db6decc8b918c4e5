"""Outcomes as lines of JSON: the order in which they are written, and reading them back."""

import base64
import contextlib
import json
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO

from asyncinvoke import FunctionError, InvocationError, Outcome
from asyncinvoke._inputs import json_text
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.map.summary import OutcomeCounts
from asyncinvoke.cli.streams import Output


class OutcomeWriter:
    """Writes each outcome as soon as it is its turn.

    Args:
        output: The output.
        tally: Counts the outcomes.
        due: The positions of the items in the order in which their outcomes are written; the reader
            of the input adds to it. `None` to write them as they arrive.
    """

    def __init__(
        self, output: Output, tally: OutcomeCounts, *, due: deque[int] | None = None
    ) -> None:
        self._output = output
        self._tally = tally
        self._due = due
        self._early: dict[int, bytes] = {}

    @property
    def not_written(self) -> int:
        """Outcomes that were accepted, but not written."""
        return self._tally.done - self._output.lines

    async def add(self, outcome: Outcome, line: int | None = None) -> int:
        """Accept an outcome, and the line of its item; return how many could be written now."""
        self._tally.add(outcome, line)
        due = self._due
        if due is None:
            await self._output.write(as_line(outcome, line))
            return 1
        self._early[outcome.index] = as_line(outcome, line)
        turn: list[bytes] = []
        while due and due[0] in self._early:
            turn.append(self._early.pop(due.popleft()))
        await self._output.write(b"".join(turn))
        return len(turn)

    async def finish(self) -> None:
        """Write the rest, including outcomes that waited for items of an interrupted run."""
        rest = [self._early.pop(index) for index in sorted(self._early)]
        await self._output.write(b"".join(rest))


BEGINNING = b'{"index":'
"""What each line of an outcome begins with."""


def as_line(outcome: Outcome, line: int | None = None) -> bytes:
    """Return an outcome as a line of JSON, including the newline.

    Args:
        outcome: The outcome.
        line: The line of the input on which its item begins; `None` for an input without lines.
    """
    error, response = outcome.error, outcome.response
    fields: dict[str, object] = {"index": outcome.index, "ok": outcome.ok}
    if line is not None:
        fields["line"] = line
    if outcome.key is not None:
        fields["key"] = outcome.key
    if error is not None:
        fields |= {"error": type(error).__name__, "code": None, "message": str(error)}
        if isinstance(error, InvocationError):
            fields |= {
                "code": error.code,
                "status_code": error.status_code,
                "delivery": error.delivery,
                "gave_up": error.gave_up,
                "request_id": error.request_id,
            }
        if isinstance(error, FunctionError):
            fields |= {"error_type": error.error_type}
            response = error.response
    elif response is not None:
        fields |= {"status_code": response.status_code, "request_id": response.request_id}
    attempts = outcome.attempts[-1].number if outcome.attempts else 0
    fields |= {"attempts": attempts, "began": _utc(outcome.started)}
    fields["elapsed"] = round(outcome.elapsed, 6)
    if outcome.attempts:
        fields["took"] = round(outcome.attempts[-1].elapsed, 6)
    if outcome.take != 1:
        fields["take"] = outcome.take
    if response is None:
        return json.dumps(fields).encode() + b"\n"
    return _with_payload(fields, response.payload)


def _utc(seconds: float) -> str:
    """Return a time in the format of the journal's view: ISO 8601, with milliseconds."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03}Z"


def _with_payload(fields: dict[str, object], payload: bytes) -> bytes:
    """Add the payload unparsed, so that no number loses a digit."""
    try:
        json_text.check_json(payload or b"null")
    except json_text.NotJsonError:
        fields["payload_base64"] = base64.b64encode(payload).decode()
        return json.dumps(fields).encode() + b"\n"
    # In valid JSON, line ends occur only between tokens, where a space means the same.
    on_one_line = (payload or b"null").replace(b"\n", b" ").replace(b"\r", b" ")
    return json.dumps(fields).encode()[:-1] + b', "payload": ' + on_one_line + b"}\n"


def outcomes_in(path: str, end: int, having: bytes = b"") -> Iterator[dict[str, Any]]:
    """Yield the outcomes in a file, the last one first; nothing if it cannot be read.

    Args:
        path: The file.
        end: How many of its bytes are read.
        having: What is in the lines of these outcomes.

    Raises:
        CommandError: There is a line that is not an outcome.
    """
    with contextlib.suppress(OSError), open(path, "rb") as file:
        for line in _lines_before(file, end):
            if having in line:
                yield _outcome_of(line, path)


def _outcome_of(line: bytes, path: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        fields = json.loads(line)
        if isinstance(fields, dict) and "index" in fields:
            return fields
    raise CommandError(
        f"output {path} was changed by another program: a line is not an outcome: restore it, or "
        "remove it to have it rewritten",
        status=FAILED,
    )


def _lines_before(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Yield the lines before an offset, last line first."""
    rest = b""
    while end:
        size = min(_PIECE, end)
        end -= size
        file.seek(end)
        rest, *lines = (file.read(size) + rest).split(b"\n")
        yield from filter(None, reversed(lines))
    if rest:
        yield rest


_PIECE = 1 << 16
