"""What aiobotocore would send for a kind of request, taken from its own output and kept for later.

aiobotocore builds and signs one request, which is then taken apart. What belongs to one call becomes
a hole: the time and the token, the hash and the length of the payload, the ids, and the values of
three headers. What is left holds for every call of its kind. A template is only trusted if, filled
with what it was taken from, it gives back the very signature that aiobotocore computed; so whatever
a later aiobotocore does that this code does not know shows as a signature that differs, and such a
client's requests go the long way.
"""

import calendar
import os
import time
from typing import Any
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.arguments import arguments_of
from asyncinvoke._transport.outgoing import first_lines, origin_of
from asyncinvoke._transport.sdk_request import NotShownError, show_request
from asyncinvoke._transport.sigv4 import ALGORITHM, DATE, HOLE, TOKEN, Moment, Signer

_HOLES = {
    "x-amz-client-context": "client_context",
    "x-amz-durable-execution-name": "durable_execution_name",
    "x-amz-tenant-id": "tenant_id",
}
"""Headers whose values belong to one call, in the order of the signature, and where they come from."""

_OF_ONE_CALL = {
    *_HOLES,
    "amz-sdk-invocation-id",
    "authorization",
    "content-length",
    "x-amz-date",
    "x-amz-security-token",
    "x-amzn-trace-id",
}

_PAYLOAD = b'"a payload"'
_STAMP = "%Y%m%dT%H%M%SZ"


class UnsuitableError(Exception):
    """The client does something to its requests that a template cannot repeat."""


class Template:
    """One kind of request without what differs from call to call.

    Args:
        method: The HTTP method.
        url: The whole URL.
        host: The value of the `Host` header, as it is signed.
        headers: The headers that all requests of this kind have in common.
        holes: Names and sources of the headers whose values belong to one call.
        signer: Signs requests of this kind.

    Raises:
        UnsuitableError: They would not make the head of a request.
    """

    __slots__ = (
        "_begin",
        "_fixed",
        "_headers",
        "_holes",
        "_in_lambda",
        "_moment",
        "_signer",
        "method",
        "origin",
        "url",
    )

    def __init__(
        self,
        *,
        method: str,
        url: str,
        host: str,
        headers: dict[str, str],
        holes: tuple[tuple[str, str], ...],
        signer: Signer,
    ) -> None:
        self.method = method
        self.url = url
        self.origin = origin_of(url)
        self._headers = headers
        self._holes = holes
        self._signer = signer
        fixed = first_lines(method, url, host, headers)
        if fixed is None:
            raise UnsuitableError("its URL or a header cannot be written as it is")
        self._fixed = fixed
        self._moment: Moment | None = None
        self._begin = b""
        # There, botocore passes on the trace of the moment; it is not signed.
        self._in_lambda = "AWS_LAMBDA_FUNCTION_NAME" in os.environ

    def head(self, moment: Moment, payload: bytes, parameters: InvokeParameters) -> bytes:
        """Return the head of a request that leaves now, as bytes; all of it but the payload."""
        if self._moment is not moment:
            # What all requests of a second have in common is most of a head.
            self._begin = self._up_to_the_signature(moment)
            self._moment = moment
        values: list[str] = []
        own = ""
        for name, source in self._holes:
            value = getattr(parameters, source)
            values.append(value)
            own += f"{name}: {value}\r\n"
        if self._in_lambda and (trace := _trace()):
            own += f"X-Amzn-Trace-Id: {trace}\r\n"
        signature = self._signer.signature(moment, payload, values)
        return (
            self._begin
            + (
                f"{signature}\r\namz-sdk-invocation-id: {moment.new_id()}\r\n"
                f"Content-Length: {len(payload)}\r\n{own}\r\n"
            ).encode()
        )

    def headers(
        self, moment: Moment, payload: bytes, parameters: InvokeParameters
    ) -> dict[str, str]:
        """Return the same as a mapping, for an HTTP library that adds `Host` and the like itself."""
        values = [getattr(parameters, source) for _, source in self._holes]
        headers = self._headers | {"X-Amz-Date": moment.timestamp}
        if moment.credentials.token is not None:
            headers["X-Amz-Security-Token"] = moment.credentials.token
        signature = self._signer.signature(moment, payload, values)
        headers["Authorization"] = self._signer.prefix(moment) + signature
        headers["amz-sdk-invocation-id"] = moment.new_id()
        headers["Content-Length"] = str(len(payload))
        headers.update(zip((name for name, _ in self._holes), values, strict=True))
        if self._in_lambda and (trace := _trace()):
            headers["X-Amzn-Trace-Id"] = trace
        return headers

    def _up_to_the_signature(self, moment: Moment) -> bytes:
        token = moment.credentials.token
        dated = f"X-Amz-Date: {moment.timestamp}\r\n"
        tokened = "" if token is None else f"X-Amz-Security-Token: {token}\r\n"
        return (
            f"{self._fixed}{dated}{tokened}Authorization: {self._signer.prefix(moment)}"
        ).encode()


