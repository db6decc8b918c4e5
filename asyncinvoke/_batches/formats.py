"""The built-in batch shapes: how each encodes items, and how it reads the answer."""

import inspect
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, TypeAlias

from asyncinvoke._batches.reading import as_json, elements, kind_of, members, read
from asyncinvoke._batches.shape import BatchItem, ItemFailed, MisfitError, PackError, Shape
from asyncinvoke._request.payload import encode_json, why_not_json

Result: TypeAlias = bytes | ItemFailed
"""What an answer says of one item: its result as JSON, or that it failed."""

_MOST_NAMED = 40
"""So many letters of what an answer calls an item are shown, where no item is called so."""


class Format(Protocol):
    """A shape with what is common to its batches: from items to bytes, and from bytes to results.

    A batch is the pieces of its items between two ends, so its size is known before it is made.
    """

    ends: tuple[bytes, bytes]
    """What stands before and behind the pieces, which commas part."""

    def piece(self, item: BatchItem) -> bytes:
        """Return the bytes that stand for an item."""
        ...

    def pack(self, items: Sequence[BatchItem], pieces: Sequence[bytes]) -> bytes:
        """Return the payload of a batch."""
        ...

    def unpack(self, answer: bytes, items: Sequence[BatchItem]) -> Sequence[Result]:
        """Return what an answer says of each item.

        Raises:
            MisfitError: The answer does not fit.
        """
        ...


class _Joined:
    """Pieces between two ends."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self.ends = (before, after)

    def piece(self, item: BatchItem) -> bytes:
        """Return the bytes that stand for an item: by default the item."""
        return item.payload

    def pack(self, items: Sequence[BatchItem], pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # the pieces have it all
        """Return the payload of a batch."""
        before, after = self.ends
        return b"".join((before, b",".join(pieces), after))


class ListFormat(_Joined):
    """`[payload, ...]`, answered with a list of as many results."""

    def __init__(self) -> None:
        super().__init__(b"[", b"]")

    def unpack(self, answer: bytes, items: Sequence[BatchItem]) -> Sequence[Result]:
        """Return the elements of the answer.

        Raises:
            MisfitError: It is no list, or one of another length.
        """
        results = elements(answer)
        if len(results) != len(items):
            raise MisfitError(f"the answer has {len(results)} results for {len(items)} items")
        return results


class StepFunctionsFormat(ListFormat):
    """`{"BatchInput": common, "Items": [payload, ...]}`, as a distributed map batches them."""

    def __init__(self, common: object) -> None:
        before = b"" if common is None else b'"BatchInput":%b,' % encode_json(common)
        self.ends = (b'{%b"Items":[' % before, b"]}")


class ItemsFormat(_Joined):
    """Items with ids, answered with a result or an error for each id; in any order."""

    def __init__(self, common: object) -> None:
        after = b"" if common is None else b',"common":%b' % encode_json(common)
        super().__init__(b'{"items":[', b"]%b}" % after)

    def piece(self, item: BatchItem) -> bytes:
        """Return the item with its id, and with its key if it has one."""
        key = b"" if item.key is None else b'"key":%b,' % encode_json(item.key)
        return b'{"id":"%d",%b"payload":%b}' % (item.index, key, item.payload)

    def unpack(self, answer: bytes, items: Sequence[BatchItem]) -> Sequence[Result]:
        """Return what is said of each id; of one that is left out, that it failed.

        Raises:
            MisfitError: It is not such an answer, or names an item that is not in the batch.
        """
        said = read(answer)
        entries = said.get("results") if isinstance(said, dict) else None
        if not isinstance(entries, list):
            raise MisfitError('the answer is not an object with a list "results"')
        results: dict[str, Result] = {}
        known = {item.id for item in items}
        texts = elements(members(answer)["results"])
        for entry, text in zip(entries, texts, strict=True):
            name, result = _entry(entry, text)
            check_known(name, known)
            if name in results:
                raise MisfitError(f"the answer has two results for item {name}")
            results[name] = result
        return [results.get(item.id, _LEFT_OUT) for item in items]


_LEFT_OUT = ItemFailed(
    error_type="MissingFromAnswer", error_message="the function's answer leaves this item out"
)


def _entry(entry: Any, text: bytes) -> tuple[Any, Result]:
    if not isinstance(entry, dict) or "id" not in entry:
        raise MisfitError('one of the results is not an object with an "id"')
    name, error = entry["id"], entry.get("error")
    if error is None:
        if "result" not in entry:
            raise MisfitError('one of the results has neither a "result" nor an "error"')
        return name, members(text)["result"]  # no digit of it changed
    if entry.get("result") is not None:
        raise MisfitError('one of the results has both a "result" and an "error"')
    if isinstance(error, str):
        return name, ItemFailed(error_message=error)
    if not isinstance(error, dict):
        raise MisfitError(f"one of the errors is {kind_of(error)}, and not an object")
    return name, ItemFailed(
        error_type=_text(error, "type", "errorType"),
        error_message=_text(error, "message", "errorMessage"),
    )


def _text(error: dict[str, Any], *names: str) -> str | None:
    """Return the first text among members; functions write errors also as Lambda itself does."""
    texts = (error.get(name) for name in names)
    return next((text for text in texts if isinstance(text, str) and text), None)


def check_known(name: Any, known: set[str]) -> None:
    """Check that what an answer calls an item is one of the batch.

    Raises:
        MisfitError: It is not.
    """
    if not isinstance(name, str):
        raise MisfitError(f"the answer names an item by {kind_of(name)}, and not by a string")
    if name not in known:
        shown = json.dumps(name[:_MOST_NAMED])
        raise MisfitError(f"the answer names an item {shown}, which is not in the batch")


def _of_own(result: Any) -> Result:
    """Return what a shape gave for an item as a result.

    Raises:
        MisfitError: It is neither JSON nor a proper `ItemFailed`.
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
    except Exception as error:  # noqa: BLE001  # an object of the user's may raise anything
        why = why_not_json(error)
    raise MisfitError(f"the shape gave a result that is not JSON: {why}")


