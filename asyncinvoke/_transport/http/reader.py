"""Reads one answer incrementally: llhttp parses heads and chunks, body lengths are counted here."""

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
)

from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import (
    BODILESS,
    CHUNKED,
    INTERIM,
    MOST_HEAD,
    MOST_INTERIM,
    SWITCHES,
    UNTIL_CLOSE,
    Answer,
    AnswerError,
    body_length,
    refused,
    too_long,
)

_END = b"\r\n\r\n"
_SHORT = 16_384
_FRAME = 32
"""Bytes around a chunk: two line ends, and a size of up to 16 digits, with some zeros before it."""
_SPENT = HttpResponseParser(object())


class AnswerReader:
    """Reads one answer, and knows exactly where it ends.

    llhttp tells that a message has ended, but not at which byte, and skips empty lines before the
    next one. So each head is cut at its empty line and given to a parser of its own, which holds
    nothing over from another message; a body of known length is counted and never copied; and only
    chunks are left to llhttp, with the last byte of what could be their end given by itself.

    Nearly every answer is short and arrives at once, though, and then half of that is saved: llhttp
    gets it all, and it is taken if head and body together are exactly what arrived. Whatever else
    it is (chunked, interim, cut, with something behind it) is read anew with the care above.

    After an `AnswerError` a reader is of no more use, nor is its connection.
    """

    # Defaults of the class, since for most answers they stay what they are.
    status = 0
    """The status, once the head was read."""

    keep_alive = False
    """Whether the head lets the connection carry another exchange."""

    head_read = False
    """Whether the head of the answer, not of an interim one, was read."""

    complete = False
    """Whether the whole answer was read."""

    surplus = False
    """Whether bytes came after the end of the answer."""

    head = b""
    """The head, once it was read."""

    _length = 0
    _missing = 0
    _begun = b""
    _is_fresh = True
    _parser = _SPENT
    _interim = 0
    _size = 0
    _framing = 0

    def __init__(self, most_body: float) -> None:
        """Begin.

        Args:
            most_body: Longest body that is read, in bytes; `math.inf` for any.
        """
        self._most_body = most_body
        self.pieces: list[bytes] = []
        """What has arrived of the body and was not taken away."""

    def answer(self) -> Answer:
        """Return the whole answer, once it is complete."""
        pieces = self.pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return Answer(self.status, self.head, body)

    def begun(self) -> Answer | None:
        """Return the answer without its body, if its head was read: what a broken exchange had."""
        return Answer(self.status, self.head, b"") if self.head_read else None

    def feed(self, data: bytes) -> bool:
        """Take what has arrived, and return whether the answer is complete.

        Raises:
            AnswerError: It is not HTTP, not taken, or more than is wanted.
        """
        if self._is_fresh:
            self._is_fresh = False
            self._parser = HttpResponseParser(self)
            if len(data) <= _SHORT and self._feed_whole(data):
                return True
        try:
            if not self.head_read:
                data = self._feed_head(data)
            if data:
                self._feed_body(data)
        except AnswerError:
            # llhttp has told of the end of a head alone, which was then not taken.
            self.complete = False
            raise
        except HttpParserUpgrade:
            self.complete = False
            raise refused(SWITCHES) from None
        except HttpParserError as error:
            self.complete = False
            _raise_interrupt(error)
            # llhttp's words are its own, and quote nothing.
            raise refused(str(error)) from None
        return self.complete

    def feed_eof(self, *, is_told: bool = True) -> None:
        """Take the end of the connection, which may be the end of the answer.

        Args:
            is_told: Whether the peer has said it. Under TLS anybody on the way can end a connection
                that was not said farewell to, so that such an end ends no body (RFC 9112, 9.8).

        Raises:
            AnswerError: It ended before the answer did.
        """
        if not self.head_read:
            raise AnswerError(
                TransportFault.CONNECTION_LOST, "the connection ended before an answer came"
            )
        if self._length == UNTIL_CLOSE and is_told:
            self.complete = True
        elif not self.complete:
            raise AnswerError(TransportFault.TRUNCATED, "the connection ended in the answer's body")

    def close(self) -> None:
        """Let go of the parser, which knows this reader, so that no circle is left behind."""
        self._parser = _SPENT

    def on_headers_complete(self) -> None:
        """For llhttp: the end of a head."""
        if not self.complete:
            self.status = self._parser.get_status_code()
            self.keep_alive = self._parser.should_keep_alive()

    def on_body(self, piece: bytes) -> None:
        """For llhttp: a piece of a chunk."""
        if not self.complete:
            self.pieces.append(piece)

    def on_message_complete(self) -> None:
        """For llhttp: the end of the last chunk, or of a head alone."""
        self.complete = True

    def _feed_whole(self, data: bytes) -> bool:
        """Read an answer of known length that is all there is, or leave no trace."""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            _raise_interrupt(error)
        else:
            end = data.find(_END) + 4
            size = len(data) - end
            if (
                self.complete
                and size == sum(map(len, self.pieces))
                and size <= self._most_body
                and self.status >= 200
                and self.status not in BODILESS
                and data.startswith(b"HTTP/1.1 ")
                and data.find(0, 0, end) < 0
            ):
                self.head = data[:end]
                self.head_read = True
                self._parser = _SPENT
                return True
        self.pieces.clear()
        self._begin_again()
        return False

    def _feed_head(self, data: bytes) -> bytes:
        """Read heads up to that of the answer, and return what follows it."""
        while data:
            if not self._begun:
                end = data.find(_END) + 4
                if end < 4:
                    self._keep(data)
                    break
                head, data = data[:end], data[end:]
                self._parser.feed_data(head)
            else:
                tail = self._begun[-3:]
                at = (tail + data).find(_END)
                if at < 0:
                    self._keep(data)
                    break
                end = at + 4 - len(tail)
                self._keep(data[:end])
                head, data = self._begun, data[end:]
            if len(head) > MOST_HEAD:
                raise too_long("head", MOST_HEAD)
            length = body_length(self.status, head.lower())
            if length == INTERIM:
                self._interim += 1
                if self._interim > MOST_INTERIM:
                    raise refused(f"more than {MOST_INTERIM} interim answers come before it")
                self._begin_again()
                continue
            self.head = head
            self._length = self._missing = length
            self.head_read = True
            if length > self._most_body:
                raise too_long("body", self._most_body)
            self.complete = length == 0
            if length != CHUNKED:
                self._parser = _SPENT
            return data
        return b""

    def _keep(self, data: bytes) -> None:
        """Keep a part of a head; llhttp sees it at once, since what is not HTTP may never end."""
        self._begun += data
        if len(self._begun) > MOST_HEAD:
            raise too_long("head", MOST_HEAD)
        self._parser.feed_data(data)

    def _begin_again(self) -> None:
        self._begun = b""
        self.complete = False
        self._parser = HttpResponseParser(self)

    def _feed_body(self, data: bytes) -> None:
        if self.complete:
            self.surplus = True
            return
        length = self._length
        if length >= 0:
            missing = self._missing = self._missing - len(data)
            if missing <= 0:
                self.complete = True
                if missing:
                    self.surplus = True
                    data = data[:missing]
            self.pieces.append(data)
            return
        before = len(self.pieces)
        if length == CHUNKED:
            self._feed_chunks(data)
        else:
            self.pieces.append(data)
        pieces = len(self.pieces) - before
        come = sum(map(len, self.pieces[before:]))
        self._size += come
        if self._size > self._most_body:
            raise too_long("body", self._most_body)
        # Extensions of chunks and trailers are in no chunk, and have a limit of their own; what
        # a chunk needs for itself does not count.
        more = len(data) - come - _FRAME * pieces
        self._framing = max(0, self._framing + more)
        if self._framing > MOST_HEAD and not self.complete:
            raise too_long("framing", MOST_HEAD)

    def _feed_chunks(self, data: bytes) -> None:
        # An end is the last of these bytes, or there is something behind it. llhttp takes that for
        # another answer, which nothing is taken from.
        could_end = data.endswith(_END) or (data.endswith(b"\n") and len(data) < len(_END))
        try:
            self._parser.feed_data(memoryview(data)[:-1] if could_end else data)
        except HttpParserError as error:
            _raise_interrupt(error)
            if not self.complete:
                raise
        self.surplus = self.complete
        if could_end and not self.complete:
            self._parser.feed_data(data[-1:])
        if self.complete:
            self._parser = _SPENT


def _raise_interrupt(error: Exception) -> None:
    """Raise what is no mistake of an answer, but came while llhttp was calling one of our methods.

    On trio, Ctrl-C is raised wherever the program is. Within a callback httptools puts an error of
    its own in its place, and an answer that is merely read once more would swallow it.
    """
    within = error.__context__
    if isinstance(error, HttpParserCallbackError) and not isinstance(within, Exception | None):
        raise within
