"""What the service says about a body that is not JSON: its parser's words, as recorded.

No I/O, no clock. Clients may rely on none of it.
"""

import unicodedata

_PLACE = (
    "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
    "line: {}, column: {}]"
)
_EXPECTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_PARTS = {"invalid start byte": "start", "invalid continuation byte": "middle"}
_WHITE_SPACE = b" \t\r\n"

# Of these, and of letters, the service's parser says something else, which was not recorded.
_OTHERWISE = '{["-0123456789+.]}$'


def describe(body: bytes, error: Exception) -> str:
    """Return the text for a body.

    Args:
        body: The body.
        error: What our own parser says of it. Its words stand in where none were recorded.
    """
    content = body.lstrip(_WHITE_SPACE)
    first = content[:1].decode("latin-1")
    if first and first not in _OTHERWISE and not first.isidentifier():
        place = _place(body, len(body) - len(content))
        return f"Unexpected character ({_name(first)}): expected a valid value {_EXPECTED}{place}"
    if isinstance(error, UnicodeDecodeError) and error.reason in _PARTS:
        part = _PARTS[error.reason]
        position = error.start if part == "start" else error.end
        return f"Invalid UTF-8 {part} byte 0x{body[position]:02x}{_place(body, position + 1)}"
    return str(error)


def _name(character: str) -> str:
    code = ord(character)
    is_control = unicodedata.category(character) == "Cc"
    return f"(CTRL-CHAR, code {code})" if is_control else f"'{character}' (code {code})"


def _place(body: bytes, position: int) -> str:
    before = body[:position]
    return _PLACE.format(before.count(b"\n") + 1, position - before.rfind(b"\n"))
