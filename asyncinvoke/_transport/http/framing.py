"""What llhttp leaves to its caller: which heads are taken, and how long the body is.

llhttp, as httptools sets it up, refuses by itself: a Content-Length that is no number, repeated or
beside a Transfer-Encoding, folded lines, line ends other than CR LF, spaces before a colon, bytes
that no name or value may have, chunks with a bad size or end. Refused here, because two readers
could take it for two different messages, or because nobody sends it who means well:

- anything before the status line, and another protocol or version than HTTP/1.0 and HTTP/1.1
  (llhttp takes RTSP, ICE, HTTP/0.9 and HTTP/2.0)
- a Transfer-Encoding other than `chunked`, once (llhttp reads on until the connection closes), or
  any with HTTP/1.0
- a NUL in the reason phrase, and a status below 100
- 101, which nobody asked for
"""

from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.errors import AnswerError

MOST_HEAD = 65_536
"""Longest head that is read, in bytes."""

MOST_INTERIM = 32
"""How many interim answers (1xx) may come before the answer."""

CHUNKED = -1
"""The body comes in chunks."""

UNTIL_CLOSE = -2
"""The body ends with the connection."""

INTERIM = -3
"""There is no body, and another head follows: 1xx."""

BODILESS = (204, 304)
"""Answers that have no body, whatever their head says."""

SWITCHES = "it switches to another protocol"

_STARTS = (b"http/1.1 ", b"http/1.0 ")
_LENGTH = b"\r\ncontent-length:"
_ENCODING = b"\r\ntransfer-encoding:"


def body_length(status: int, lowered: bytes) -> int:
    """Return how many bytes the body has, or `CHUNKED`, `UNTIL_CLOSE` or `INTERIM`.

    Args:
        status: The status as llhttp has read it.
        lowered: The head in lower case, which llhttp has found good.

    Raises:
        AnswerError: Such a head is not taken.
    """
    if not lowered.startswith(_STARTS):
        raise refused("it does not begin with HTTP/1.1 or HTTP/1.0")
    if lowered.find(0) >= 0:
        raise refused("there is a NUL in its head")
    if status < 100:
        raise refused("its status is below 100")
    if status == 101:
        raise refused(SWITCHES)
    at = lowered.find(_LENGTH)
    if at >= 0:
        length = int(_value(lowered, at + len(_LENGTH)))
    elif _ENCODING in lowered:
        _check_coding(lowered)
        length = CHUNKED
    else:
        length = UNTIL_CLOSE
    if status < 200:
        return INTERIM
    return 0 if status in BODILESS else length


def _check_coding(lowered: bytes) -> None:
    start = lowered.index(_ENCODING) + len(_ENCODING)
    if _value(lowered, start).strip(b" \t") != b"chunked" or _ENCODING in lowered[start:]:
        raise refused("its Transfer-Encoding is not understood")
    if lowered.startswith(b"http/1.0"):
        raise refused("it has a Transfer-Encoding, and is HTTP/1.0")


def _value(lowered: bytes, start: int) -> bytes:
    return lowered[start : lowered.index(b"\r\n", start)]


def refused(why: str) -> AnswerError:
    """Return the error for an answer that is not taken."""
    return AnswerError(TransportFault.PROTOCOL, f"the answer cannot be read: {why}")


def too_long(part: str, most: float) -> AnswerError:
    """Return the error for an answer of which a part is longer than so many bytes."""
    return refused(f"its {part} is longer than {most} bytes")
