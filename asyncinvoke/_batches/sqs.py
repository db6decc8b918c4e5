"""The shape of an SQS event: its records, and AWS's rules for partial batch responses."""

import hashlib
from collections.abc import Sequence

from asyncinvoke._batches.formats import Result, check_known
from asyncinvoke._batches.parsing import kind_of, read
from asyncinvoke._batches.shape import BatchItem, ItemFailed, MisfitError
from asyncinvoke._request.payload import encode_json

_SUCCEEDED = b"null"
_FAILED = ItemFailed(
    error_type="BatchItemFailure", error_message="the function named this item as failed"
)

# The attributes have constant values; the ARN shows that there is no queue.
_RECORD = (
    b'{"messageId":"%d","receiptHandle":"%d","body":%b,'
    b'"attributes":{"ApproximateReceiveCount":"1","SentTimestamp":"0",'
    b'"SenderId":"asyncinvoke","ApproximateFirstReceiveTimestamp":"0"},'
    b'"messageAttributes":{%b},"md5OfBody":"%b","eventSource":"aws:sqs",'
    b'"eventSourceARN":"arn:aws:sqs:us-east-1:000000000000:asyncinvoke",'
    b'"awsRegion":"us-east-1"}'
)
_KEY = b'"key":{"stringValue":%b,"stringListValues":[],"binaryListValues":[],"dataType":"String"}'


class SqsFormat:
    """`{"Records": [...]}`; the response is `{"batchItemFailures": [{"itemIdentifier": id}, ...]}`."""

    ends = (b'{"Records":[', b"]}")

    def piece(self, item: BatchItem) -> bytes:
        """Return a record with the ID of the item, its JSON as the body, and its key as an attribute."""
        md5 = hashlib.md5(item.payload, usedforsecurity=False).hexdigest().encode()
        key = b"" if item.key is None else _KEY % encode_json(item.key)
        body = encode_json(item.payload.decode())
        return _RECORD % (item.index, item.index, body, key, md5)

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
            return [_SUCCEEDED] * len(items)
        if not isinstance(decoded, dict):
            raise MisfitError(f"the answer is {kind_of(decoded)}, and not an object")
        failures = decoded.get("batchItemFailures")
        if failures is None:
            return [_SUCCEEDED] * len(items)
        if not isinstance(failures, list):
            raise MisfitError(f'"batchItemFailures" is {kind_of(failures)}, and not a list')
        failed, known = set(), {item.id for item in items}
        for failure in failures:
            name = failure.get("itemIdentifier") if isinstance(failure, dict) else None
            if name is None or name == "":
                raise MisfitError('one of the "batchItemFailures" has no "itemIdentifier"')
            check_known(name, known)
            failed.add(name)
        return [_FAILED if item.id in failed else _SUCCEEDED for item in items]
