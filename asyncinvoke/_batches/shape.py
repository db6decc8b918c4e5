"""The types of batches: an item as a shape sees it, a failed item, and `Shape` itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One item of a batch, as passed to `Shape.pack` and `Shape.unpack`."""

    index: int
    """The position of the item in the input, from 0."""

    key: str | None = None
    """The key of the item, from the map's `key` or the item's own."""

    payload: bytes = field(repr=False)
    """The item as JSON; `{}` for an item without a payload, as if it were sent alone."""

    @property
    def id(self) -> str:
        """The unique ID of the item within its batch: its position as a string."""
        return str(self.index)

    def json(self) -> Any:
        """Return the decoded payload."""
        return json.loads(self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFailed:
    """Returned by a shape instead of a result when the function reports that an item failed."""

    error_type: str | None = None
    """The exception's name, or another error type."""

    error_message: str | None = field(default=None, repr=False)
    """The error message reported by the function."""


class Shape(Protocol):
    """Packs items into one payload, and unpacks one response into their results.

    Both methods are plain functions, called with the items of one batch in input order. If `pack`
    raises, all items fail and nothing is sent. If `unpack` raises, all items fail although the
    function ran.
    """

    def pack(self, items: Sequence[BatchItem], common: Any) -> Any:
        """Return the payload of a batch: JSON as bytes, or any JSON-serializable value but `None`.

        Args:
            items: The items of the batch, at least one.
            common: `Batch.common`.
        """
        ...

    def unpack(self, answer: Any, items: Sequence[BatchItem]) -> Sequence[Any]:
        """Return one result per item, in the order of `items`.

        A result is any JSON-serializable value, or an `ItemFailed` for an item that failed.

        Args:
            answer: The function's response, decoded from JSON.
            items: The items, as they were packed.
        """
        ...


ShapeName: TypeAlias = Literal["list", "items", "sqs", "stepfunctions"]
"""The names of the built-in shapes."""


class MisfitError(ValueError):
    """A response does not match its shape; the message says how, without quoting the response."""


class PackError(ValueError):
    """A shape did not return a payload; the message says why, without quoting an item."""
