"""What aiobotocore would send for an parameters, taken from its own output and kept for later.

aiobotocore builds and signs one request with an empty payload; its `before-send` event shows it,
and nothing leaves. What differs from call to call is then cut out. A template is only trusted if it
gives back the very signature that aiobotocore computed.
"""

import os
import random
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.client import client_arguments
from asyncinvoke._transport.sigv4 import DATE, TOKEN, Credentials, Signer

_BEFORE_SEND = "before-send.lambda.Invoke"
_TRACE_ID = "X-Amzn-Trace-Id"
_capturing: ContextVar[bool] = ContextVar("_capturing", default=False)


class Template:
    """One request without what differs from call to call."""

    __slots__ = ("_headers", "_in_lambda", "_signer", "method", "url")

    def __init__(self, *, method: str, url: str, headers: dict[str, str], signer: Signer) -> None:
        self.method = method
        self.url = url
        self._headers = headers
        self._signer = signer
        # There, botocore passes on the trace of the moment; it is not signed.
        self._in_lambda = "AWS_LAMBDA_FUNCTION_NAME" in os.environ

    def headers(self, credentials: Credentials, timestamp: str, payload: bytes) -> dict[str, str]:
        """Return the headers of a request that leaves now."""
        headers = self._headers.copy()
        headers["X-Amz-Date"] = timestamp
        if credentials.token is not None:
            headers["X-Amz-Security-Token"] = credentials.token
        headers["Authorization"] = self._signer.authorization(credentials, timestamp, payload)
        headers["amz-sdk-invocation-id"] = _new_id()
        headers["Content-Length"] = str(len(payload))
        if self._in_lambda and (trace_id := os.environ.get("_X_AMZN_TRACE_ID")):
            headers[_TRACE_ID] = quote(trace_id, safe="-=;:+&[]{}\"',")
        return headers


class UnsuitableError(Exception):
    """The client does something to its requests that a template cannot repeat."""


async def make_template(
    client: Any, parameters: InvokeParameters, credentials: Credentials
) -> Template:
    """Let aiobotocore build the request of an parameters and take it apart.

    Raises:
        UnsuitableError: A template would not send the same bytes.
    """
    token = _capturing.set(True)
    # Registered for this one call, and each time anew: whoever else uses the client, another
    # invoker included, must not be able to take it away, or the empty request would be sent.
    client.meta.events.register(_BEFORE_SEND, _capture)
    try:
        await client.invoke(**client_arguments(parameters, b""))
    except _CapturedError as captured:
        request = captured.request
    else:
        raise UnsuitableError("the request was answered before it was sent")
    finally:
        client.meta.events.unregister(_BEFORE_SEND, _capture)
        _capturing.reset(token)
    return _take_apart(request, credentials)


class _CapturedError(Exception):
    def __init__(self, request: Any) -> None:
        super().__init__("the request is shown, not sent")
        self.request = request


def _capture(request: Any, **_: object) -> None:
    if _capturing.get():
        raise _CapturedError(request)


def _take_apart(request: Any, credentials: Credentials) -> Template:
    headers = {name: _text(value) for name, value in request.headers.items()}
    authorization = headers.get("Authorization", "")
    try:
        algorithm, scope, signed, _ = authorization.replace(",", "").split(" ")
        _, day, region, service, _ = scope.removeprefix("Credential=").rsplit("/", 4)
    except ValueError:
        raise UnsuitableError("the request is not signed by Signature Version 4") from None
    signed_headers = signed.removeprefix("SignedHeaders=")
    timestamp = headers["X-Amz-Date"]
    placed = {**headers, "X-Amz-Date": DATE}
    if credentials.token is not None:
        placed["X-Amz-Security-Token"] = TOKEN
    names = set(signed_headers.split(";"))
    canonical = SigV4Auth(credentials, service, region).canonical_request(
        AWSRequest(
            method=request.method,
            url=request.url,
            headers={name: value for name, value in placed.items() if name.lower() in names},
        )
    )
    # The last line is the hash of the payload.
    prefix = canonical[: canonical.rindex("\n") + 1]
    signer = Signer(canonical=prefix, signed_headers=signed_headers, region=region, service=service)
    template = Template(
        method=request.method,
        url=request.url,
        headers={name: value for name, value in headers.items() if name != _TRACE_ID},
        signer=signer,
    )
    again = template.headers(credentials, timestamp, b"")
    if algorithm != "AWS4-HMAC-SHA256" or again["Authorization"] != authorization or not day:
        raise UnsuitableError("its signature is not that of the request as it was seen")
    return template


def _new_id() -> str:
    """Return a random UUID (version 4), without the detour through `uuid.UUID`."""
    digits = f"{random.getrandbits(128):032x}"  # tells attempts apart, guards nothing
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _text(value: str | bytes) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else value
