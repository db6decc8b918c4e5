"""The context passed to handlers in this process, with the names of AWS's runtime."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncinvoke.local.execution import logs
from asyncinvoke.local.execution.invocation import Invocation
from asyncinvoke.local.functions.configuration import FunctionConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The mobile app of a client context; members that were not sent are None."""

    installation_id: Any = None
    """The `installation_id` member."""
    app_title: Any = None
    """The `app_title` member."""
    app_version_name: Any = None
    """The `app_version_name` member."""
    app_version_code: Any = None
    """The `app_version_code` member."""
    app_package_name: Any = None
    """The `app_package_name` member."""

    @classmethod
    def of(cls, sent: object) -> "Client | None":
        """Return the `client` member of a client context; None without one."""
        if not isinstance(sent, Mapping):
            return None
        return cls(**{name: sent.get(name) for name in cls.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientContext:
    """The client context sent by the caller."""

    custom: Any = None
    """The `custom` member."""
    env: Any = None
    """The `env` member."""
    client: Client | None = None
    """The `client` member."""

    @classmethod
    def of(cls, sent: Mapping[str, Any] | None) -> "ClientContext | None":
        """Return the parsed client context; None if the caller sent none."""
        if sent is None:
            return None
        client = Client.of(sent.get("client"))
        return cls(custom=sent.get("custom"), env=sent.get("env"), client=client)


@dataclass(frozen=True, slots=True, kw_only=True)
class CognitoIdentity:
    """The identity of a mobile app's user; Cognito is not supported, so both are None."""

    cognito_identity_id: None = None
    """The identity."""
    cognito_identity_pool_id: None = None
    """The pool that it belongs to."""


@dataclass(eq=False, kw_only=True)
class LambdaContext:
    """The second argument of an in-process handler.

    Like that of AWS's runtime, it takes other attributes too: middleware of handlers sets some.
    """

    aws_request_id: str
    """The request id, as in the response's `x-amzn-RequestId`."""
    function_name: str
    """The registered name."""
    function_version: str
    """The version: a number or `$LATEST`."""
    invoked_function_arn: str
    """The ARN as invoked, with the qualifier if one was given."""
    memory_limit_in_mb: str
    """The memory size in MB, as text, as in AWS's runtime."""
    log_group_name: str
    """`/aws/lambda/NAME`."""
    log_stream_name: str
    """The log stream, one per version and run of the endpoint."""
    client_context: ClientContext | None
    """The client context; None if the caller sent none."""
    tenant_id: str | None
    """The tenant id of the request."""
    deadline: float = field(repr=False)
    """The time of the timeout, on the clock of `time.monotonic`."""
    identity: CognitoIdentity = CognitoIdentity()
    """The identity of a mobile app's user."""

    @classmethod
    def of(
        cls,
        invocation: Invocation,
        config: FunctionConfig,
        *,
        log_stream_name: str,
        deadline: float,
    ) -> "LambdaContext":
        """Return the context of an invocation."""
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
        """Return the milliseconds until the timeout; 0 once it has passed."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))
