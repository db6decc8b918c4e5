"""A function as its author writes it for a queue: AWS's own batch processor, and what it was given."""

import json
import os
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord


def charge(record: SQSRecord) -> None:
    order = json.loads(record.body)
    key = record.message_attributes["key"]
    assert record.event_source == "aws:sqs"
    assert key is not None
    assert key.string_value == order["id"]
    with Path(os.environ["SEEN"]).open("a") as seen:
        seen.write(f"{order['id']}\n")
    if order["amount"] < 0:
        raise ValueError("no such amount")


def handler(event: dict[str, Any], context: Any) -> Any:
    with Path(os.environ["CALLS"]).open("a") as calls:
        calls.write(f"{len(event['Records'])}\n")
    # If all of a batch failed, it raises.
    processor = BatchProcessor(event_type=EventType.SQS)
    return process_partial_response(
        event=event, record_handler=charge, processor=processor, context=context
    )
