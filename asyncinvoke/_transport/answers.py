"""From an HTTP answer to a reply or a failure, as aiobotocore would read it."""

from collections.abc import Mapping
from typing import Any

from botocore.parsers import create_parser

from asyncinvoke._model.codec import decode_log_result
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._transport.exceptions import failure_from


class AnswerReader:
    """Reads the answers of one client; errors through botocore's own parser and model."""

    def __init__(self, client: Any) -> None:
        self._exceptions = client.exceptions
        self._service_model = client.meta.service_model
        self._operation = self._service_model.operation_model("Invoke")
        self._parser = create_parser(self._service_model.resolved_protocol)

    def read(self, status_code: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        """Read an answer.

        Args:
            status_code: The HTTP status.
            headers: The headers, to be had by name in lower case.
            body: The whole body.
        """
        if status_code >= 300:
            return failure_from(self._error(status_code, headers, body))
        return Reply(
            status_code=status_code,
            payload=body,
            executed_version=headers.get("x-amz-executed-version"),
            function_error=headers.get("x-amz-function-error") or None,
            log_result=decode_log_result(headers.get("x-amz-log-result")),
            request_id=headers.get("x-amzn-requestid"),
            durable_execution_arn=headers.get("x-amz-durable-execution-arn"),
        )

    def _error(self, status_code: int, headers: Mapping[str, str], body: bytes) -> Exception:
        lower = {name.lower(): value for name, value in headers.items()}
        answer = {"status_code": status_code, "headers": lower, "body": body, "context": {}}
        try:
            parsed = self._parser.parse(answer, self._operation.output_shape)
            code = parsed.get("Error", {}).get("Code")
            shape = self._service_model.shape_for_error_code(code)
            if shape is not None:
                # This puts `Reason` and the like beside `Error`.
                parsed.update(self._parser.parse(answer, shape))
        except Exception as broken:  # noqa: BLE001  # a hostile body may break the parser
            return broken
        error_type: type[Exception] = self._exceptions.from_code(code)
        return error_type(parsed, self._operation.name)
