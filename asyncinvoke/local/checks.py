"""The checks of an Invoke request: names, size, content, function and state, in AWS's order.

No I/O, no clock. Each check raises the `Refusal` that becomes the response; management operations use
some of them too. Names are deliberately not checked by `asyncinvoke._request`: client and server must
be able to disagree.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from asyncinvoke.local.execution.invocation import Invocation
from asyncinvoke.local.functions.configuration import FunctionConfig
from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.protocol import names, received, refusals
from asyncinvoke.local.protocol.names import LATEST, FunctionName
from asyncinvoke.local.protocol.received import ReceivedInvocation

INVOCATION_TYPES = ("Event", "RequestResponse", "DryRun")
STREAMING_INVOCATION_TYPES = ("RequestResponse", "DryRun")
LOG_TYPES = ("None", "Tail")

TENANT_PATTERN = r"[a-zA-Z0-9\._:\/=+\-@ ]+"
"""`TenantId` in botocore's `lambda/2015-03-31` model."""

EXECUTION_PATTERN = "[a-zA-Z0-9-_]+"
"""`DurableExecutionName` of the same model."""


def check_invocation(
    request: ReceivedInvocation,
    name: FunctionName | None,
    functions: Mapping[str, Versions],
    *,
    now: float,
    region_name: str,
    account_id: str,
    trace_id: str,
    chance: float = 1.0,
) -> Invocation:
    """Validate a request and return its invocation.

    Args:
        request: The request.
        name: The parsed function name; None if it does not match the pattern.
        functions: All functions, by name.
        now: The time in seconds of the monotonic clock.
        region_name: The endpoint's region.
        account_id: The endpoint's account.
        trace_id: The trace id of the invocation.
        chance: A random number from 0.0 to 1.0, which selects a version by an alias's weights.

    Raises:
        Refusal: The request is refused.
    """
    violations = header_violations(request)
    name = check_name(request.function_name, name, request.qualifier, violations)
    qualifier = one_qualifier(name, request.qualifier, region_name=region_name)
    check_size(request)
    event, client_context = read_event(request.payload), read_client_context(request)
    versions, config = find_version(
        functions,
        name,
        qualifier,
        region_name=region_name,
        account_id=account_id,
        chance=chance,
    )
    check_active(versions, config, now=now)
    return invocation_of(
        request, config, qualifier, event=event, client_context=client_context, trace_id=trace_id
    )


def check_name(
    text: str, name: FunctionName | None, qualifier: str | None, violations: Sequence[str] = ()
) -> FunctionName:
    """Return the function name of a request.

    Args:
        text: The name, ARN or partial ARN, as given.
        name: The same, parsed; None if it does not match the pattern.
        qualifier: The `Qualifier` of the query.
        violations: Other constraints that the request violates, for the same response.

    Raises:
        Refusal: The request violates a constraint.
    """
    found = [*names.violations(text, name, qualifier), *violations]
    if found or name is None:
        raise refusals.violated(found)
    return name


def one_qualifier(name: FunctionName, qualifier: str | None, *, region_name: str) -> str | None:
    """Return the qualifier of a request, from the name or the query.

    Raises:
        Refusal: The two differ, or the ARN is of another region.
    """
    if name.region not in (None, region_name):
        raise refusals.wrong_region(str(name.region), region_name)
    if None not in (name.qualifier, qualifier) and name.qualifier != qualifier:
        raise refusals.qualifiers_differ()
    return name.qualifier or qualifier


def header_violations(request: ReceivedInvocation) -> list[str]:
    """Return the constraints that are violated by the parameters in headers."""
    types = STREAMING_INVOCATION_TYPES if request.streams else INVOCATION_TYPES
    execution = None if request.streams else request.durable_execution_name  # not read for a stream
    return [
        *names.not_one_of(request.invocation_type, "invocationType", types),
        *names.not_one_of(request.log_type, "logType", LOG_TYPES),
        *names.unfit(request.tenant_id, "tenantId", TENANT_PATTERN, 256),
        *names.unfit(execution, "durableExecutionName", EXECUTION_PATTERN, 64),
    ]


def check_size(request: ReceivedInvocation) -> None:
    """Check the size of the payload.

    Raises:
        Refusal: It exceeds the limit of the invocation type.
    """
    is_event = request.invocation_type == "Event"
    if request.size > (refusals.EVENT_LIMIT if is_event else refusals.SYNC_LIMIT):
        raise refusals.too_large(request.size, event=is_event)


def read_event(payload: bytes) -> Any:
    """Parse a payload; an empty one is an empty object.

    Raises:
        Refusal: It is not valid JSON, or nested too deeply.
    """
    try:
        return _DECODER.decode(payload.decode()) if payload else {}
    except (ValueError, RecursionError) as error:
        raise refusals.bad_json(received.bad_json_message(payload, error)) from error


def read_client_context(request: ReceivedInvocation) -> dict[str, Any] | None:
    """Parse the client context; return None if there is none.

    Raises:
        Refusal: It is not a base64-encoded JSON object.
    """
    if request.encoded_client_context is None:
        return None
    try:
        text = base64.b64decode(request.encoded_client_context, validate=True).decode()
        value = _DECODER.decode(text)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise refusals.bad_client_context() from error
    if not isinstance(value, dict):
        raise refusals.bad_client_context()
    return value


def find_version(
    functions: Mapping[str, Versions],
    name: FunctionName,
    qualifier: str | None,
    *,
    region_name: str,
    account_id: str,
    chance: float = 1.0,
) -> tuple[Versions, FunctionConfig]:
    """Return the function and the version that a request is for.

    Raises:
        Refusal: The function or the version does not exist.
    """
    account = name.account or account_id
    versions = functions.get(name.name) if account == account_id else None
    config = None if versions is None else versions.resolve(qualifier, chance)
    if versions is None or config is None:
        arn = f"arn:aws:lambda:{region_name}:{account}:function:{name.name}"
        raise refusals.function_not_found(f"{arn}:{qualifier or LATEST}")
    return versions, config


def check_active(versions: Versions, config: FunctionConfig, *, now: float) -> None:
    """Check that a version is not pending.

    Args:
        versions: The function.
        config: The version to run or to change.
        now: The time in seconds of the monotonic clock.

    Raises:
        Refusal: It is pending.
    """
    if now < versions.pending_until(config.version):
        raise refusals.not_active("Pending")


def check_changeable(versions: Versions, *, now: float) -> None:
    """Check that a function may be changed.

    Raises:
        Refusal: It is pending or being updated; during an update it can still be invoked.
    """
    check_active(versions, versions.latest, now=now)
    if now < versions.updates_until(LATEST):
        raise refusals.updating(versions.latest.arn)


def invocation_of(
    request: ReceivedInvocation,
    config: FunctionConfig,
    qualifier: str | None,
    *,
    event: Any,
    client_context: dict[str, Any] | None,
    trace_id: str,
) -> Invocation:
    """Return the invocation of a request that has passed all checks."""
    is_event = request.invocation_type == "Event"
    return Invocation(
        request_id=request.request_id,
        function_name=config.name,
        version=config.version,
        arn=config.arn if qualifier is None else f"{config.arn}:{qualifier}",
        is_qualified=qualifier is not None,
        payload=request.payload or b"{}",
        event=event,
        trace_id=trace_id,
        # As in AWS, an Event has neither.
        client_context=None if is_event else client_context,
        tail=request.log_type == "Tail" and not is_event,
        tenant_id=request.tenant_id,
    )


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
