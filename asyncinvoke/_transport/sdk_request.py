"""The request that aiobotocore would send, shown and not sent.

aiobotocore's own code builds and signs it, and nobody else's: its function is called as aiobotocore
has defined it, whoever stands before it now, on something that is a client but for the step that
sends. So a tracer sees no request that nobody asked for, and nothing of its own gets into it.
"""

import io
from typing import Any

from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._request.request import LogType
from asyncinvoke._transport.interception import sdk_function
from asyncinvoke._transport.sigv4 import FrozenCredentials

INVOKE = "Invoke"
STREAM = "InvokeWithResponseStream"

LARGE = 1_048_576
"""From this size on, in bytes, aiohttp wants a payload as a file, and warns of bytes."""


def client_arguments(parameters: InvokeParameters, payload: bytes) -> dict[str, Any]:
    """Return the keyword arguments of `client.invoke`; what is not set is left out."""
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
    # RequestResponse is what it does anyway, and aiobotocore spells no default.
    del given["InvocationType"]
    return given


def arguments_of(operation: str, parameters: InvokeParameters, payload: bytes) -> dict[str, Any]:
    """Return the keyword arguments of an operation, by its name in the service model."""
    spelled = client_arguments if operation == INVOKE else stream_arguments
    return spelled(parameters, payload)


class NotShownError(Exception):
    """aiobotocore has shown no request."""


async def show_request(
    client: Any, operation: str, arguments: dict[str, Any], credentials: FrozenCredentials
) -> Any:
    """Return the signed request of an operation, as aiobotocore hands it to its HTTP session.

    Args:
        client: An open client.
        operation: The name of the operation in the service model.
        arguments: Its arguments.
        credentials: What it is signed with, whatever the client has got since.

    Raises:
        NotShownError: There is none to be seen.
        Exception: Whatever aiobotocore raises where it cannot be built or signed.
    """
    call: Any = sdk_function(type(client), "_make_api_call")
    if call is None:
        raise NotShownError("aiobotocore's own way to make a call is not to be found")
    showing = _Showing(client, credentials)
    try:
        await call(showing, operation, arguments)
    except _ShownError as shown:
        return shown.request
    raise NotShownError("aiobotocore answered a request by itself")


class _ShownError(Exception):
    """Ends the call with the request."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request


class _Showing:
    """A client that shows its requests."""

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
        raise _ShownError(await endpoint.create_request(request_dict, operation_model))

    async def get_frozen_credentials(self) -> FrozenCredentials:
        """Return the credentials to sign with, as aiobotocore asks for them."""
        return self._credentials