class OwnFormat:
    """A shape of the user's. How large its batches are shows only once they are packed."""

    def __init__(self, shape: Shape, common: object) -> None:
        self.ends = (b"", b"")
        self._shape = shape
        self._common = common

    def piece(self, item: BatchItem) -> bytes:
        """Return the item, for its size."""
        return item.payload

    def pack(self, items: Sequence[BatchItem], pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # the shape takes items
        """Return what the shape makes of the items.

        Raises:
            PackError: That is no payload.
            Exception: The shape raised it.
        """
        # A tuple: what a shape sorts, or takes items out of, is not what is still to be unpacked.
        packed = _plain(self._shape.pack(tuple(items), self._common))
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
        """Return what the shape reads in the answer.

        Raises:
            MisfitError: The shape raised, or gave something else than a result for each item.
        """
        said = read(answer)
        try:
            results = _plain(self._shape.unpack(said, items))
            if isinstance(results, str | bytes | Mapping | AbstractSet):
                # One could iterate over them all the same: the keys of a dict, letters of a string.
                raise TypeError  # noqa: TRY301  # as if it had raised that
            read_results = [_of_own(each) for each in results]
        except MisfitError as misfit:
            why = str(misfit)
        except Exception as error:  # noqa: BLE001  # code of the user's; its text may quote the answer
            why = f"the shape cannot read the answer: {type(error).__name__}"
        else:
            if len(read_results) == len(items):
                return read_results
            why = f"the shape gave {len(read_results)} results for {len(items)} items"
        raise MisfitError(why)


def _encoded(packed: Any) -> tuple[bytes, str]:
    """Return a value as JSON, or why JSON cannot represent it."""
    try:
        return encode_json(packed), ""
    except Exception as error:  # noqa: BLE001  # an object of the user's may raise anything
        return b"", why_not_json(error)


def _plain(said: Any) -> Any:
    """Return what a shape said, if it said something.

    Raises:
        TypeError: It gave a coroutine, as a lambda around an `async def` does.
    """
    if inspect.iscoroutine(said):
        said.close()  # or Python would complain that nobody awaited it
        raise TypeError("a shape is called, not awaited")
    return said
