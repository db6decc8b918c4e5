"""Skimming: the finished beginning of an input is compared in blocks instead of item by item.

In a continued run nearly all items have ended, and are stored contiguously. Preparing and looking
up each of them would take a minute per ten million items. Instead, a few thousand items are
prepared as one piece, their digests are concatenated, and one SQLite query compares them all.
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
"""The maximum number of items of a piece."""

MOST_BYTES = 8 << 20
"""The maximum size of a piece, in bytes of payload."""

LONGEST_HOLD = 0.01
"""How long reading a piece may block the event loop, in seconds."""

LOOK_EVERY = 16
"""The number of items between clock checks: a check costs a tenth of an item."""

Monotonic: TypeAlias = Callable[[], float]


@dataclass(slots=True)
class Piece:
    """Consecutive items of an input."""

    items: list[object] = field(default_factory=list)
    """The items as read."""

    written: list[tuple[InvokeParameters, bytes, str | None]] = field(default_factory=list)
    """The items as sent; fewer than `items` if one cannot be sent."""

    error: Exception | None = None
    """The error that the input raised after these items."""

    def before(self, items: Iterator[object]) -> Iterator[object]:
        """Return the input with the piece put back."""
        return chain(self.items, items if self.error is None else _raising(self.error))

    @property
    def is_whole(self) -> bool:
        """Whether every item can be sent."""
        return self.error is None and len(self.items) == len(self.written)

    def names_and_digests(self, shared: InvokeParameters) -> bytes:
        """Return the keys, if any, and the digests, concatenated."""
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
    """Read a piece of at most `most` items."""
    piece = Piece()
    read, written = piece.items.append, piece.written.append
    until, size = monotonic() + LONGEST_HOLD, 0
    try:
        for count, item in enumerate(islice(items, min(most, MOST)), 1):
            read(item)
            try:
                pair = write(item)
            except Exception:  # noqa: BLE001  # any error of an item is reported later
                break
            written(pair)
            size += len(pair[1])
            if size >= MOST_BYTES or (not count % LOOK_EVERY and monotonic() >= until):
                break
    except Exception as error:  # noqa: BLE001  # the input's own error, raised after its items
        piece.error = error
    return piece


def _raising(error: Exception) -> Iterator[object]:
    yield from ()
    raise error
