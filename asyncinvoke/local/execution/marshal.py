"""What a handler returns or raises, as JSON in the form of AWS's Python runtime."""

import json
import sys
from typing import Any

# AWS's runtime escapes non-ASCII characters up to Python 3.11 and no longer from 3.12 on.
_ENSURE_ASCII = sys.version_info < (3, 12)


def marshal(answer: Any) -> bytes:
    """Encode what a handler returned.

    Raises:
        TypeError: It holds what JSON cannot.
        ValueError: It contains itself, or its text has a lone surrogate.
        RecursionError: It is nested too deeply.
    """
    return json.dumps(answer, ensure_ascii=_ENSURE_ASCII).encode()


def marshal_error(body: dict[str, Any]) -> bytes:
    """Encode an error; a lone surrogate in its text is replaced."""
    return json.dumps(body, ensure_ascii=_ENSURE_ASCII).encode(errors="replace")
