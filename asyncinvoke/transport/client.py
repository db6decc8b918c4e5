"""The reference transport: one attempt through aiobotocore's own `client.invoke`."""

from collections.abc import Mapping
from typing import Any

from asyncinvoke.model.codec import decode_log_result
from asyncinvoke.model.envelope import Envelope
from asyncinvoke.model.failure import Failure
from asyncinvoke.model.response import Reply
from asyncinvoke.transport.faults import failure_from
from asyncinvoke.transport.parameters import parameters


class ClientTransport:
    """Invokes through an aiobotocore client whose own retries are off."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def send(self, envelope: Envelope, payload: bytes) -> Reply | Failure:
        """Invoke once and read the whole answer; a failure is a value."""
        try:
            answer = await self._client.invoke(**parameters(envelope, payload))
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
