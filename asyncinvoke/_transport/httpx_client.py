"""The part of an httpx client that aiobotocore uses, with what httpcore leaves undone."""

import ssl
import weakref
from typing import Any

import anyio

from asyncinvoke._model.delivery import Phase, Progress


class TracedClient:
    """The part of an httpx client that aiobotocore uses, for one request; it records when that is written.

    httpcore leaks a connection whose TLS handshake is cancelled: it stays open until the garbage
    collector runs. So it is closed here. And httpcore takes what follows an answer for the answer
    to the next request. So a connection that has read more is not used again.
    """

    def __init__(self, session: Any, progress: Progress) -> None:
        self._session = session
        self._progress = progress
        self._stream: Any = None  # of a connection being opened
        self._answer: weakref.ref[Any] | None = None  # which refers to this object

    def build_request(self, *, extensions: dict[str, Any], **options: Any) -> Any:
        """Build a request that reports its progress."""
        return self._session.build_request(
            extensions={**extensions, "trace": self._trace}, **options
        )

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request."""
        answer = await self._session.send(request, **options)
        self._answer = weakref.ref(answer)
        return answer

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        elif event.endswith("start_tls.failed") and self._stream is not None:
            stream, self._stream = self._stream, None
            if not isinstance(info["exception"], Exception):  # else httpcore closes it
                with anyio.CancelScope(shield=True):
                    await stream.aclose()
        elif event == "http11.receive_response_body.complete" and self._answer is not None:
            _keep_only_if_quiet(self._answer())
        if not event.endswith("send_request_headers.started"):
            return
        request = info["request"]
        if request.method == b"CONNECT":
            # A tunnel through a proxy is opened by a request of its own, for whose answer httpcore
            # would wait as long as for that of Lambda.
            timeouts = request.extensions.get("timeout", {})
            timeouts = {**timeouts, "read": timeouts.get("connect")}
            request.extensions = {**request.extensions, "timeout": timeouts}
        else:
            self._stream = None
            self._progress.phase = Phase.WRITTEN


def _keep_only_if_quiet(answer: Any) -> None:
    """Make httpcore close the connection of a complete answer if more has been read from it.

    httpcore itself looks only for data that is still in the kernel, before it uses a connection.
    """
    parser = getattr(answer, "stream", None)
    # Through the wrappers of httpx and httpcore's pool to the connection, and its state in h11.
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state"):
        parser = getattr(parser, name, None)
    if parser is None:  # a mock's
        return
    tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
    if parser.trailing_data[0] or (tls is not None and _has_more(tls)):
        parser.send_failed()  # which is how h11 is told not to begin another cycle


def _has_more(tls: ssl.SSLObject) -> bool:
    """Return whether anything has been received and not read yet, such as data or a close_notify."""
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        return True
    return True
