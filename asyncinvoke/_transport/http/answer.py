"""An answer: which heads are accepted, how long the body is, and the headers by name.

llhttp, as configured by httptools, rejects by itself: a Content-Length that is not a number, is
repeated, or comes with a Transfer-Encoding; folded lines; line endings other than CR LF; spaces
before a colon; invalid bytes in names and values; malformed chunk sizes and chunk ends. The rest is
left to the caller. Rejected here, because two parsers could disagree on the message (response
smuggling) or because no well-behaved server sends it:

- anything before the status line, and any protocol or version other than HTTP/1.0 and HTTP/1.1
  (llhttp accepts RTSP, ICE, HTTP/0.9 and HTTP/2.0)
- a Transfer-Encoding other than a single `chunked` (llhttp reads until the connection closes), and
  any Transfer-Encoding with HTTP/1.0
- a NUL in the reason phrase, and a status below 100
- 101, as no upgrade is ever requested
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from asyncinvoke._model.failure import TransportFault


class Headers(Mapping[str, str]):
    """The headers of an answer by lower-case name; of a repeated header, the first value.

    A successful call reads two of about ten headers, so searching for them on access is cheaper
    than parsing the whole head. Values are decoded as UTF-8 with invalid bytes replaced: surrogate
    escapes, as aiohttp uses, cannot be printed or written.
    """

    __slots__ = ("_head", "lowered")

    def __init__(self, head: bytes) -> None:
        """Wrap a head that a parser has accepted: each line ends with CR LF, and none is folded.

        Args:
            head: Everything from the status line through the empty line.
        """
        self._head = head
        self.lowered = head.lower()
        """The head in lower case."""

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]  # values are str alone
        """Return the value of a header, or `default`; the name must be in lower case."""
        needle = _needle(name)
        at = self.lowered.find(needle)
        if at < 0:
            return default
        start = at + len(needle)
        value = self._head[start : self._head.index(b"\r\n", start)]
        return value.strip(b" \t").decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        lines = self.lowered[:-4].split(b"\r\n")[1:]
        return iter(dict.fromkeys(line.partition(b":")[0].decode("ascii") for line in lines))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        # Values may be secret, so only names are shown.
        return f"<Headers {', '.join(self)}>"


@lru_cache(maxsize=256)
def _needle(name: str) -> bytes:
    return b"\r\n%b:" % name.encode("ascii", "replace")


class Answer:
    """A complete answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        self.status = status
        """The HTTP status."""
        self.headers = Headers(head)
        """The headers by lower-case name."""
        self.body = body
        """The body without transfer framing; Content-Encoding is not decoded."""

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"


class AnswerError(Exception):
    """The received bytes are not a valid answer, exceed a limit, or end too early."""

    def __init__(self, fault: TransportFault, message: str) -> None:
        super().__init__(fault, message)
        self.fault = fault
        self.message = message

    def __str__(self) -> str:
        return self.message


MOST_HEAD = 65_536
"""The maximum size of a head, in bytes."""

MOST_INTERIM = 32
"""The maximum number of interim answers (1xx) before the final one."""

CHUNKED = -1
"""The body is chunked."""

UNTIL_CLOSE = -2
"""The body ends when the connection closes."""

INTERIM = -3
"""An interim answer (1xx): there is no body, and another head follows."""

BODILESS = (204, 304)
"""Statuses without a body, whatever the headers say."""

SWITCHES = "it switches to another protocol"

_STARTS = (b"http/1.1 ", b"http/1.0 ")
_LENGTH = b"\r\ncontent-length:"
_ENCODING = b"\r\ntransfer-encoding:"


def body_length(status: int, lowered: bytes) -> int:
    """Return the length of the body in bytes, or `CHUNKED`, `UNTIL_CLOSE` or `INTERIM`.

    Args:
        status: The status as parsed by llhttp.
        lowered: The head in lower case, already accepted by llhttp.

    Raises:
        AnswerError: The head is rejected.
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
        # llhttp has checked the number, but not how many zeros it begins with, and Python reads no
        # number of very many digits.
        digits = _value(lowered, at + len(_LENGTH)).strip(b" \t").lstrip(b"0")
        length = int(digits or b"0")
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
    """Return the error for an answer that is rejected."""
    return AnswerError(TransportFault.PROTOCOL, f"the answer cannot be read: {why}")


def too_long(part: str, most: float) -> AnswerError:
    """Return the error for an answer with a part longer than its limit in bytes."""
    return refused(f"its {part} is longer than {most} bytes")
