"""How a client reads an answer, reduced to facts that can be compared between clients."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Reading = dict[str, object]
"""Facts about one answer, by name."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class StartsWith:
    """Equals every text with this prefix; the rest is not Lambda's, or differs each time."""

    text: str
    """The beginning."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other.startswith(self.text)


def of_invoke(answer: Mapping[str, Any], payload: bytes) -> Reading:
    """Read the answer of `Invoke`.

    Args:
        answer: Its members, as the client returns them.
        payload: The payload, read to its end.
    """
    reading: Reading = {"status": answer["StatusCode"]}
    if "ExecutedVersion" in answer:
        reading["version"] = answer["ExecutedVersion"]
    if "LogResult" in answer:
        log = base64.b64decode(answer["LogResult"]).decode()
        reading["log"] = [line.split(" ")[0] for line in log.splitlines()]
    if "FunctionError" in answer:
        reading["function_error"] = answer["FunctionError"]
        return reading | _error_body(payload)
    return reading | {"payload": json.loads(payload) if payload else payload}


def of_stream(answer: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> Reading:
    """Read the answer of `InvokeWithResponseStream`.

    Args:
        answer: Its members, as the client returns them.
        events: Every event of the stream.
    """
    chunks: list[bytes] = []
    reading: Reading = {"status": answer["StatusCode"], "chunks": chunks}
    if "ExecutedVersion" in answer:
        reading["version"] = answer["ExecutedVersion"]
    for event in events:
        if "PayloadChunk" in event:
            chunks.append(event["PayloadChunk"]["Payload"])
            continue
        complete = event["InvokeComplete"]
        reading["completed"] = True
        if "ErrorCode" in complete:
            reading["function_error"] = complete["ErrorCode"]
            reading |= _error_body(complete["ErrorDetails"].encode())
        if "LogResult" in complete:
            log = base64.b64decode(complete["LogResult"]).decode()
            reading["log"] = [line.split(" ")[0] for line in log.splitlines()]
    return reading


def of_error(response: Mapping[str, Any]) -> Reading:
    """Read an error that the client raised for the answer."""
    reading: Reading = {
        "status": response["ResponseMetadata"]["HTTPStatusCode"],
        "code": response["Error"]["Code"],
        "message": response["Error"]["Message"],
    }
    if "Reason" in response:
        reading["reason"] = response["Reason"]
    return reading


def of_members(answer: Mapping[str, Any], shows: Mapping[str, object]) -> Reading:
    """Read the members of another operation's answer that a case selects.

    Args:
        answer: Its members, as the client returns them.
        shows: The members to read, as dotted paths; a number is an index into a list.
    """
    reading: Reading = {}
    for path in shows:
        value: Any = answer
        for step in path.split("."):
            value = value[int(step) if step.isdecimal() else step]
        reading[path] = value
    return reading


def _error_body(payload: bytes) -> Reading:
    body = json.loads(payload)
    return {
        "error_type": body["errorType"],
        "error_message": _ID.sub("ID", body["errorMessage"]),
        "has_trace": bool(body.get("stackTrace")),
    }
