"""Parameters and a payload as the arguments of aiobotocore's operations."""

import io
from typing import Any

from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._request.request import LogType

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
