"""An answer: which heads are accepted, how long the body is, and the headers by name.

llhttp, as httptools sets it up, refuses by itself: a Content-Length that is no number, repeated or
beside a Transfer-Encoding, folded lines, line ends other than CR LF, spaces before a colon, bytes
that no name or value may have, chunks with a bad size or end. The rest is left to its caller.
Refused here, because two readers could take it for two different messages, or because nobody sends
it who means well:

- anything before the status line, and another protocol or version than HTTP/1.0 and HTTP/1.1
  (llhttp takes RTSP, ICE, HTTP/0.9 and HTTP/2.0)
- a Transfer-Encoding other than `chunked`, once (llhttp reads on until the connection closes), or
  any with HTTP/1.0
- a NUL in the reason phrase, and a status below 100
- 101, which nobody asked for
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from asyncinvoke._model.failure import TransportFault


class Headers(Mapping[str, str]):
    """The headers of an answer by name in lower case; of a repeated one, the first.

    A call that succeeds asks for four of ten, so each is searched for when it is asked for, which
    costs less than to take the head apart. Values are decoded as UTF-8, and what is not UTF-8 is
    replaced: the surrogates that aiohttp keeps cannot be printed or written.
    """

    __slots__ = ("_head", "_lowered")

    def __init__(self, head: bytes) -> None:
        """Take a head that a parser has found good: each line ends with CR LF, and none is folded.

        Args:
            head: From the status line up to and with the empty line.
        """
        self._head = head
        self._lowered = head.lower()

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]  # values are str alone
        """Return the value of a header, or `default`; the name is given in lower case."""
        needle = _needle(name)
        at = self._lowered.find(needle)
        if at < 0:
            return default
        start = at + len(needle)
        value = self._head[start : self._head.index(b"\r\n", start)]
        return value.strip(b" \t").decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        lines = self._lowered[:-4].split(b"\r\n")[1:]
        return iter(dict.fromkeys(line.partition(b":")[0].decode("ascii") for line in lines))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        # Values may be anything, and so are not shown.
        return f"<Headers {', '.join(self)}>"


@lru_cache(maxsize=256)
def _needle(name: str) -> bytes:
    return b"\r\n%b:" % name.encode("ascii", "replace")


class Answer:
    """A whole answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        self.status = status
        """The HTTP status."""
        self.headers = Headers(head)
        """The headers by name in lower case."""
        self.body = body
        """The body, without its framing; no Content-Encoding is undone."""

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"


class AnswerError(Exception):
    """What arrived is no answer, too much of one, or not all of it."""

    def __init__(self, fault: TransportFault, message: str) -> None:
        super().__init__(fault, message)
        self.fault = fault
        self.message = message

    def __str__(self) -> str:
        return self.message


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
