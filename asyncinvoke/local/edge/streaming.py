"""The answer of `InvokeWithResponseStream`: frames while the handler runs, and one that ends them."""

import contextlib

from aiohttp import HttpVersion11, web

from asyncinvoke.local.protocol import event_stream
from asyncinvoke.local.protocol.answers import Answer

# Never recorded from AWS, so chosen here; correct them in this one place.
LARGEST_CHUNK = 1_048_576  # bytes of one piece that go into one PayloadChunk


def has_failed(answer: Answer) -> bool:
    """Tell whether what an Invoke would have answered is a function error."""
    return "X-Amz-Function-Error" in answer.headers


def last_frame(answer: Answer) -> bytes:
    """Return the frame that ends a stream, by what an Invoke would have answered."""
    return event_stream.last_frame(
        error=answer.body if has_failed(answer) else None,
        log_result=answer.headers.get("X-Amz-Log-Result"),
    )


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
        """End the stream by what the function came to; None if there is no stream to end.

        Args:
            answer: What an Invoke would have answered. Without pieces, its body is the only one.
        """
        if self._head is None or answer.status != 200:
            return None
        if answer.body and not has_failed(answer):
            await self.write(answer.body)
        await self._send(last_frame(answer))
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
            self._response = web.StreamResponse(status=self._head.status, headers=headers)
            if self._request.version >= HttpVersion11:
                self._response.enable_chunked_encoding()
            try:
                await self._response.prepare(self._request)
            except ConnectionError:
                self._is_gone = True
        return self._response
