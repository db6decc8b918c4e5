"""What the service says about a body that is no JSON: its parser's words, as recorded.

Pure. `requests` asks it; clients may rely on none of it.
"""

import unicodedata

_PLACE = (
    "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled);"
    " line: {}, column: {}]"
)
_EXPECTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_WHITE_SPACE = b" \t\r\n"
_STARTS = b'{["-0123456789tfn'


def describe(body: bytes, error: Exception) -> str:
    """Give the text for a body.

    Args:
        body: The body.
        error: What our own parser says of it. Its words stand in for those of AWS's parser on
            faults of which no answer was recorded.
    """
    content = body.lstrip(_WHITE_SPACE)
    if content and content[0] not in _STARTS:
        place = _place(body, len(body) - len(content), after=0)
        return (
            f"Unexpected character ({_name(content[0])}): expected a valid value {_EXPECTED}{place}"
        )
    if isinstance(error, UnicodeDecodeError):
        is_first = error.reason == "invalid start byte"
        fault = error.start if is_first else min(error.end, len(body) - 1)
        part = "start" if is_first else "middle"
        return f"Invalid UTF-8 {part} byte 0x{body[fault]:02x}{_place(body, fault, after=1)}"
    return str(error)


def _name(character: int) -> str:
    text = chr(character)
    if unicodedata.category(text) == "Cc":
        return f"(CTRL-CHAR, code {character})"
    return f"'{text}' (code {character})"


def _place(body: bytes, position: int, *, after: int) -> str:
    before = body[:position]
    column = position - before.rfind(b"\n") + after
    return _PLACE.format(before.count(b"\n") + 1, column)
