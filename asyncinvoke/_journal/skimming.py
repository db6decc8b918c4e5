"""Skimming: the finished beginning of an input is compared in blocks instead of item by item.

Of a run that is continued nearly all items have ended, and lie in one row. To read, name, prepare and
look up each of them would take a minute for ten million; a piece of some thousands is prepared, its
digests are put one behind the other, and SQLite compares all of them with one answer.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TypeAlias

from asyncinvoke._engine.recording import Write
from asyncinvoke._journal.identity import digest_of
from asyncinvoke._journal.schema import DIGEST
from asyncinvoke._request.parameters import InvokeParameters

MOST = 4096
"""How many items a piece has, at most."""

MOST_BYTES = 8 << 20
"""And how many bytes they may have."""

LONGEST_HOLD = 0.01
"""How long reading a piece may hold the event loop, in seconds."""

LOOK_EVERY = 16
"""After how many items the clock is looked at: to look costs as much as a tenth of an item."""

Monotonic: TypeAlias = Callable[[], float]


@dataclass(slots=True)
class Piece:
    """Items that follow each other."""

    items: list[object] = field(default_factory=list)
    """As they were read."""

    written: list[tuple[InvokeParameters, bytes, str | None]] = field(default_factory=list)
    """As they are sent; fewer, where one cannot be."""

    error: Exception | None = None
    """What the input has raised behind them."""

    def before(self, items: Iterator[object]) -> Iterator[object]:
        """Return the input again, as if the piece had not been read."""
        return chain(self.items, items if self.error is None else _raising(self.error))

    @property
    def is_whole(self) -> bool:
        """Whether each of them can be sent."""
        return self.error is None and len(self.items) == len(self.written)

    def names_and_digests(self, shared: InvokeParameters) -> bytes:
        """Return the keys, if there are any, and the digests, one behind the other."""
        sha256 = hashlib.sha256
        digests = [
            sha256(body).digest()[:DIGEST]
            if parameters is shared
            else digest_of(body, parameters, shared) or b""
            for parameters, body, _ in self.written
        ]
        if self.written[0][2] is None:
            return b"".join(digests)
        names = [(name or "").encode() for _, _, name in self.written]
        return b"".join(chain.from_iterable(zip(names, digests, strict=True)))


def next_piece(items: Iterator[object], write: Write, *, most: int, monotonic: Monotonic) -> Piece:
    """Read a piece: at most so many items."""
    piece = Piece()
    read, written = piece.items.append, piece.written.append
    until, size = monotonic() + LONGEST_HOLD, 0
    try:
        for count, item in enumerate(islice(items, min(most, MOST)), 1):
            read(item)
            try:
                pair = write(item)
            except Exception:  # noqa: BLE001  # an item may be wrong in any way, and is told so later
                break
            written(pair)
            size += len(pair[1])
            if size >= MOST_BYTES or (not count % LOOK_EVERY and monotonic() >= until):
                break
    except Exception as error:  # noqa: BLE001  # the input's own, which comes after its items
        piece.error = error
    return piece


def _raising(error: Exception) -> Iterator[object]:
    yield from ()
    raise error
