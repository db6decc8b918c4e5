"""Makes templates: what aiobotocore would send for a kind of request, taken from its own output.

aiobotocore builds and signs one request, which is then taken apart. What belongs to one call becomes
a hole: the time and the token, the hash and the length of the payload, the ids, and the values of
three headers. What is left holds for every call of its kind. A template is only trusted if, filled
with what it was taken from, it gives back the very signature that aiobotocore computed; so whatever
a later aiobotocore does that this code does not know shows as a signature that differs, and such a
client's requests go the long way.
"""

import calendar
import time
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.sdk_request import NotShownError, arguments_of, show_request
from asyncinvoke._transport.sigv4 import ALGORITHM, DATE, HOLE, TOKEN, Moment, Signer
from asyncinvoke._transport.template import Template, UnsuitableError

HOLES = {
    "x-amz-client-context": "client_context",
    "x-amz-durable-execution-name": "durable_execution_name",
    "x-amz-tenant-id": "tenant_id",
}
"""Headers whose values belong to one call, in the order of the signature, and where they come from."""

_OF_ONE_CALL = {
    *HOLES,
    "amz-sdk-invocation-id",
    "authorization",
    "content-length",
    "x-amz-date",
    "x-amz-security-token",
    "x-amzn-trace-id",
}

_PAYLOAD = b'"a payload"'
_STAMP = "%Y%m%dT%H%M%SZ"


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
        name: source for name, source in HOLES.items() if getattr(parameters, source) is not None
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
    placed = {"x-amz-date": DATE, "x-amz-security-token": TOKEN, **dict.fromkeys(HOLES, HOLE)}
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


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
