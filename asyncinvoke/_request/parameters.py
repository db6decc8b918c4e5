"""All parameters of a request except its payload, validated."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from asyncinvoke._request.payload import encode_client_context
from asyncinvoke._request.request import InvocationType, LogType
from asyncinvoke._request.target import Target, show_value
from asyncinvoke.errors import InvalidRequestError

_EnumT = TypeVar("_EnumT", bound=StrEnum)

# Patterns and lengths of the service model (2015-03-31).
# The tenant is sent in a header, whose value servers strip of surrounding spaces: " a" would become
# tenant "a".
_TENANT_ID = re.compile(r"(?! )[a-zA-Z0-9\._:\/=+\-@ ]{1,256}(?<! )")
_DURABLE_EXECUTION_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeParameters:
    """The target and the AWS options of an invocation; shared by the payloads of a `map`."""

    target: Target
    """The function and its qualifier."""

    invocation_type: InvocationType = InvocationType.REQUEST_RESPONSE
    """How Lambda runs the function."""

    log_type: LogType = LogType.NONE
    """Whether the response includes the log tail."""

    client_context: str | None = field(default=None, repr=False)
    """The client context as it is sent: JSON in base64."""

    tenant_id: str | None = None
    """The tenant, for a function with tenant isolation."""

    durable_execution_name: str | None = None
    """The name of a durable execution."""

    @property
    def repeatable(self) -> bool:
        """Whether Lambda makes repeating harmless: a dry run, or a named durable execution."""
        return (
            self.invocation_type is InvocationType.DRY_RUN
            or self.durable_execution_name is not None
        )

    def identity(self) -> dict[str, str | None]:
        """Return the options that a request is recognized by in a journal: all but the log type."""
        target = self.target
        found = {"function_name": target.function_name, "qualifier": target.qualifier}
        for name in _IDENTIFYING:
            option = getattr(self, name)
            found[name] = option.value if isinstance(option, StrEnum) else option
        return found

    def for_target(self, target: Target) -> "InvokeParameters":
        """Return these parameters for another function."""
        return replace(self, target=target)

    def for_tenant(self, tenant_id: str) -> "InvokeParameters":
        """Return these parameters for a tenant.

        Raises:
            InvalidRequestError: The tenant is invalid.
        """
        return replace(self, tenant_id=_tenant_id(tenant_id))

    def for_one_call(
        self, *, client_context: Mapping[str, object] | None, durable_execution_name: str | None
    ) -> "InvokeParameters":
        """Return these parameters with the two that apply to a single call.

        Raises:
            InvalidRequestError: One of them is invalid.
        """
        return replace(
            self,
            client_context=None
            if client_context is None
            else encode_client_context(client_context),
            durable_execution_name=_durable_execution_name(durable_execution_name),
        )


_IDENTIFYING = tuple(
    name for name in InvokeParameters.__dataclass_fields__ if name not in ("target", "log_type")
)


def checked(
    function_name: str,
    *,
    qualifier: str | None = None,
    invocation_type: str = InvocationType.REQUEST_RESPONSE,
    log_type: str = LogType.NONE,
    client_context: Mapping[str, object] | None = None,
    tenant_id: str | None = None,
    durable_execution_name: str | None = None,
) -> InvokeParameters:
    """Validate the options of an invocation, and return its parameters.

    Raises:
        InvalidRequestError: A value violates one of Lambda's rules; the message names both.
    """
    return InvokeParameters(
        target=Target.parse(function_name, qualifier),
        invocation_type=_member(InvocationType, "invocation_type", invocation_type),
        log_type=_member(LogType, "log_type", log_type),
        client_context=None if client_context is None else encode_client_context(client_context),
        tenant_id=_tenant_id(tenant_id),
        durable_execution_name=_durable_execution_name(durable_execution_name),
    )


def _tenant_id(tenant_id: str | None) -> str | None:
    return _matching(
        _TENANT_ID,
        "tenant_id",
        tenant_id,
        "1 to 256 letters, digits, spaces or any of . _ : / = + - @, with no space at its ends",
    )


def _durable_execution_name(name: str | None) -> str | None:
    return _matching(
        _DURABLE_EXECUTION_NAME,
        "durable_execution_name",
        name,
        "1 to 64 letters, digits, hyphens or underscores",
    )


def check_flag(option: str, value: object) -> bool:
    """Validate a flag: other values are rejected, since the string `"false"`, for one, is true.

    Raises:
        InvalidRequestError: The value is neither `True` nor `False`.
    """
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{option} {show_value(value)} must be True or False")
    return value


def _member(enum: type[_EnumT], option: str, value: str) -> _EnumT:
    # Values that are not strings are not compared: `==` of an array, for example, returns an array.
    for member in enum if isinstance(value, str) else ():
        if member == value:
            return member
    names = ", ".join(enum)
    raise InvalidRequestError(f"{option} {show_value(value)} is not one of {names}")


def _matching(pattern: re.Pattern[str], option: str, value: str | None, rule: str) -> str | None:
    if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
        raise InvalidRequestError(f"{option} {show_value(value)} must be {rule}")
    return value