class Filled:
    """A template, filled in: a request as it leaves."""

    __slots__ = ("_moment", "_parameters", "_template", "payload")

    def __init__(
        self, template: Template, moment: Moment, parameters: InvokeParameters, payload: bytes
    ) -> None:
        self._template = template
        self._moment = moment
        self._parameters = parameters
        self.payload = payload

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self._template.method

    @property
    def url(self) -> str:
        """The whole URL."""
        return self._template.url

    def headers(self) -> dict[str, str]:
        """Return the headers, for an HTTP library that adds `Host` and the like itself."""
        return self._template.headers(self._moment, self.payload, self._parameters)

    def head(self) -> bytes:
        """Return everything that goes before the body, as bytes."""
        return self._template.head(self._moment, self.payload, self._parameters)


async def make_template(
    client: Any, operation: str, parameters: InvokeParameters, moment: Moment
) -> Template:
    """Let aiobotocore build a request of some kind, and take it apart.

    Raises:
        UnsuitableError: A template would not send the same bytes.
        Exception: Whatever aiobotocore raises where such a request cannot be built or signed.
    """
    arguments = arguments_of(operation, parameters, _PAYLOAD)
    try:
        request = await show_request(client, operation, arguments, moment.credentials)
    except NotShownError as error:
        raise UnsuitableError(str(error)) from None
    return _take_apart(request, parameters, moment)


def _take_apart(request: Any, parameters: InvokeParameters, moment: Moment) -> Template:
    seen = {name: _text(value) for name, value in request.headers.items()}
    by_name = {name.lower(): value for name, value in seen.items()}
    spelled = {name.lower(): name for name in seen}
    authorization = by_name.get("authorization", "")
    try:
        algorithm, scope, signed, _ = authorization.replace(",", "").split(" ")
        *_, region, service, _ = scope.removeprefix("Credential=").rsplit("/", 4)
    except ValueError:
        raise UnsuitableError("the request is not signed by Signature Version 4") from None
    wanted = {
        name: source for name, source in _HOLES.items() if getattr(parameters, source) is not None
    }
    if any(by_name.get(name) != getattr(parameters, source) for name, source in wanted.items()):
        raise UnsuitableError("an option is not in the header where it was expected")
    if algorithm != ALGORITHM or "x-amz-content-sha256" in by_name:
        raise UnsuitableError("the payload is signed in another way")
    signed_headers = signed.removeprefix("SignedHeaders=")
    canonical = _canonical(request, seen, signed_headers, moment, region, service)
    template = Template(
        method=request.method,
        url=request.url,
        host=_host(canonical),
        headers={name: value for name, value in seen.items() if name.lower() not in _OF_ONE_CALL},
        holes=tuple((spelled[name], source) for name, source in wanted.items()),
        signer=Signer(
            canonical=canonical, signed_headers=signed_headers, region=region, service=service
        ),
    )
    then = Moment(moment.credentials, calendar.timegm(time.strptime(by_name["x-amz-date"], _STAMP)))
    if template.headers(then, _PAYLOAD, parameters)["Authorization"] != authorization:
        raise UnsuitableError("its signature is not that of the request as it was seen")
    return template


def _canonical(
    request: Any,
    seen: dict[str, str],
    signed_headers: str,
    moment: Moment,
    region: str,
    service: str,
) -> str:
    """Return the canonical request up to the payload's hash, with its holes."""
    placed = {"x-amz-date": DATE, "x-amz-security-token": TOKEN, **dict.fromkeys(_HOLES, HOLE)}
    names = set(signed_headers.split(";"))
    canonical: str = SigV4Auth(moment.credentials, service, region).canonical_request(
        AWSRequest(
            method=request.method,
            url=request.url,
            headers={
                name: placed.get(name.lower(), value)
                for name, value in seen.items()
                if name.lower() in names
            },
        )
    )
    return canonical[: canonical.rindex("\n") + 1]


def _host(canonical: str) -> str:
    return next(
        line.removeprefix("host:") for line in canonical.split("\n") if line.startswith("host:")
    )


def _trace() -> str:
    return quote(os.environ.get("_X_AMZN_TRACE_ID", ""), safe="-=;:+&[]{}\"',")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
