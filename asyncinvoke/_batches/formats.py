"""The built-in batch shapes: how each encodes a batch, and parses the response to it."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from asyncinvoke._batches.parsing import elements, kind_of, members, read
from asyncinvoke._batches.shape import BatchItem, ItemFailed, MisfitError
from asyncinvoke._request.payload import encode_json

Result: TypeAlias = bytes | ItemFailed
"""The result of one item: JSON, or an `ItemFailed`."""

_MOST_NAMED = 40
"""The maximum length of an unknown identifier in a message, in characters."""


class BatchFormat(Protocol):
    """Encodes the batches of one shape, and parses the responses to them.

    A batch consists of a piece for each item, separated by commas, between two ends. So its size is
    known before it is encoded.
    """

    ends: tuple[bytes, bytes]
    """The bytes before and after the pieces."""

    def piece(self, item: BatchItem) -> bytes:
        """Return the piece of an item."""
        ...

    def pack(self, items: Sequence[BatchItem], pieces: Sequence[bytes]) -> bytes:
        """Return the payload of a batch."""
        ...

    def unpack(self, answer: bytes, items: Sequence[BatchItem]) -> Sequence[Result]:
        """Return the result of each item, parsed from a response.

        Raises:
            MisfitError: The response does not match the shape.
        """
        ...


class _Joined:
    """A format whose payload is the pieces between the ends."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self.ends = (before, after)

    def piece(self, item: BatchItem) -> bytes:
        """Return the piece of an item; by default its payload."""
        return item.payload

    def pack(self, items: Sequence[BatchItem], pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # the pieces are sufficient
        """Return the payload of a batch."""
        before, after = self.ends
        return b"".join((before, b",".join(pieces), after))


class ListFormat(_Joined):
    """`[payload, ...]`; the response is a list with as many results."""

    def __init__(self) -> None:
        super().__init__(b"[", b"]")

    def unpack(self, answer: bytes, items: Sequence[BatchItem]) -> Sequence[Result]:
        """Return the elements of the response.

        Raises:
            MisfitError: It is not a list, or has another length.
        """
        results = elements(answer)
        if len(results) != len(items):
            raise MisfitError(f"the answer has {len(results)} results for {len(items)} items")
        return results


class StepFunctionsFormat(ListFormat):
    """`{"BatchInput": common, "Items": [payload, ...]}`, as sent by a distributed map."""

    def __init__(self, common: object) -> None:
        before = b"" if common is None else b'"BatchInput":%b,' % encode_json(common)
        self.ends = (b'{%b"Items":[' % before, b"]}")


class ItemsFormat(_Joined):
    """Items with IDs; the response has a result or an error for each ID, in any order."""

    def __init__(self, common: object) -> None:
        after = b"" if common is None else b',"common":%b' % encode_json(common)
        super().__init__(b'{"items":[', b"]%b}" % after)

    def piece(self, item: BatchItem) -> bytes:
        """Return the item with its ID, and its key if it has one."""
        key = b"" if item.key is None else b'"key":%b,' % encode_json(item.key)
        return b'{"id":"%d",%b"payload":%b}' % (item.index, key, item.payload)

    def unpack(self, answer: bytes, items: Sequence[BatchItem]) -> Sequence[Result]:
        """Return the result of each ID; an ID that is missing has failed.

        Raises:
            MisfitError: The response has another structure, or names an item that is not in the
                batch.
        """
        decoded = read(answer)
        entries = decoded.get("results") if isinstance(decoded, dict) else None
        if not isinstance(entries, list):
            raise MisfitError('the answer is not an object with a list "results"')
        results: dict[str, Result] = {}
        known = {item.id for item in items}
        texts = elements(members(answer)["results"])
        for entry, text in zip(entries, texts, strict=True):
            name, result = _entry(entry, text)
            _check_known(name, known)
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
        return name, members(text)["result"]  # the original text, so that no digit changes
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
    """Return the first non-empty string among members: ours, or those of Lambda's own errors."""
    texts = (error.get(name) for name in names)
    return next((text for text in texts if isinstance(text, str) and text), None)


_NULL = b"null"
_NAMED_AS_FAILED = ItemFailed(
    error_type="BatchItemFailure", error_message="the function named this item as failed"
)

# The attributes have constant values; the ARN shows that there is no queue.
_SQS_RECORD = (
    b'{"messageId":"%d","receiptHandle":"%d","body":%b,'
    b'"attributes":{"ApproximateReceiveCount":"1","SentTimestamp":"0",'
    b'"SenderId":"asyncinvoke","ApproximateFirstReceiveTimestamp":"0"},'
    b'"messageAttributes":{%b},"md5OfBody":"%b","eventSource":"aws:sqs",'
    b'"eventSourceARN":"arn:aws:sqs:us-east-1:000000000000:asyncinvoke",'
    b'"awsRegion":"us-east-1"}'
)
_SQS_KEY = (
    b'"key":{"stringValue":%b,"stringListValues":[],"binaryListValues":[],"dataType":"String"}'
)


class SqsFormat:
    """An SQS event, by AWS's rules for partial batch responses.

    `{"Records": [...]}`; the response is `{"batchItemFailures": [{"itemIdentifier": id}, ...]}`.
    """

    ends = (b'{"Records":[', b"]}")

    def piece(self, item: BatchItem) -> bytes:
        """Return a record with the ID of the item, its JSON as the body, and its key as an attribute."""
        md5 = hashlib.md5(item.payload, usedforsecurity=False).hexdigest().encode()
        key = b"" if item.key is None else _SQS_KEY % encode_json(item.key)
        body = encode_json(item.payload.decode())
        return _SQS_RECORD % (item.index, item.index, body, key, md5)

    def pack(self, items: Sequence[BatchItem], pieces: Sequence[bytes]) -> bytes:  # noqa: ARG002  # the pieces are sufficient
        """Return the payload of a batch."""
        return b"".join((self.ends[0], b",".join(pieces), self.ends[1]))

    def unpack(self, answer: bytes, items: Sequence[BatchItem]) -> Sequence[Result]:
        """Return the result of each item; items that the response does not name have succeeded.

        As in AWS, all have succeeded if the response is empty or has no failures, and all have
        failed if an identifier is empty, null, missing, or not that of a record.

        Raises:
            MisfitError: All have failed for such a reason, or the response has another structure.
        """
        decoded = read(answer)
        if decoded is None:
            return [_NULL] * len(items)
        if not isinstance(decoded, dict):
            raise MisfitError(f"the answer is {kind_of(decoded)}, and not an object")
        failures = decoded.get("batchItemFailures")
        if failures is None:
            return [_NULL] * len(items)
        if not isinstance(failures, list):
            raise MisfitError(f'"batchItemFailures" is {kind_of(failures)}, and not a list')
        failed, known = set(), {item.id for item in items}
        for failure in failures:
            name = failure.get("itemIdentifier") if isinstance(failure, dict) else None
            if name is None or name == "":
                raise MisfitError('one of the "batchItemFailures" has no "itemIdentifier"')
            _check_known(name, known)
            failed.add(name)
        return [_NAMED_AS_FAILED if item.id in failed else _NULL for item in items]


def _check_known(name: Any, known: set[str]) -> None:
    """Check that an identifier in a response is that of an item of the batch.

    Raises:
        MisfitError: It is not.
    """
    if not isinstance(name, str):
        raise MisfitError(f"the answer names an item by {kind_of(name)}, and not by a string")
    if name not in known:
        shown = json.dumps(name[:_MOST_NAMED])
        raise MisfitError(f"the answer names an item {shown}, which is not in the batch")
