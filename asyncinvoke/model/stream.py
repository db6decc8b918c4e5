"""What a response stream begins and ends with."""

import json
from dataclasses import dataclass, field

from asyncinvoke.model.error_body import parse_error_body
from asyncinvoke.model.response import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """The answer that a stream follows."""

    status_code: int
    """The HTTP status."""

    executed_version: str | None = None
    """The version that runs."""

    request_id: str | None = None
    """AWS's id of the request, which the function sees as `aws_request_id`."""

    content_type: str | None = None
    """The `Content-Type` of the answer, which is that of the frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """`InvokeComplete`: the function has returned, or failed."""

    error_code: str | None = None
    """`Unhandled` or another word if the function failed."""

    error_details: str | None = field(default=None, repr=False)
    """What it said about that."""

    log_result: str | None = field(default=None, repr=False)
    """The end of the log, decoded."""

    def reply(self, head: StreamHead) -> Reply:
        """Give what an answer without a stream would have said."""
        return Reply(
            status_code=head.status_code,
            payload=self._payload(),
            executed_version=head.executed_version,
            function_error=self.error_code,
            log_result=self.log_result,
            request_id=head.request_id,
        )

    def _payload(self) -> bytes:
        """Give the body of the function error: the details, where they are one."""
        if self.error_code is None:
            return b""
        details = self.error_details or ""
        body = parse_error_body(details.encode())
        if body.error_type is not None:
            return details.encode()
        return json.dumps(
            {"errorType": self.error_code, "errorMessage": body.error_message or details}
        ).encode()
