"""What a handler returned, or what went wrong, as JSON, as AWS's Python runtime writes it."""

import json
import math
import re
import secrets
import sys
from decimal import Decimal
from typing import Any

# AWS's runtime escapes non-ASCII characters up to Python 3.11 and no longer from 3.12 on.
_ENSURE_ASCII = sys.version_info < (3, 12)

# `json` writes no number but its own. A text that nobody else can know stands in for one of
# another kind until the rest is written.
_MARK = secrets.token_hex(16)
_STANDS_IN = re.compile(f'"{_MARK}([0-9]+)"')


def marshal(answer: Any) -> bytes:
    """Encode what a handler returned.

    A `Decimal` keeps its digits, as DynamoDB gives them; bytes within it are text.

    Raises:
        TypeError: It holds what JSON cannot.
        ValueError: It contains itself, its text has a lone surrogate, or its bytes are no text.
        RecursionError: It is nested too deeply.
        Exception: What it holds has code of its own, which raises it.
    """
    numbers: list[str] = []

    def stand_in(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode()
        if not isinstance(value, Decimal):
            kind = type(value).__name__
            raise TypeError(f"Object of type {kind} is not JSON serializable")
        if value.is_nan():
            return math.nan
        numbers.append(str(value))
        return f"{_MARK}{len(numbers) - 1}"

    text = json.dumps(answer, ensure_ascii=_ENSURE_ASCII, default=stand_in)
    if numbers:
        text = _STANDS_IN.sub(lambda match: numbers[int(match[1])], text)
    return text.encode()


def marshal_error(body: dict[str, Any]) -> bytes:
    """Encode an error; a lone surrogate in its text is replaced."""
    return json.dumps(body, ensure_ascii=_ENSURE_ASCII).encode(errors="replace")
