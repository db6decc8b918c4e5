"""The answers of the canned endpoint, as bytes, by function name; no I/O."""

BODY = b'{"ok": true}'

REFUSED, FAILED, BROKEN = "refused", "failed", "broken"
"""Functions that are not there, that raise, and that Lambda itself fails to run."""

CUT, HUNG = "cut", "hung"
"""Functions whose connection is closed without an answer, and that never answer."""


def answer(status: str, body: bytes, *headers: bytes) -> bytes:
    """Return a complete answer, with Lambda's headers and a few more."""
    more = b"".join(header + b"\r\n" for header in headers)
    return (
        b"HTTP/1.1 %b\r\n"
        b"Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: %d\r\n"
        b"Connection: keep-alive\r\n"
        b"x-amzn-RequestId: 6f1a6d9c-5a0e-4b8e-9b0a-6d1f0c3a2b10\r\n"
        b"%b\r\n%b" % (status.encode(), len(body), more, body)
    )


_RAN = (
    b"x-amzn-Remapped-Content-Length: 0",
    b"X-Amz-Executed-Version: $LATEST",
    b"X-Amzn-Trace-Id: root=1-65f2c0de-1a2b3c4d5e6f708192a3b4c5;sampled=0",
)

OK = answer("200 OK", BODY, *_RAN)

THROTTLED = answer(
    "429 Too Many Requests",
    b'{"Reason": "CallerRateLimitExceeded", "Type": "User", "message": "Rate exceeded"}',
    b"x-amzn-ErrorType: TooManyRequestsException",
)

BY_NAME: dict[bytes, bytes | None] = {
    REFUSED.encode(): answer(
        "404 Not Found",
        b'{"Type": "User", "Message": "Function not found"}',
        b"x-amzn-ErrorType: ResourceNotFoundException",
    ),
    FAILED.encode(): answer(
        "200 OK",
        b'{"errorMessage": "no", "errorType": "ValueError", "stackTrace": []}',
        *_RAN,
        b"X-Amz-Function-Error: Unhandled",
    ),
    BROKEN.encode(): answer(
        "500 Internal Server Error",
        b'{"Type": "Service", "Message": "internal"}',
        b"x-amzn-ErrorType: ServiceException",
    ),
    CUT.encode(): b"",
    HUNG.encode(): None,
}
"""Answers of functions with a name that means something; `None` for none, empty to hang up."""


def stream(size: int, chunk: int) -> bytes:
    """Return the response stream of a function that writes a number of bytes in chunks."""
    # Heavy, and of use to a stream alone.
    from asyncinvoke.local.protocol.event_stream import invoke_complete, payload_chunk

    frames = [payload_chunk(bytes(min(chunk, size - at))) for at in range(0, size, chunk)]
    frames.append(invoke_complete())
    head = (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: application/vnd.amazon.eventstream\r\n"
        b"Transfer-Encoding: chunked\r\n"
        b"x-amzn-RequestId: 6f1a6d9c-5a0e-4b8e-9b0a-6d1f0c3a2b10\r\n"
        b"X-Amz-Executed-Version: $LATEST\r\n\r\n"
    )
    return head + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in frames) + b"0\r\n\r\n"
