"""The types of batches: an item as a shape sees it, a failed item, and `Shape` itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One item of a batch: what a shape packs, and what it unpacks an answer for."""

    index: int
    """The position of the item in the input, from 0."""

    key: str | None = None
    """What the map's `key`, or the item's own, calls it."""

    payload: bytes = field(repr=False)
    """The item as JSON; `{}` for one without a payload, as the function would see it alone."""

    @property
    def id(self) -> str:
        """What the item is called inside its batch: its position as text, so never twice."""
        return str(self.index)

    def json(self) -> Any:
        """Return the payload decoded."""
        return json.loads(self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFailed:
    """What a shape returns in place of a result, where the function says that an item failed."""

    error_type: str | None = None
    """The exception's name, or another word for what went wrong."""

    error_message: str | None = field(default=None, repr=False)
    """What the function says about it."""


class Shape(Protocol):
    """How items become one payload, and one answer becomes their results. Both are plain functions.

    Called with the items of one batch, in the order of the input. What `pack` raises fails all of
    them, and nothing was sent; what `unpack` raises fails all of them, and the function has run.
    """

    def pack(self, items: Sequence[BatchItem], common: Any) -> Any:
        """Return the payload of a batch: bytes that are JSON, or anything that JSON can hold.

        Args:
            items: The items of the batch, one at least.
            common: What the `Batch` has for all of them.
        """
        ...

    def unpack(self, answer: Any, items: Sequence[BatchItem]) -> Sequence[Any]:
        """Return what the answer says of each item, in the order of `items` and as many.

        A result is anything that JSON can hold; of an item that failed, an `ItemFailed`.

        Args:
            answer: What the function returned, decoded from JSON.
            items: As they were packed.
        """
        ...


ShapeName: TypeAlias = Literal["list", "items", "sqs", "stepfunctions"]
"""The shapes that are there."""


class MisfitError(ValueError):
    """An answer does not fit its shape; the text says how, and quotes nothing of it."""
