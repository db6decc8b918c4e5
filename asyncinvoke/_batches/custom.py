"""The format of a custom shape: calls it, and checks what it returns."""

import inspect
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from asyncinvoke._batches.formats import Result
from asyncinvoke._batches.parsing import as_json, read
from asyncinvoke._batches.shape import BatchItem, ItemFailed, MisfitError, PackError, Shape
from asyncinvoke._request.payload import encode_json, why_not_json


class CustomFormat:
    """The format of a custom shape. The size of a batch is known only once it is packed."""

    def __init__(self, shape: Shape, common: object) -> None:
        self.ends = (b"", b"")
        self._shape = shape
        self._common = common

    def piece(self, item: BatchItem) -> bytes:
        """Return the payload of an item, as an estimate of its size."""
        return item.payload

    def pack(self, items: Sequence[BatchItem], pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # a shape packs items
        """Return the payload that the shape makes of the items.

        Raises:
            PackError: It did not return a payload.
            Exception: It raised this exception.
        """
        # A tuple, so that a shape cannot sort or remove the items that `unpack` needs.
        packed = _returned(self._shape.pack(tuple(items), self._common))
        if isinstance(packed, bytes | bytearray | memoryview):
            payload, why = bytes(packed), ""
        else:
            payload, why = _encoded(packed)
        if packed is None or not (payload or why):
            why = "it returned nothing"
        if why:
            raise PackError(why)
        return payload

    def unpack(self, answer: bytes, items: Sequence[BatchItem]) -> Sequence[Result]:
        """Return the results that the shape makes of a response.

        Raises:
            MisfitError: It raised, or did not return a result for each item.
        """
        decoded = read(answer)
        try:
            results = _returned(self._shape.unpack(decoded, items))
            if isinstance(results, str | bytes | Mapping | AbstractSet):
                # These are iterable too, but their elements are keys, characters or integers.
                raise TypeError  # noqa: TRY301  # handled like an error of the shape
            read_results = [_checked(each) for each in results]
        except MisfitError as misfit:
            why = str(misfit)
        except Exception as error:  # noqa: BLE001  # custom code; its message may quote the response
            why = f"the shape cannot read the answer: {type(error).__name__}"
        else:
            if len(read_results) == len(items):
                return read_results
            why = f"the shape gave {len(read_results)} results for {len(items)} items"
        raise MisfitError(why)


def _checked(result: Any) -> Result:
    """Validate the result of an item that a shape has returned.

    Raises:
        MisfitError: It is neither JSON-serializable nor a valid `ItemFailed`.
    """
    if isinstance(result, ItemFailed):
        for text in (result.error_type, result.error_message):
            if not isinstance(text, str | None):
                raise MisfitError(
                    f"the shape gave an ItemFailed with a {type(text).__name__} in it"
                )
        return result
    why = ""
    try:
        return as_json(result)
    except Exception as error:  # noqa: BLE001  # a custom object may raise anything
        why = why_not_json(error)
    raise MisfitError(f"the shape gave a result that is not JSON: {why}")


def _encoded(packed: Any) -> tuple[bytes, str]:
    """Return a value as JSON, or why JSON cannot represent it."""
    try:
        return encode_json(packed), ""
    except Exception as error:  # noqa: BLE001  # a custom object may raise anything
        return b"", why_not_json(error)


def _returned(value: Any) -> Any:
    """Return what a shape returned, unless it is a coroutine.

    Raises:
        TypeError: It is a coroutine, as returned by a lambda that calls an `async def`.
    """
    if inspect.iscoroutine(value):
        value.close()  # otherwise Python warns that it was never awaited
        raise TypeError("a shape is called, not awaited")
    return value
