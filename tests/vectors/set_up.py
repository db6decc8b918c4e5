"""Requests a recorded answer of the set-up operations from any endpoint, and compares it."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from .recorded_set_up import Sent, SetUpVector

Send = Callable[[str, str, bytes], tuple[int, Mapping[str, str], bytes]]
"""Sends method, path and body; returns status, headers in lower case, body."""


class Target:
    """An endpoint with a function, and the values of tokens there.

    Args:
        send: Sends a request.
        values: The tokens.
    """

    def __init__(self, send: Send, values: Mapping[str, str]) -> None:
        self._send = send
        self._values = values
        self.told = ""
        """The latest answer, as members of a `SetUpVector`."""

    def ask(self, sent: Sent) -> tuple[int, str | None, dict[str, Any]]:
        """Send a request; return the status, the error code and the members of the answer."""
        method, path, members = sent
        encoded = {token: quote(value, safe="") for token, value in self._values.items()}
        body = b"" if members is None else self.filled(json.dumps(members)).encode()
        status, headers, answer = self._send(method, _fill(path, encoded), body)
        code = headers.get("x-amzn-errortype")
        code = code and code.partition(":")[0]
        try:
            message = json.loads(answer) if answer else {}
        except ValueError:
            message = None
        if not isinstance(message, dict):
            message = {"(no object)": answer[:200].decode(errors="replace")}
        self.told = f"status={status}, code={code!r}, says={message!r}"
        return status, code, message

    def filled(self, text: str) -> str:
        """Return a text with its tokens replaced."""
        return _fill(text, self._values)


def differences(vector: SetUpVector, place: Target) -> list[str]:
    """Request an answer, and return how it differs."""
    for sent in vector.before:
        place.ask(sent)
    status, code, message = place.ask(vector.sent)
    found = []
    if (status, code) != (vector.status, vector.code):
        found.append(
            f"status and code: {(status, code)} in place of {(vector.status, vector.code)}"
        )
    wanted = json.loads(place.filled(json.dumps(vector.says)))
    for member, value in wanted.items():
        has = message.get(member)
        alike = has == value
        if vector.begins and isinstance(has, str) and isinstance(value, str):
            alike = has.startswith(value)
        if not alike:
            found.append(f"{member}: {has!r} in place of {value!r}")
    found += [f"{member}: {message[member]!r}" for member in vector.says_not if member in message]
    if vector.code is not None and code is not None:
        found += [
            f"{member}: {message[member]!r}" for member in message if member not in vector.says
        ]
    return found


def _fill(text: str, values: Mapping[str, str]) -> str:
    for token, value in values.items():
        text = text.replace(f"<{token}>", value)
    return text
