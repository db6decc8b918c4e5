"""Reads one answer incrementally: llhttp parses heads and chunks, body lengths are counted here."""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import (
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
from asyncinvoke._transport.http.whole import WholeReader, raise_interrupt

_END = b"\r\n\r\n"
_FRAME = 32
"""Bytes of framing per chunk: two line endings, and a size of up to 16 digits plus some zeros."""
_SPENT = HttpResponseParser(object())


class AnswerReader:
    """Reads one answer, and detects exactly where it ends.

    llhttp reports that a message has ended, but not at which byte, and skips empty lines before the
    next message. So each head is cut at its empty line and parsed by a fresh parser, which carries
    no state over from another message. A body of known length is counted and never copied. Only
    chunked bodies are fed to llhttp, and the last byte of a possible end is fed separately.

    Nearly every answer is short and arrives in one piece; a `WholeReader` reads those faster.

    After an `AnswerError`, neither the reader nor its connection can be used again.
    """

    # Class-level defaults, as most answers never change them.
    status = 0
    """The status, once the head has been read."""

    keep_alive = False
    """Whether the head allows keep-alive."""

    head_read = False
    """Whether the head of the final answer has been read, not just of an interim one."""

    complete = False
    """Whether the whole answer has been read."""

    surplus = False
    """Whether bytes arrived after the end of the answer."""

    head = b""
    """The head, once it has been read."""

    _length = 0
    _missing = 0
    _begun = b""
    _is_fresh = True
    _parser = _SPENT
    _answer: Answer | None = None
    _interim = 0
    _size = 0
    _framing = 0

    def __init__(self, most_body: float, whole: WholeReader | None = None) -> None:
        """Create a reader for one answer.

        Args:
            most_body: The maximum size of the body, in bytes; `math.inf` for no limit.
            whole: Tried first, on the first received bytes.
        """
        self._most_body = most_body
        self._whole = whole
        self.pieces: list[bytes] = []
        """The pieces of the body that have arrived and have not been consumed."""

    def answer(self) -> Answer:
        """Return the whole answer, once it is complete."""
        if self._answer is not None:
            return self._answer
        pieces = self.pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return Answer(self.status, self.head, body)

    def begun(self) -> Answer | None:
        """Return the answer without its body, if its head was read; for failed exchanges."""
        return Answer(self.status, self.head, b"") if self.head_read else None

    def feed(self, data: bytes) -> bool:
        """Parse received bytes, and return whether the answer is complete.

        Raises:
            AnswerError: They are not valid HTTP, are rejected, or exceed a limit.
        """
        if self._is_fresh:
            self._is_fresh = False
            if self._whole is not None and self._feed_whole(data, self._whole):
                return True
            self._parser = HttpResponseParser(self)
        try:
            if not self.head_read:
                data = self._feed_head(data)
            if data:
                self._feed_body(data)
        except AnswerError:
            # llhttp reported the end of an answer without a body, whose head was then rejected.
            self.complete = False
            raise
        except HttpParserUpgrade:
            self.complete = False
            raise refused(SWITCHES) from None
        except HttpParserError as error:
            self.complete = False
            raise_interrupt(error)
            # llhttp's messages are constants that quote no data.
            raise refused(str(error)) from None
        return self.complete

    def feed_eof(self, *, is_told: bool = True) -> None:
        """Handle EOF, which may end the answer.

        Args:
            is_told: Whether the peer signalled the end itself. With TLS, an EOF without
                close_notify may be a truncation attack, so it does not complete a body (RFC 9112,
                9.8).

        Raises:
            AnswerError: The connection ended before the answer did.
        """
        if not self.head_read:
            raise AnswerError(
                TransportFault.CONNECTION_LOST, "the connection ended before an answer came"
            )
        if self._length == UNTIL_CLOSE and is_told:
            self.complete = True
        elif not self.complete:
            raise AnswerError(TransportFault.TRUNCATED, "the connection ended in the answer's body")

    def forget(self) -> None:
        """Drop the answer, which its caller has."""
        self._answer = None
        self.pieces.clear()

    def close(self) -> None:
        """Drop the parser, which refers to this reader, to break the reference cycle."""
        self._parser = _SPENT

    def on_headers_complete(self) -> None:
        """Handle the end of a head; called by llhttp."""
        if not self.complete:
            self.status = self._parser.get_status_code()
            self.keep_alive = self._parser.should_keep_alive()

    def on_body(self, piece: bytes) -> None:
        """Handle a piece of a chunk; called by llhttp."""
        if not self.complete:
            self.pieces.append(piece)

    def on_message_complete(self) -> None:
        """Handle the end of the last chunk, or of a message without a body; called by llhttp."""
        self.complete = True

    def _feed_whole(self, data: bytes, whole: WholeReader) -> bool:
        """Read an answer that is exactly `data`; otherwise change nothing."""
        answer = self._answer = whole.read(data, self._most_body)
        if answer is not None:
            self.status = answer.status
            self.keep_alive = whole.keep_alive
            self.head_read = self.complete = True
        return self.complete

    def _feed_head(self, data: bytes) -> bytes:
        """Read heads up to that of the final answer, and return the bytes after it."""
        while data:
            head, data = self._cut_head(data)
            if not head:
                break
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

    def _cut_head(self, data: bytes) -> tuple[bytes, bytes]:
        """Parse up to the end of a head; return that head and the bytes after it.

        Until the end has arrived, the head that is returned is empty.
        """
        if not self._begun:
            end = data.find(_END) + 4
            if end >= 4:
                self._parser.feed_data(data[:end])
                return data[:end], data[end:]
        else:
            tail = self._begun[-3:]
            at = (tail + data).find(_END)
            if at >= 0:
                end = at + 4 - len(tail)
                self._keep(data[:end])
                return self._begun, data[end:]
        self._keep(data)
        return b"", b""

    def _keep(self, data: bytes) -> None:
        """Buffer part of a head; llhttp parses it at once, as non-HTTP data may never end."""
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
        # Chunk extensions and trailers are outside the chunk data and have a limit of their own;
        # the necessary framing of chunks does not count.
        more = len(data) - come - _FRAME * pieces
        self._framing = max(0, self._framing + more)
        if self._framing > MOST_HEAD and not self.complete:
            raise too_long("framing", MOST_HEAD)

    def _feed_chunks(self, data: bytes) -> None:
        # If the end of the answer is not the last of these bytes, there is surplus data. llhttp
        # takes it for another answer, which is ignored.
        could_end = data.endswith(_END) or (data.endswith(b"\n") and len(data) < len(_END))
        try:
            self._parser.feed_data(memoryview(data)[:-1] if could_end else data)
        except HttpParserError as error:
            raise_interrupt(error)
            if not self.complete:
                raise
        self.surplus = self.complete
        if could_end and not self.complete:
            self._parser.feed_data(data[-1:])
        if self.complete:
            self._parser = _SPENT
