"""The response of `InvokeWithResponseStream`: frames while the handler is running, then a final one."""

import contextlib

from aiohttp import HttpVersion11, web

from asyncinvoke.local.protocol import answers, event_stream
from asyncinvoke.local.protocol.answers import Answer

# GUESS: not recorded from AWS (docs/fidelity.md)
LARGEST_CHUNK = 1_048_576  # maximum bytes in one PayloadChunk


class StreamedAnswer:
    """Writes one response; its head is sent with the first piece, or at the end."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._head: Answer | None = None
        self._response: web.StreamResponse | None = None
        self._is_gone = False

    def begin(self, head: Answer) -> None:
        """Store the status and headers until the first write."""
        self._head = head

    async def write(self, piece: bytes) -> None:
        """Send a piece, and wait until the client is ready for the next."""
        for start in range(0, len(piece), LARGEST_CHUNK):
            await self._send(event_stream.payload_chunk(piece[start : start + LARGEST_CHUNK]))

    async def finish(self, answer: Answer) -> web.StreamResponse | None:
        """End the stream and return its response; None if no stream was started.

        Args:
            answer: The response of an ordinary Invoke. Without pieces, its body is the only one.
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
        # As in AWS, the function continues after the client has disconnected.
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
    """A stream that is collected, because a fault will drop or truncate it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def begin(self, head: Answer) -> None:
        """Ignore the head, which is the same for every stream."""

    async def write(self, piece: bytes) -> None:
        """Collect a piece."""
        self._pieces.append(piece)

    def finish(self, answer: Answer) -> Answer:
        """Return the response, with frames as its body.

        Args:
            answer: The response of an ordinary Invoke.
        """
        return answers.as_stream(answer, self._pieces)


def begun(
    request: web.BaseRequest, status_code: int, headers: dict[str, str]
) -> web.StreamResponse:
    """Return a streamed response, in chunks if the client supports them."""
    response = web.StreamResponse(status=status_code, headers=headers)
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    return response
