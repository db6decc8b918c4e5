"""Skimming: the beginning of an input that has ended whole is compared in pieces, and not item by item.

Of a run that is continued nearly all items have ended, and lie in one row. To read, name, prepare and
look up each of them would take a minute for ten million; a piece of some thousands is prepared, its
digests are put one behind the other, and SQLite compares all of them with one answer.
"""

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple, TypeAlias

from asyncinvoke._engine.recording import Write
from asyncinvoke._journal.identity import digest_of
from asyncinvoke._request.parameters import InvokeParameters

MOST = 4096
"""How many items a piece has, at most."""

MOST_BYTES = 8 << 20
"""And how many bytes they may have."""

LONGEST_HOLD = 0.01
"""How long reading a piece may hold the event loop, in seconds."""

Monotonic: TypeAlias = Callable[[], float]


class Piece(NamedTuple):
    """Items that follow each other."""

    items: list[object]
    """As they were read."""

    written: list[tuple[InvokeParameters, bytes]]
    """As they are sent; fewer, where one cannot be."""

    @property
    def is_whole(self) -> bool:
        """Whether each of them can be sent."""
        return len(self.items) == len(self.written)

    def digests(self, shared: InvokeParameters) -> str:
        """Return the digests, one behind the other, in hexadecimal."""
        sha256 = hashlib.sha256
        return b"".join(
            [
                sha256(body).digest()[:16]
                if parameters is shared
                else digest_of(body, parameters, shared) or b""
                for parameters, body in self.written
            ]
        ).hex()


def next_piece(items: Iterator[object], write: Write, *, most: int, monotonic: Monotonic) -> Piece:
    """Read a piece: at most so many items; it raises what the input raises."""
    piece = Piece([], [])
    read, written = piece
    until, size = monotonic() + LONGEST_HOLD, 0
    for item in islice(items, min(most, MOST)):
        read.append(item)
        try:
            written.append(write(item))
        except Exception:  # noqa: BLE001  # an item may be wrong in any way, and is told so later
            break
        size += len(written[-1][1])
        if size >= MOST_BYTES or monotonic() >= until:
            break
    return piece
