"""What stays the same for every payload of an invocation: where it goes and how it is treated."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict, cast

from asyncinvoke._model.codec import Decode
from asyncinvoke._request.parameters import InvokeParameters, check_flag, checked
from asyncinvoke._request.request import (
    InvocationType,
    InvocationTypeName,
    LogType,
    LogTypeName,
    Request,
)
from asyncinvoke._request.target import Target, show_value
from asyncinvoke._retries.policy import RetryPolicy
from asyncinvoke.errors import InvalidRequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An parameters and the caller's wishes for its execution."""

    parameters: InvokeParameters
    """The function and AWS's options."""

    policy: RetryPolicy
    """What is repeated, and how."""

    decode: Decode
    """The codec of the response."""

    timeout: float | None = None
    """Total time for an execution, in seconds; `None` for no end."""

    idempotent: bool = False
    """Whether the caller says that running it twice does no harm."""

    raise_on_function_error: bool = True
    """Whether a function that failed is an error, or a response."""

    @property
    def repeatable(self) -> bool:
        """Whether an attempt that may have run may be repeated."""
        return self.idempotent or self.parameters.repeatable


class InvokeOptions(TypedDict, total=False):
    """The options of `Invoker.invoke`, for those who pass them on."""

    invocation_type: InvocationTypeName
    log_type: LogTypeName
    client_context: Mapping[str, object] | None
    qualifier: str | None
    tenant_id: str | None
    durable_execution_name: str | None
    timeout: float | None
    idempotent: bool | None
    retry: RetryPolicy | None
    raise_on_function_error: bool


class StreamOptions(TypedDict, total=False):
    """The options of `Invoker.stream`, for those who pass them on."""

    log_type: LogTypeName
    client_context: Mapping[str, object] | None
    qualifier: str | None
    tenant_id: str | None
    timeout: float | None
    idempotent: bool | None
    retry: RetryPolicy | None
    raise_on_function_error: bool


class MapOptions(InvokeOptions, total=False):
    """The options of `Invoker.map`, for those who pass them on."""

    concurrency: int | None
    ordered: bool
    key: Callable[[Any], str] | None


_STREAM_HAS_NO = {
    "invocation_type": (None, InvocationType.REQUEST_RESPONSE),
    "durable_execution_name": (None,),
}


def stream_options(options: InvokeOptions) -> StreamOptions:
    """Return those of an invocation's options that a stream has.

    Raises:
        InvalidRequestError: One of the others is set.
    """
    given: dict[str, Any] = dict(options)
    for name, allowed in _STREAM_HAS_NO.items():
        value = given.pop(name, None)
        if value not in allowed:
            raise InvalidRequestError(f"{name} {value!r} does not go with a response stream")
    return cast("StreamOptions", given)


_OF_A_REQUEST = (
    "function_name",
    "invocation_type",
    "log_type",
    "client_context",
    "tenant_id",
    "durable_execution_name",
    "timeout",
    "idempotent",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller asked for, not yet checked."""

    function_name: str
    """The function, in any form."""

    retry: RetryPolicy
    """What is repeated, and how."""

    decode: Decode
    """The codec of the response."""

    qualifier: str | None = None
    """A version, an alias or `$LATEST`."""

    invocation_type: str = InvocationType.REQUEST_RESPONSE
    """How Lambda runs the function."""

    log_type: str = LogType.NONE
    """Whether the answer carries the end of the log."""

    client_context: Mapping[str, object] | None = field(default=None, repr=False)
    """Passed to the function."""

    tenant_id: str | None = None
    """The tenant."""

    durable_execution_name: str | None = None
    """Names a durable execution."""

    timeout: float | None = None
    """Total time, in seconds; `None` or infinity for no end."""

    idempotent: bool = False
    """Whether running it twice does no harm."""

    raise_on_function_error: bool = True
    """Whether a function that failed is an error."""

    def check(self) -> Call:
        """Check everything but the payload.

        Raises:
            InvalidRequestError: A value breaks a rule; the message names both.
        """
        if not isinstance(self.retry, RetryPolicy):
            raise InvalidRequestError(f"retry {show_value(self.retry)} must be a RetryPolicy")
        return Call(
            parameters=checked(
                self.function_name,
                qualifier=self.qualifier,
                invocation_type=self.invocation_type,
                log_type=self.log_type,
                client_context=self.client_context,
                tenant_id=self.tenant_id,
                durable_execution_name=self.durable_execution_name,
            ),
            policy=self.retry,
            decode=self.decode,
            timeout=check_timeout(self.timeout),
            idempotent=check_flag("idempotent", self.idempotent),
            raise_on_function_error=check_flag(
                "raise_on_function_error", self.raise_on_function_error
            ),
        )

    def overridden_by(self, request: Request) -> "Options":
        """Return these options with those of one item of a map in their place."""
        own = {name: getattr(request, name) for name in _OF_A_REQUEST}
        own = {name: value for name, value in own.items() if value is not None}
        if request.function_name is not None:
            # Another function does not take over the qualifier of the map's; the same one does.
            own["qualifier"] = request.qualifier
            asked = Target.parse(request.function_name)
            ours = Target.parse(self.function_name, self.qualifier)
            if request.qualifier is None and asked.qualifier is None and asked.may_be(ours):
                own["qualifier"] = ours.qualifier
        elif request.qualifier is not None:
            # It replaces one that is written behind the map's function, too.
            own["function_name"] = Target.parse(self.function_name).function_name
            own["qualifier"] = request.qualifier
        return replace(self, **own) if own else self


def check_timeout(timeout: float | None) -> float | None:
    """Return it in seconds, `None` for no end.

    Raises:
        InvalidRequestError: It is not a number above 0.
    """
    if timeout is None:
        return None
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    try:
        seconds = float(timeout) if is_number else math.nan
    except OverflowError:  # an integer beyond every float
        seconds = math.inf if timeout > 0 else math.nan
    if not seconds > 0:
        raise InvalidRequestError(
            f"timeout {show_value(timeout)} must be a number of seconds above 0"
        )
    return None if math.isinf(seconds) else seconds
