"""An envelope and a payload as the parameters of aiobotocore's operations."""

import io
from typing import Any

from asyncinvoke.model.envelope import Envelope
from asyncinvoke.model.request import LogType

LARGE = 1_048_576
"""From this size on, in bytes, aiohttp wants a payload as a file, and warns of bytes."""


def parameters(envelope: Envelope, payload: bytes) -> dict[str, Any]:
    """Return the keyword arguments of `client.invoke`; what is not set is left out."""
    target = envelope.target
    parameters = {
        "FunctionName": target.function_name,
        "InvocationType": envelope.invocation_type.value,
        "LogType": None if envelope.log_type is LogType.NONE else envelope.log_type.value,
        "Payload": payload if len(payload) < LARGE else io.BytesIO(payload),
        "Qualifier": target.qualifier,
        "ClientContext": envelope.client_context,
        "TenantId": envelope.tenant_id,
        "DurableExecutionName": envelope.durable_execution_name,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def stream_parameters(envelope: Envelope, payload: bytes) -> dict[str, Any]:
    """Return the keyword arguments of `client.invoke_with_response_stream`."""
    given = parameters(envelope, payload)
    # RequestResponse is what it does anyway, and aiobotocore spells no default.
    del given["InvocationType"]
    return given
