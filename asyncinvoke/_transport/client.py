"""An parameters and a payload as the parameters of aiobotocore's operations."""

import io
from collections.abc import Mapping
from typing import Any

from asyncinvoke._model.codec import decode_log_result
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._request.request import LogType
from asyncinvoke._transport.exceptions import failure_from

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


class ClientTransport:
    """Invokes through an aiobotocore client whose own retries are off."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Invoke once and read the whole answer; a failure is a value."""
        progress.phase = Phase.WRITTEN  # as far as it may have come
        try:
            answer = await self._client.invoke(**client_arguments(parameters, payload))
            # Leaving the block closes the connection unless the whole body has been read.
            async with answer["Payload"] as body:
                content = await body.read()
        except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
            return failure_from(error)
        return _reply(answer, content)


def _reply(answer: Mapping[str, Any], content: bytes) -> Reply:
    return Reply(
        status_code=answer["StatusCode"],
        payload=content,
        executed_version=answer.get("ExecutedVersion"),
        function_error=answer.get("FunctionError") or None,
        log_result=decode_log_result(answer.get("LogResult")),
        request_id=answer["ResponseMetadata"].get("RequestId"),
        durable_execution_arn=answer.get("DurableExecutionArn"),
    )
