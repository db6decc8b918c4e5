"""Decides when a batch is complete, and splits it into payloads, from counts and sizes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from asyncinvoke._batches.batch import Batch
from asyncinvoke._batches.formats import BatchFormat
from asyncinvoke._batches.shape import BatchItem, PackError
from asyncinvoke._request.payload import MAX_EVENT_PAYLOAD, MAX_SYNC_PAYLOAD
from asyncinvoke._request.request import InvocationType
from asyncinvoke.errors import InvalidRequestError

OWN_JSON = b"{}"
"""The JSON of an item without a payload: what the function would receive for it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of a batch."""

    items: int
    """The maximum number of items."""

    bytes: int
    """The maximum size in bytes of a batch with more than one item."""

    limit: int
    """The maximum size in bytes of any batch: Lambda's limit."""

    @classmethod
    def of(cls, batch: Batch, invocation_type: InvocationType) -> "Bounds":
        """Return the limits for a type of invocation."""
        is_event = invocation_type is InvocationType.EVENT
        limit = MAX_EVENT_PAYLOAD if is_event else MAX_SYNC_PAYLOAD
        asked = limit if batch.bytes is None else batch.bytes
        return cls(items=batch.items, bytes=min(asked, limit), limit=limit)


def check_common(batch: Batch, size: int, bounds: Bounds) -> None:
    """Check that `common` leaves room for items.

    Args:
        batch: The settings of a map.
        size: The number of bytes of a batch without items.
        bounds: The limits of its batches.

    Raises:
        InvalidRequestError: It does not, so that every item would fail, or travel alone.
    """
    if batch.common is not None and size >= bounds.bytes:
        raise InvalidRequestError(
            f"batch common makes {size:,} bytes of a batch without items: a batch takes at most "
            f"{bounds.bytes:,}"
        )


class Filling:
    """An incomplete batch, to which items are added.

    Args:
        batch_format: The format of its pieces.
        bounds: Its limits.
    """

    __slots__ = ("_bounds", "_ends", "_size", "items", "pieces")

    def __init__(self, batch_format: BatchFormat, bounds: Bounds) -> None:
        self._bounds = bounds
        self._ends = sum(map(len, batch_format.ends))
        self._size = self._ends
        self.items: list[BatchItem] = []
        """Its items."""
        self.pieces: list[bytes] = []
        """The piece of each item."""

    def takes(self, piece: bytes) -> bool:
        """Return whether another item fits; the first one always does."""
        return not self.items or self._size + 1 + len(piece) <= self._bounds.bytes

    def add(self, item: BatchItem, piece: bytes) -> None:
        """Add an item."""
        self._size += len(piece) + bool(self.items)
        self.items.append(item)
        self.pieces.append(piece)

    @property
    def is_full(self) -> bool:
        """Whether no other item fits."""
        return len(self.items) >= self._bounds.items or self._size >= self._bounds.bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The items of one payload, or items that cannot be sent."""

    items: tuple[BatchItem, ...]
    """The items, in the order of the input."""

    payload: bytes = field(default=b"", repr=False)
    """The payload."""

    error: InvalidRequestError | None = None
    """The error, if there is no payload."""


def pack(
    batch_format: BatchFormat, items: list[BatchItem], pieces: list[bytes], bounds: Bounds
) -> Iterator[Packed]:
    """Yield the payloads of a complete batch: one or several.

    The payload of a custom shape may be larger than its items. A batch that is too large is split
    into halves, recursively, until each fits or has a single item.
    """
    whole, why = b"", ""
    try:
        whole = batch_format.pack(items, pieces)
    except PackError as error:
        why = f"the shape cannot pack the batch: {error}"
    except Exception as error:  # noqa: BLE001  # a custom shape; its message may quote an item
        why = f"the shape cannot pack the batch: {type(error).__name__}"
    if not why and len(whole) > bounds.limit and len(items) == 1:
        why = too_large(len(whole), bounds.limit)
    if why:
        yield Packed(items=tuple(items), error=InvalidRequestError(why))
    elif len(items) > 1 and len(whole) > bounds.bytes:
        half = len(items) // 2
        yield from pack(batch_format, items[:half], pieces[:half], bounds)
        yield from pack(batch_format, items[half:], pieces[half:], bounds)
    else:
        yield Packed(items=tuple(items), payload=whole)


def too_large(size: int, limit: int) -> str:
    """Return the message for a batch that is too large with a single item."""
    return f"a batch of this item alone has {size} bytes: Lambda takes at most {limit}"


def checked_json(payload: bytes) -> bytes:
    """Return an item's payload as part of a batch, in which every item must be JSON.

    Raises:
        InvalidRequestError: It is not JSON; the message does not quote it.
    """
    if not payload:
        return OWN_JSON
    why = ""
    try:
        _strictly.decode(payload.decode())
    except UnicodeDecodeError:
        why = "it is not UTF-8"
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError:
        why = "it is not JSON"
    if why:
        del payload
        raise InvalidRequestError(f"payload cannot go into a batch: {why}")
    return payload


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


# Numbers stay strings, since their values are not needed and Python limits their digits.
_strictly = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)
