"""An answer, its head looked at only where somebody asks."""

from collections.abc import Iterator, Mapping
from functools import lru_cache


class Headers(Mapping[str, str]):
    """The headers of an answer by name in lower case; of a repeated one, the first.

    A call that succeeds asks for four of ten, so each is searched for when it is asked for, which
    costs less than to take the head apart. Values are read as aiohttp reads them: UTF-8, and what
    is not kept as surrogates.
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
        return value.strip(b" \t").decode("utf-8", "surrogateescape")

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

    __slots__ = ("_head", "_headers", "body", "status")

    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        self.status = status
        """The HTTP status."""
        self.body = body
        """The body, without its framing; no Content-Encoding is undone."""
        self._head = head
        self._headers: Headers | None = None

    @property
    def headers(self) -> Headers:
        """The headers by name in lower case."""
        if self._headers is None:
            self._headers = Headers(self._head)
        return self._headers

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"
