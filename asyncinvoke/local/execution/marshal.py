"""What a handler returns or raises, as JSON in the form of AWS's Python runtime. Pure."""

import json
import sys
from typing import Any

# AWS's runtime escapes non-ASCII characters up to Python 3.11 and no longer from 3.12 on.
_ENSURE_ASCII = sys.version_info < (3, 12)


def marshal(answer: Any) -> bytes:
    """Encode what a handler returned.

    Raises:
        TypeError: It holds what JSON cannot.
        ValueError: So it does, or it has half of a character.
        RecursionError: It is nested too deeply.
    """
    return json.dumps(answer, ensure_ascii=_ENSURE_ASCII).encode()


def marshal_error(body: dict[str, Any]) -> bytes:
    """Encode an error; half of a character in its text is replaced."""
    return json.dumps(body, ensure_ascii=_ENSURE_ASCII).encode(errors="replace")
