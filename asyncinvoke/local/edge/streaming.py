"""The answer of `InvokeWithResponseStream`: frames while the handler runs, then a final one."""

import contextlib

from aiohttp import HttpVersion11, web

from asyncinvoke.local.protocol import answers, event_stream
from asyncinvoke.local.protocol.answers import Answer

# GUESS: not recorded from AWS (docs/fidelity.md)
LARGEST_CHUNK = 1_048_576  # bytes of one piece that go into one PayloadChunk


class StreamedAnswer:
    """Writes one answer; its head goes out with the first piece, or the end."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._head: Answer | None = None
        self._response: web.StreamResponse | None = None
        self._is_gone = False

    def begin(self, head: Answer) -> None:
        """Keep the status and the headers until something is written."""
        self._head = head

    async def write(self, piece: bytes) -> None:
        """Send a piece, and wait until the client may be sent another."""
        for start in range(0, len(piece), LARGEST_CHUNK):
            await self._send(event_stream.payload_chunk(piece[start : start + LARGEST_CHUNK]))

    async def finish(self, answer: Answer) -> web.StreamResponse | None:
        """End the stream; None if there is no stream to end.

        Args:
            answer: What an Invoke would have answered. Without pieces, its body is the only one.
        """
        if self._head is None or answer.status_code != 200:
            return None
        if answer.payload and not answers.has_failed(answer):
            await self.write(answer.payload)
        await self._send(answers.last_frame(answer))
        response = await self._open()
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response

    async def _send(self, frame: bytes) -> None:
        response = await self._open()
        # A function runs on for a client that went away, as it does in AWS.
        if not self._is_gone:
            try:
                await response.write(frame)
            except ConnectionError:
                self._is_gone = True

    async def _open(self) -> web.StreamResponse:
        if self._response is None:
            if self._head is None:
                raise RuntimeError("a stream has no head")
            headers = dict(self._head.headers)
            if self._request.keep_alive:
                headers["Connection"] = "keep-alive"
            self._response = begun(self._request, self._head.status_code, headers)
            try:
                await self._response.prepare(self._request)
            except ConnectionError:
                self._is_gone = True
        return self._response


class CollectedStream:
    """A stream whose answer will be lost or cut."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def begin(self, head: Answer) -> None:
        """Take the head, which is that of every stream."""

    async def write(self, piece: bytes) -> None:
        """Keep a piece."""
        self._pieces.append(piece)

    def finish(self, answer: Answer) -> Answer:
        """Return the answer whose body is made of frames.

        Args:
            answer: What an Invoke would have answered.
        """
        return answers.as_stream(answer, self._pieces)


def begun(
    request: web.BaseRequest, status_code: int, headers: dict[str, str]
) -> web.StreamResponse:
    """Return a response whose body comes in chunks, where the client knows them."""
    response = web.StreamResponse(status=status_code, headers=headers)
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    return response
