"""The context passed to handlers in this process, with the names of AWS's runtime."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncinvoke.local.execution import logs
from asyncinvoke.local.execution.invocation import Invocation
from asyncinvoke.local.functions.configuration import FunctionConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientContext:
    """What the caller sent as client context."""

    custom: Any = None
    """The `custom` member."""
    env: Any = None
    """The `env` member."""
    client: Any = None
    """The `client` member."""

    @classmethod
    def of(cls, sent: Mapping[str, Any] | None) -> "ClientContext | None":
        """Make it of what the caller sent; None without."""
        if sent is None:
            return None
        return cls(custom=sent.get("custom"), env=sent.get("env"), client=sent.get("client"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaContext:
    """The second argument of an in-process handler."""

    aws_request_id: str
    """The id that the answer carries as `x-amzn-RequestId`."""
    function_name: str
    """The registered name."""
    function_version: str
    """The version that runs: a number or `$LATEST`."""
    invoked_function_arn: str
    """The ARN as invoked, with the qualifier when one was given."""
    memory_limit_in_mb: str
    """The memory size, as text like AWS's runtime gives it."""
    log_group_name: str
    """`/aws/lambda/NAME`."""
    log_stream_name: str
    """A name for this endpoint's run."""
    client_context: ClientContext | None
    """What the caller sent, None without."""
    tenant_id: str | None
    """The request's tenant id."""
    deadline: float = field(repr=False)
    """When the timeout ends, on `time.monotonic`'s clock."""
    identity: None = None
    """Always None: there is no Cognito here."""

    @classmethod
    def of(
        cls,
        invocation: Invocation,
        config: FunctionConfig,
        *,
        log_stream_name: str,
        deadline: float,
    ) -> "LambdaContext":
        """Make the context of one invocation."""
        return cls(
            aws_request_id=invocation.request_id,
            function_name=config.name,
            function_version=config.version,
            invoked_function_arn=invocation.arn,
            memory_limit_in_mb=str(config.memory_size),
            log_group_name=logs.group_name(config.name),
            log_stream_name=log_stream_name,
            client_context=ClientContext.of(invocation.client_context),
            tenant_id=invocation.tenant_id,
            deadline=deadline,
        )

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the timeout, 0 once it has passed."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))
