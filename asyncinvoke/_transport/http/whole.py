"""Reads an answer that arrives in one piece, as nearly every answer does; llhttp parses all of it."""

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
)

from asyncinvoke._transport.http.answer import BODILESS, Answer

_END = b"\r\n\r\n"
_SHORT = 16_384
"""The size of what is read here at most, in bytes, as it may have to be parsed again."""


class WholeReader:
    """Reads short answers of known length that arrive in one piece, one after another.

    llhttp gets all of the received bytes, and the result is used if head and body make up exactly
    these. Nothing is kept of anything else (chunked, interim, incomplete, followed by more data, or
    not valid); an `AnswerReader` parses it from its first byte.

    llhttp is made for one message after another, so a parser that has read an answer to its last
    byte is used for the next one. A new parser would cost a sixth of reading an answer.
    """

    __slots__ = ("_parser", "_pieces", "_status", "keep_alive", "on_body")

    def __init__(self) -> None:
        self._parser: HttpResponseParser | None = None
        self._pieces: list[bytes] = []
        self._status = 0
        self.keep_alive = False
        """Whether the last answer allows keep-alive."""
        self.on_body = self._pieces.append
        """Called by llhttp with the body; a method of a list, as a function in Python costs more."""

    def read(self, data: bytes, most_body: float) -> Answer | None:
        """Return the answer if `data` is exactly one; else `None`.

        Args:
            data: The first received bytes of an answer.
            most_body: The maximum size of its body, in bytes.
        """
        if len(data) > _SHORT:
            return None
        if self._parser is None:
            self._parser = HttpResponseParser(self)
        self._status = 0
        pieces = self._pieces
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.close()
            raise_interrupt(error)
            return None
        end = data.find(_END) + 4
        head = data[:end]
        body = pieces.pop() if pieces else b""  # of several, each is too short
        status = self._status
        if (
            status >= 200
            and len(body) == len(data) - end <= most_body
            and status not in BODILESS
            and head.startswith(b"HTTP/1.1 ")
            and 0 not in head
        ):
            return Answer(status, head, body)
        self.close()
        return None

    def close(self) -> None:
        """Drop the parser, which refers to this reader, to break the reference cycle."""
        self._parser = None
        self._pieces.clear()

    def on_message_complete(self) -> None:
        """Handle the end of a message; called by llhttp, which knows `keep_alive` until then."""
        parser = self._parser
        if parser is not None:
            self._status = parser.get_status_code()
            self.keep_alive = parser.should_keep_alive()


def raise_interrupt(error: Exception) -> None:
    """Raise an interrupt that arrived while llhttp was calling one of our methods.

    On trio, `KeyboardInterrupt` can be raised anywhere. If raised within a callback, httptools
    replaces it by an error of its own, and parsing the answer again would swallow it.
    """
    within = error.__context__
    if isinstance(error, HttpParserCallbackError) and not isinstance(within, Exception | None):
        raise within
