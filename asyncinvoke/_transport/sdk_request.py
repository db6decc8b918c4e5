"""The request that aiobotocore would send, captured unsent and split into a template.

The request is built and signed by aiobotocore's own code only: its original function is called,
even if it is patched, on a stand-in client that does everything except sending. So a tracer neither
sees this extra request nor adds anything to it.

Whatever differs between calls becomes a hole: the time and the token, the payload's hash and
length, the IDs, and the values of three headers. The rest is the same for every call of its kind. A
template is only trusted if filling it with the original values reproduces the signature that
aiobotocore computed. If a later version does something unknown here, the signatures differ, and
requests of such a client fall back to aiobotocore's own `invoke`.
"""

import calendar
import io
import re
import time
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._request.request import LogType
from asyncinvoke._transport.sdk_code import api_call_of
from asyncinvoke._transport.sigv4 import (
    ALGORITHM,
    DATE,
    HOLE,
    TOKEN,
    FrozenCredentials,
    Moment,
    Signer,
)
from asyncinvoke._transport.template import Template, UnsuitableError

INVOKE = "Invoke"
STREAM = "InvokeWithResponseStream"

LARGE = 1_048_576
"""The size in bytes from which aiohttp warns about a payload that is not a file."""


def client_arguments(parameters: InvokeParameters, payload: bytes) -> dict[str, Any]:
    """Return the keyword arguments of `client.invoke`; unset parameters are omitted."""
    target = parameters.target
    arguments = {
        "FunctionName": target.function_name,
        "InvocationType": parameters.invocation_type.value,
        "LogType": None if parameters.log_type is LogType.NONE else parameters.log_type.value,
        "Payload": payload if len(payload) < LARGE else io.BytesIO(payload),
        "Qualifier": target.qualifier,
        "ClientContext": parameters.client_context,
        "TenantId": parameters.tenant_id,
        "DurableExecutionName": parameters.durable_execution_name,
    }
    return {name: value for name, value in arguments.items() if value is not None}


def stream_arguments(parameters: InvokeParameters, payload: bytes) -> dict[str, Any]:
    """Return the keyword arguments of `client.invoke_with_response_stream`."""
    given = client_arguments(parameters, payload)
    # RequestResponse is the default, which aiobotocore does not send.
    del given["InvocationType"]
    return given


def arguments_of(operation: str, parameters: InvokeParameters, payload: bytes) -> dict[str, Any]:
    """Return the keyword arguments of an operation, by its name in the service model."""
    spelled = client_arguments if operation == INVOKE else stream_arguments
    return spelled(parameters, payload)


class NotCapturedError(Exception):
    """aiobotocore did not produce a request."""


async def capture_request(
    client: Any, operation: str, arguments: dict[str, Any], credentials: FrozenCredentials
) -> Any:
    """Return the signed request of an operation, as aiobotocore hands it to its HTTP session.

    Args:
        client: An open client.
        operation: The name of the operation in the service model.
        arguments: Its arguments.
        credentials: The credentials to sign with, even if the client has newer credentials.

    Raises:
        NotCapturedError: aiobotocore did not produce a request.
        Exception: Any error of aiobotocore while building or signing it.
    """
    call: Any = api_call_of(type(client))
    if call is None:
        raise NotCapturedError("aiobotocore's own way to make a call is not to be found")
    capturing = _CapturingClient(client, credentials)
    try:
        await call(capturing, operation, arguments)
    except _CapturedError as captured:
        return captured.request
    raise NotCapturedError("aiobotocore answered a request by itself")


class _CapturedError(Exception):
    """Ends the call with the request."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request


class _CapturingClient:
    """A client that raises `_CapturedError` with its request instead of sending it."""

    def __init__(self, client: Any, credentials: FrozenCredentials) -> None:
        self._client = client
        self._credentials = credentials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def _make_request(
        self, operation_model: Any, request_dict: Any, request_context: Any
    ) -> Any:
        request_dict["context"].setdefault("signing", {})["request_credentials"] = self
        endpoint = self._client._endpoint  # noqa: SLF001
        endpoint._update_retries_context(request_context, 1)  # noqa: SLF001
        raise _CapturedError(await endpoint.create_request(request_dict, operation_model))

    async def get_frozen_credentials(self) -> FrozenCredentials:
        """Return the credentials to sign with; called by aiobotocore."""
        return self._credentials


HOLES = {
    "x-amz-client-context": "client_context",
    "x-amz-durable-execution-name": "durable_execution_name",
    "x-amz-tenant-id": "tenant_id",
}
"""The headers whose values belong to one call, in the order of the signature, and their parameters."""

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

_OF_THE_PAYLOAD = re.compile(
    r"content-encoding|content-md5|transfer-encoding|.*digest|"
    r"x-amz-(checksum-.*|content-sha256|decoded-content-length|trailer)"
)
"""Headers that depend on the payload, if a service model requires checksums or compression."""


async def make_template(
    client: Any, operation: str, parameters: InvokeParameters, moment: Moment
) -> Template:
    """Let aiobotocore build a request, and convert it to a template.

    Raises:
        UnsuitableError: A template would not send the same bytes.
        Exception: Any error of aiobotocore while building or signing the request.
    """
    arguments = arguments_of(operation, parameters, _PAYLOAD)
    try:
        request = await capture_request(client, operation, arguments, moment.credentials)
    except NotCapturedError as error:
        raise UnsuitableError(str(error)) from None
    try:
        return _take_apart(request, parameters, moment)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        # A custom signer or service model may build requests of any shape.
        raise UnsuitableError(f"its request cannot be read: {type(error).__name__}") from None


def _take_apart(request: Any, parameters: InvokeParameters, moment: Moment) -> Template:
    headers = list(request.headers.items())
    seen = {name: _text(value) for name, value in headers}
    by_name = {name.lower(): value for name, value in seen.items()}
    if len(by_name) < len(headers):
        raise UnsuitableError("a header occurs twice")
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
    if algorithm != ALGORITHM or any(map(_OF_THE_PAYLOAD.fullmatch, by_name)):
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
